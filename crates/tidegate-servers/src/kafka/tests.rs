use super::*;

#[test]
fn a_broker_answers_is_killed_and_comes_back_on_its_data() {
    let mut kafka = Kafka::start().expect("a broker starts");
    let cluster = fs::read_to_string(kafka.folder.join("data/meta.properties")).unwrap();
    kafka.kill().unwrap();
    assert!(answers(kafka.address).is_err());
    assert!(kafka.kill().is_err(), "it runs no more");
    kafka.restart().unwrap();
    assert!(answers(kafka.address).is_ok());
    assert_eq!(fs::read_to_string(kafka.folder.join("data/meta.properties")).unwrap(), cluster);
    let (folder, broker) = (kafka.folder.clone(), kafka.id().to_string());
    drop(kafka);
    assert!(!folder.exists(), "its folder is removed");
    assert!(!Path::new("/proc").join(broker).exists(), "its process is gone");
}

#[test]
fn the_installed_version_is_that_of_the_jars() {
    let version = Kafka::version().expect("it is installed");
    let jar = format!("../../.cache/kafka/kafka_2.13-{version}.jar");
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(jar).exists(), "{version}");
}

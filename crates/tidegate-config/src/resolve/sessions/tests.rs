use url::Url;

use super::*;
use crate::errors::Faults;
use crate::text::{RedisText, TopicsText};
use crate::tree::Node;

/// The backend of these settings, or the faults that are found.
fn backend_of(file: &QueueFile) -> Result<QueueBackend, String> {
    let root = Node::table(Origin::BuiltIn);
    let mut faults = Faults::default();
    let found = backend(file, &mut Judge { root: &root, faults: &mut faults });
    found.ok_or_else(|| faults.into_errors(None).to_string())
}

#[test]
fn a_backend_comes_with_its_own_address_and_without_the_others() {
    let url = Url::parse("rediss://:secret@cache:6380/1").expect("a URL");
    let both = QueueFile { redis: Some(RedisText(url.clone())), kafka: vec![BrokerText("a:9092".to_owned())], ..QueueFile::default() };
    let chosen = |backend| backend_of(&QueueFile { backend, ..both.clone() });
    assert_eq!(chosen(BackendName::Memory), Ok(QueueBackend::Memory));
    assert_eq!(chosen(BackendName::Redis), Ok(QueueBackend::Redis(url)));
    let (brokers, topics) = (vec!["a:9092".to_owned()], "tidegate".to_owned());
    assert_eq!(chosen(BackendName::Kafka), Ok(QueueBackend::Kafka(Kafka { brokers, topics, partitions: 32 })));
    assert!(!format!("{:?}", chosen(BackendName::Redis)).contains("secret"));
}

#[test]
fn topics_in_kafka_have_the_name_and_the_partitions_that_are_written() {
    let file = QueueFile {
        backend: BackendName::Kafka,
        kafka: vec![BrokerText("a:9092".to_owned()), BrokerText("b:9092".to_owned())],
        kafka_topics: Some(TopicsText("staging".to_owned())),
        kafka_partitions: NonZeroU16::new(6),
        ..QueueFile::default()
    };
    let (brokers, topics) = (vec!["a:9092".to_owned(), "b:9092".to_owned()], "staging".to_owned());
    assert_eq!(backend_of(&file), Ok(QueueBackend::Kafka(Kafka { brokers, topics, partitions: 6 })));
}

#[test]
fn a_backend_without_its_address_is_refused_with_what_to_write() {
    let refusal = |backend| backend_of(&QueueFile { backend, ..QueueFile::default() }).unwrap_err();
    assert!(refusal(BackendName::Redis).starts_with("error: queue.redis is missing"));
    assert!(refusal(BackendName::Redis).contains("REDIS_URL"));
    assert!(refusal(BackendName::Kafka).starts_with("error: queue.kafka is missing"));
    assert!(refusal(BackendName::Kafka).contains("KAFKA_BROKERS"));
}

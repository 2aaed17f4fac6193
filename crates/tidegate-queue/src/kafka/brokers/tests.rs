use super::*;

#[test]
fn brokers_are_hosts_with_ports_and_commas_between_them() {
    for brokers in ["kafka-1:9092", "10.0.0.1:9092,kafka-2:9093", "[::1]:9092, localhost:9092"] {
        assert_eq!(check(brokers), Ok(()), "{brokers}");
    }
}

#[test]
fn a_list_without_any_broker_is_refused() {
    assert_eq!(check(""), Err(BadBrokers::None));
    assert_eq!(check("  "), Err(BadBrokers::None));
}

#[test]
fn the_one_that_is_no_host_and_port_is_named() {
    for (brokers, wrong) in [
        ("kafka-1:9092,kafka-2", "kafka-2"),
        ("kafka-1:9092,,kafka-2:9092", ""),
        (":9092", ":9092"),
        ("kafka-1:", "kafka-1:"),
        ("kafka-1:0", "kafka-1:0"),
        ("kafka-1:70000", "kafka-1:70000"),
        ("kafka://kafka-1:9092", "kafka://kafka-1:9092"),
        ("::1:9092", "::1:9092"),
        ("[kafka-1]:9092", "[kafka-1]:9092"),
    ] {
        assert_eq!(check(brokers), Err(BadBrokers::Address(wrong.to_owned())));
    }
}

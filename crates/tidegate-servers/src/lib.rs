//! Real servers of others, started for tests and for the benchmark: on free ports of loopback, with a folder of their own.

mod kafka;

pub use kafka::Kafka;

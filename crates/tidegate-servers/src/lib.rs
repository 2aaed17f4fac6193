//! Real servers of others, started for the tests of any crate: on free ports of loopback, with a folder of their own.

mod kafka;

pub use kafka::Kafka;

//! The queue between gateways and workers, as the settings say.

use thiserror::Error;
use tidegate_config::{Kafka, QueueBackend};
use tidegate_core::session;
use tidegate_queue::{Queue, Settings};

/// How many workers may begin one prompt: one that took so many with it is more likely the cause than the victim.
const ATTEMPTS: u32 = 5;

/// A queue that cannot be used as configured.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum BadQueue {
    /// This setting is no address of one, for that reason.
    #[error("queue.{0}: {1}")]
    Address(&'static str, String),
    /// This program has no part for it.
    #[error("queue.backend: this program was built without {0}; build it with `--features {0}`")]
    NotBuilt(&'static str),
}

/// Opens the queue. `None`: prompts wait and run in this process. To be called on a runtime that lasts as long as the process.
///
/// # Errors
///
/// [`BadQueue`]. A server that cannot be reached is none: it is tried for as long as the process lives.
pub fn queue(settings: &tidegate_config::Queue) -> Result<Option<Queue>, BadQueue> {
    let global_max_size = u64::try_from(settings.global_max_size).unwrap_or(u64::MAX);
    let window = u64::try_from(session::Settings::STANDARD.replay.bytes / 2).unwrap_or(u64::MAX);
    let shared = Settings { lease: settings.lease, attempts: ATTEMPTS, global_max_size, window };
    match &settings.backend {
        QueueBackend::Memory => Ok(None),
        QueueBackend::Redis(url) => Queue::redis(url.as_str(), shared).map(Some).map_err(|problem| BadQueue::Address("redis", problem)),
        QueueBackend::Kafka(kafka) => in_kafka(kafka, shared).map(Some),
    }
}

#[cfg(feature = "kafka")]
fn in_kafka(kafka: &Kafka, settings: Settings) -> Result<Queue, BadQueue> {
    let topics = tidegate_queue::Topics { prefix: kafka.topics.clone(), partitions: kafka.partitions };
    Queue::kafka(&kafka.brokers.join(","), topics, settings).map_err(|problem| BadQueue::Address("kafka", problem.to_string()))
}

#[cfg(not(feature = "kafka"))]
fn in_kafka(_: &Kafka, _: Settings) -> Result<Queue, BadQueue> {
    Err(BadQueue::NotBuilt("kafka"))
}

/// Whether this program has a part for the backend that is chosen: what can be judged without opening it.
///
/// # Errors
///
/// [`BadQueue::NotBuilt`].
pub fn is_built(backend: &QueueBackend) -> Result<(), BadQueue> {
    match backend {
        QueueBackend::Kafka(_) if !cfg!(feature = "kafka") => Err(BadQueue::NotBuilt("kafka")),
        _ => Ok(()),
    }
}

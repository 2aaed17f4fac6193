//! `[queue]` and `[sessions]`

use std::num::NonZeroU16;

use tidegate_core::session::QueuePolicy;

use super::{COUNTS, Judge, count, models};
use crate::config::{Kafka, Model, Models, Queue, QueueBackend, Sessions};
use crate::defaults::{KAFKA_PARTITIONS, KAFKA_TOPICS};
use crate::file::{BackendName, PolicyName, QueueFile, SessionsFile};
use crate::path::KeyPath;
use crate::text::BrokerText;
use crate::tree::Origin;

pub(super) fn queue(file: &QueueFile, judge: &mut Judge<'_>) -> Queue {
    judge.ascending("queue", [("max_queue_size", file.max_queue_size), ("global_max_size", file.global_max_size)], &COUNTS);
    judge.ascending("queue", [("min_workers", file.min_workers), ("max_workers", file.max_workers)], &COUNTS);
    Queue {
        backend: backend(file, judge).unwrap_or(QueueBackend::Memory),
        max_queue_size: count(file.max_queue_size),
        global_max_size: count(file.global_max_size),
        policy: match file.policy {
            PolicyName::Reject => QueuePolicy::Reject,
            PolicyName::DropOldest => QueuePolicy::DropOldest,
            PolicyName::Defer => QueuePolicy::Defer,
        },
        lease: file.lease.0,
        min_workers: count(file.min_workers),
        max_workers: count(file.max_workers),
    }
}

/// The backend, or `None` where its address is missing.
fn backend(file: &QueueFile, judge: &mut Judge<'_>) -> Option<QueueBackend> {
    let (address, remedy) = match file.backend {
        BackendName::Memory => return Some(QueueBackend::Memory),
        BackendName::Redis => match &file.redis {
            Some(url) => return Some(QueueBackend::Redis(url.0.clone())),
            None => ("redis", "add redis = \"redis://…\", or set REDIS_URL in the environment"),
        },
        BackendName::Kafka => match file.kafka.as_slice() {
            [] => ("kafka", "add kafka = [\"host:9092\"], or set KAFKA_BROKERS in the environment"),
            brokers => return Some(QueueBackend::Kafka(kafka(file, brokers))),
        },
    };
    judge.fault(&KeyPath::of(&["queue", address]), "is missing", remedy);
    None
}

fn kafka(file: &QueueFile, brokers: &[BrokerText]) -> Kafka {
    Kafka {
        brokers: brokers.iter().map(|broker| broker.0.clone()).collect(),
        topics: file.kafka_topics.as_ref().map_or_else(|| KAFKA_TOPICS.to_owned(), |topics| topics.0.clone()),
        partitions: file.kafka_partitions.map_or(KAFKA_PARTITIONS, NonZeroU16::get),
    }
}

/// Says so where a setting belongs to a backend that is not chosen.
pub(super) fn unused_settings(file: &QueueFile, chosen: &QueueBackend) -> impl Iterator<Item = String> {
    let chosen = chosen.name();
    let written = [
        ("redis", "redis", file.redis.is_some()),
        ("kafka", "kafka", !file.kafka.is_empty()),
        ("kafka", "kafka_topics", file.kafka_topics.is_some()),
        ("kafka", "kafka_partitions", file.kafka_partitions.is_some()),
    ];
    let unused = written.into_iter().filter(move |(backend, _, written)| *written && *backend != chosen);
    unused.map(move |(_, setting, _)| format!("queue.{setting} has no effect, as queue.backend is {chosen:?}"))
}

pub(super) fn sessions(file: &SessionsFile, models: &Models, judge: &mut Judge<'_>) -> Sessions {
    if let Some(model) = &file.model {
        models::judge_reference(model, &KeyPath::of(&["sessions", "model"]), models, judge);
    }
    Sessions {
        model: file.model.clone().or_else(|| first_model(models, judge)),
        heartbeat: file.heartbeat.0,
        idle_ttl: file.idle_ttl.0,
        resume_ttl: file.resume_ttl.0,
        max_message: file.max_message.0,
        max_sessions: count(file.max_sessions),
        allowed_origins: file.allowed_origins.iter().map(|origin| origin.0.clone()).collect(),
    }
}

/// The model that is written first in the file and is no pattern; those from elsewhere come after it, in alphabetical order.
fn first_model(models: &Models, judge: &Judge<'_>) -> Option<String> {
    let place = |model: &&Model| match judge.root.origin_of_key(&KeyPath::of(&["models", &model.name])) {
        Origin::File(span) => span.start,
        _ => usize::MAX,
    };
    models.iter().filter(|model| !model.is_pattern()).min_by_key(place).map(|model| model.name.clone())
}

#[cfg(test)]
mod tests;

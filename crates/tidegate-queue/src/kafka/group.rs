//! The workers' group: which partitions are whose.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientContext, TopicPartitionList};
use tracing::{debug, info};

use super::cluster::{Cluster, Quiet, Reader, STEADY};
use super::lock;
use super::worker::{Known, Partition, Source};
use crate::settings::Settings;

/// Brokers refuse a shorter time, as they are set up by default.
const SHORTEST: Duration = Duration::from_secs(6);
const LONGEST: Duration = Duration::from_secs(60);

/// Tells a worker which partitions are its.
pub(super) struct Group {
    known: Arc<Mutex<Known>>,
}

/// A member of the group. It joins when it is told to subscribe.
pub(super) fn member(cluster: &Cluster, known: Arc<Mutex<Known>>, settings: &Settings) -> Result<Reader<Group>, KafkaError> {
    // A worker that gives no sign of life loses its partitions when it loses its leases.
    let lease = settings.lease.clamp(SHORTEST, LONGEST).as_millis().to_string();
    let group = cluster.topics.workers();
    let settings = [
        ("group.id", group.as_str()),
        ("session.timeout.ms", &lease),
        ("max.poll.interval.ms", &lease),
        // A member that joins waits until all others have noticed.
        ("heartbeat.interval.ms", "500"),
        // Only what has to move moves, and the rest is worked on meanwhile.
        ("partition.assignment.strategy", "cooperative-sticky"),
        STEADY,
    ];
    cluster.reader(Group { known }, &settings)
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Quiet.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Quiet.error(error, reason);
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.assigned(list),
            Rebalance::Revoke(list) => self.revoked(list),
            Rebalance::Error(KafkaError::Rebalance(RDKafkaErrorCode::NoError)) => {}
            Rebalance::Error(error) => debug!(%error, "a rebalance failed"),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        // While the group changes, it takes none.
        if let Err(error) = result {
            debug!(%error, "not committed");
            lock(&self.known).not_committed(numbers(offsets));
        }
    }
}

impl Group {
    fn assigned(&self, list: &TopicPartitionList) {
        let mut known = lock(&self.known);
        for number in numbers(list) {
            let partition = known.partitions.entry(number).or_insert_with(|| Partition::new(Source::Assigned));
            // Whoever had it may have committed something else since it was this worker's.
            (partition.source, partition.committed, partition.next) = (Source::Assigned, None, None);
        }
        info!(partitions = ?numbers(list).collect::<Vec<_>>(), "this worker's tasks come from here too");
    }

    fn revoked(&self, list: &TopicPartitionList) {
        let mut known = lock(&self.known);
        for number in numbers(list) {
            if let Some(partition) = known.partitions.get_mut(&number) {
                partition.source = Source::Left;
                partition.records.clear();
            }
        }
        info!(partitions = ?numbers(list).collect::<Vec<_>>(), "these are another worker's now");
    }
}

fn numbers(list: &TopicPartitionList) -> impl Iterator<Item = i32> {
    list.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect::<Vec<_>>().into_iter()
}

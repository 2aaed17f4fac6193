//! Reading the log, from somewhere to its end and on.

use std::collections::HashSet;
use std::sync::Once;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, Timestamp, TopicPartitionList};
use tidegate_core::id::SessionId;
use tokio::sync::watch;
use tracing::{error, warn};

use super::cluster::{Cluster, PATIENCE, Quiet, Reader, unavailable};
use super::entry::{self, Entry, Mark};
use crate::error::QueueError;

/// An entry as it stands in the log.
pub(super) struct Line {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// When the broker took it, in Unix milliseconds.
    pub(super) time: i64,
    /// Whose it is and what it says; `None` if that is not for us to understand.
    pub(super) what: Option<(SessionId, Mark, Entry)>,
}

impl Line {
    /// Its offset, time and entry, if it is of this session.
    pub(super) fn of(self, session: SessionId) -> Option<(i64, i64, Entry)> {
        self.what.filter(|(of, ..)| *of == session).map(|(_, _, entry)| (self.offset, self.time, entry))
    }
}

/// Reads some partitions, each from where it was told to.
pub(super) struct Tail {
    consumer: Reader<Quiet>,
    topic: String,
    /// The partitions that something came of, be it that there is nothing yet.
    flowing: watch::Sender<HashSet<i32>>,
}

impl Tail {
    pub(super) fn new(cluster: &Cluster) -> Result<Self, KafkaError> {
        Self::with(cluster, &[])
    }

    /// That reads only what is there: the broker need not wait for more, and with it whatever is to be read next.
    pub(super) fn of_the_past(cluster: &Cluster) -> Result<Self, KafkaError> {
        Self::with(cluster, &[("fetch.wait.max.ms", "5")])
    }

    fn with(cluster: &Cluster, settings: &[(&str, &str)]) -> Result<Self, KafkaError> {
        let settings = [&[("enable.partition.eof", "true")], settings].concat();
        Ok(Self { consumer: cluster.reader(Quiet, &settings)?, topic: cluster.topics.log(), flowing: watch::Sender::default() })
    }

    /// Reads this partition too, from `offset` on.
    pub(super) fn follow(&self, partition: i32, offset: i64) -> Result<(), QueueError> {
        self.consumer.incremental_assign(&self.list(partition, offset)?).map_err(unavailable)
    }

    /// Waits until a partition that is followed is read indeed, while somebody calls [`Tail::next`].
    ///
    /// Brokers that answer may still take longer than [`PATIENCE`] for a reader's very first partition, on a busy machine.
    pub(super) async fn flows(&self, partition: i32) -> Result<(), QueueError> {
        let mut flowing = self.flowing.subscribe();
        match tokio::time::timeout(PATIENCE * 3, flowing.wait_for(|flowing| flowing.contains(&partition))).await {
            Ok(_) => Ok(()),
            Err(_) => Err(QueueError::Unavailable("the log is not read yet".to_owned())),
        }
    }

    /// Reads this partition no more.
    pub(super) fn leave(&self, partition: i32) {
        self.flowing.send_if_modified(|flowing| flowing.remove(&partition));
        if let Err(error) = self.list(partition, 0).map(|list| self.consumer.incremental_unassign(&list)) {
            warn!(partition, %error, "a partition is read on");
        }
    }

    /// The next entry of any of the partitions. Errors are the connection's; it comes back by itself, and misses nothing.
    ///
    /// Cancel safety: safe.
    pub(super) async fn next(&self) -> Line {
        loop {
            match self.consumer.recv().await {
                Ok(message) => {
                    self.note(message.partition());
                    return line(&message);
                }
                Err(KafkaError::PartitionEOF(partition)) => self.note(partition),
                Err(error) => tracing::debug!(%error, "reading the log"),
            }
        }
    }

    fn note(&self, partition: i32) {
        if !self.flowing.borrow().contains(&partition) {
            self.flowing.send_if_modified(|flowing| flowing.insert(partition));
        }
    }

    fn list(&self, partition: i32, offset: i64) -> Result<TopicPartitionList, QueueError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Offset(offset)).map_err(unavailable)?;
        Ok(list)
    }
}

fn line(message: &impl Message) -> Line {
    let session = message.key().and_then(|key| std::str::from_utf8(key).ok()).and_then(SessionId::parse);
    let what = session.zip(message.payload().and_then(entry::decode)).map(|(session, (mark, entry))| (session, mark, entry));
    if what.is_none() {
        warn!(partition = message.partition(), offset = message.offset(), "the log has an entry that this version can't read");
    }
    Line { partition: message.partition(), offset: message.offset(), time: time(message), what }
}

fn time(message: &impl Message) -> i64 {
    static WRONG_CLOCK: Once = Once::new();
    let time = message.timestamp();
    if !matches!(time, Timestamp::LogAppendTime(_)) {
        // Whoever made the topic by hand left this out.
        WRONG_CLOCK.call_once(|| error!(topic = message.topic(), "set message.timestamp.type=LogAppendTime: leases go by many clocks"));
    }
    time.to_millis().unwrap_or(0)
}

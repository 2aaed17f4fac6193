//! How much there is to do, from what the workers' group has committed.
//!
//! A worker commits for each of its partitions the offset of the first task that is not settled, and beside it, as the commit's metadata,
//! how many tasks before the end of what it has read wait and run, and where that end is. What comes after it waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::Mutex;

use super::cluster::{Cluster, offsets};
use crate::error::QueueError;
use crate::queue::Depth;

/// How long an answer serves for the next [`Depths::take_place`].
const FRESH: Duration = Duration::from_millis(250);

/// What a worker commits beside an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Progress {
    pub(super) waiting: u64,
    pub(super) running: u64,
    /// The offset of the first record that it has not read.
    pub(super) read: i64,
}

impl Progress {
    pub(super) fn encode(self) -> String {
        format!("waiting={} running={} read={}", self.waiting, self.running, self.read)
    }

    fn decode(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').zip(["waiting=", "running=", "read="]).map(|(word, name)| word.strip_prefix(name));
        let (waiting, running, read) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some(Self { waiting: waiting.parse().ok()?, running: running.parse().ok()?, read: read.parse().ok()? })
    }
}

/// One partition of the task topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backlog {
    pub(super) partition: i32,
    pub(super) depth: Depth,
    /// The first task that is not settled.
    pub(super) from: i64,
}

/// Asks how much there is to do, and remembers it for a moment.
pub(super) struct Depths {
    cluster: Arc<Cluster>,
    last: Mutex<Option<(Instant, u64)>>,
}

impl Depths {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, last: Mutex::default() }
    }

    /// For each partition.
    pub(super) async fn backlogs(&self) -> Result<Vec<Backlog>, QueueError> {
        let partitions = self.cluster.partitions().await?;
        let topic = self.cluster.topics.tasks();
        let answer = self.cluster.ask(move |asker, patience| {
            let ends = offsets(asker, &topic, partitions, Offset::End, patience)?;
            let mut list = TopicPartitionList::new();
            list.add_partition_range(&topic, 0, partitions - 1);
            let committed = asker.committed_offsets(list, patience)?;
            let mut backlogs = Vec::new();
            for committed in committed.elements() {
                let end = ends.get(&committed.partition()).copied().unwrap_or(0);
                let from = match committed.offset() {
                    Offset::Offset(from) => from,
                    // Nobody ever worked on it.
                    _ if end == 0 => 0,
                    _ => asker.fetch_watermarks(&topic, committed.partition(), patience)?.0,
                };
                let progress = Progress::decode(committed.metadata()).unwrap_or(Progress { read: from, ..Progress::default() });
                let unread = u64::try_from(end.saturating_sub(progress.read)).unwrap_or(0);
                let depth = Depth { waiting: progress.waiting + unread, running: progress.running };
                backlogs.push(Backlog { partition: committed.partition(), depth, from });
            }
            Ok(backlogs)
        });
        answer.await
    }

    pub(super) async fn sum(&self) -> Result<Depth, QueueError> {
        let backlogs = self.backlogs().await?;
        Ok(backlogs.iter().fold(Depth::default(), |sum, backlog| Depth {
            waiting: sum.waiting + backlog.depth.waiting,
            running: sum.running + backlog.depth.running,
        }))
    }

    /// Counts one more task, if fewer than `most` wait. What other gateways submitted in the last quarter of a second is not in the count.
    pub(super) async fn take_place(&self, most: u64) -> Result<(), QueueError> {
        let mut last = self.last.lock().await;
        let waiting = match *last {
            Some((at, waiting)) if at.elapsed() < FRESH => waiting,
            _ => self.sum().await?.waiting,
        };
        let at = last.map(|(at, _)| at).filter(|at| at.elapsed() < FRESH).unwrap_or_else(Instant::now);
        if waiting >= most {
            // Asked again by whoever comes next: the queue may have room by then.
            *last = None;
            return Err(QueueError::Full);
        }
        *last = Some((at, waiting + 1));
        Ok(())
    }
}

//! Reading again what happened.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};
use tidegate_core::id::{SessionId, TaskId};

use super::cluster::{Cluster, PATIENCE, unavailable};
use super::entry::Entry;
use super::fold::{Effect, Fold};
use super::tail::{Line, Tail};
use super::topics::Topics;
use crate::error::QueueError;
use crate::lease::Piece;
use crate::log::End;

/// What happened, read again from the log: for an audit, never to run anything anew. It reaches back as far as the topic's retention.
pub struct Replay {
    tail: Tail,
    /// Where each partition ended when this began; those that were read so far are gone.
    ends: BTreeMap<i32, i64>,
    sessions: HashMap<SessionId, Fold>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Whose.
    pub session: SessionId,
    /// When the broker was told.
    pub time: SystemTime,
    /// Where it stands: the partition, and the offset there. Those of one session are in order.
    pub place: (i32, i64),
    /// What.
    pub event: Event,
}

/// What happened to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A gateway came to own it: its first one, or an heir.
    Owned,
    /// Its owner wrote so many entries into its journal.
    Journalled(usize),
    /// Its owner wrote down its state.
    Snapshot,
    /// A task was submitted.
    Submitted(TaskId),
    /// A worker began the task; it is the attempt of this number.
    Begun(TaskId, u32),
    /// A worker said this about its task.
    Said(TaskId, Vec<Piece>),
    /// The running task was cancelled.
    Cancelled(TaskId),
    /// The task's worker was lost or gave it back, and it waits again.
    Requeued(TaskId),
    /// The task is over.
    Ended(TaskId, End),
    /// The session is over.
    Over,
    /// A worker said that it lives.
    Renewed,
    /// Somebody wrote who had been replaced, or came too late. It changed nothing.
    Refused,
}

impl Replay {
    /// What happened since `since`, up to now.
    ///
    /// # Errors
    ///
    /// [`QueueError::Unavailable`]: the brokers do not answer, or have no such topics.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only asks.
    pub async fn begin(brokers: &str, topics: Topics, since: SystemTime) -> Result<Self, QueueError> {
        let cluster = Arc::new(Cluster::new(brokers, topics).map_err(unavailable)?);
        let partitions = cluster.count_partitions().await?;
        let partitions = partitions.ok_or_else(|| QueueError::Unavailable("there are no such topics".to_owned()))?;
        let log = cluster.topics.log();
        let millis = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let since = Offset::Offset(i64::try_from(millis).unwrap_or(i64::MAX));
        let found = cluster.ask(move |asker, patience| {
            let mut list = TopicPartitionList::new();
            for partition in 0..partitions {
                list.add_partition_offset(&log, partition, since)?;
            }
            let found = asker.offsets_for_times(list, patience)?;
            Ok(found.elements().iter().filter_map(|found| Some((found.partition(), found.offset().to_raw()?))).collect::<Vec<_>>())
        });
        let (tail, mut ends) = (Tail::new(&cluster).map_err(unavailable)?, BTreeMap::new());
        for (partition, from) in found.await? {
            let end = cluster.end_of(&cluster.topics.log(), partition).await?;
            // Where nothing happened since, there is no such offset.
            if (0..end).contains(&from) {
                tail.follow(partition, from)?;
                ends.insert(partition, end);
            }
        }
        Ok(Self { tail, ends, sessions: HashMap::new() })
    }

    /// The next thing that happened; `None`: that was all.
    ///
    /// # Errors
    ///
    /// [`QueueError::Unavailable`]: nothing comes for some seconds, though there is more. It may be called again.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was not returned is returned by the next call.
    pub async fn next(&mut self) -> Result<Option<Replayed>, QueueError> {
        while !self.ends.is_empty() {
            let line = tokio::time::timeout(PATIENCE * 5, self.tail.next()).await;
            let line = line.map_err(|_| QueueError::Unavailable("the log is not read on".to_owned()))?;
            let Some(end) = self.ends.get(&line.partition).copied() else { continue };
            if line.offset + 1 >= end {
                self.ends.remove(&line.partition);
                self.tail.leave(line.partition);
            }
            if let Some(replayed) = self.tell(line) {
                return Ok(Some(replayed));
            }
        }
        Ok(None)
    }

    fn tell(&mut self, line: Line) -> Option<Replayed> {
        let place = (line.partition, line.offset);
        let (session, _, entry) = line.what?;
        let fold = self.sessions.entry(session).or_default();
        let task = fold.task().map(|task| task.id);
        let effect = fold.apply(line.offset, line.time, &entry);
        let event = match (effect, entry) {
            (Err(_), _) => Event::Refused,
            (Ok(Effect::Owned), _) => Event::Owned,
            (Ok(_), Entry::Journal { entries, .. }) => Event::Journalled(entries.len()),
            (Ok(Effect::Snapshot), _) => Event::Snapshot,
            (Ok(Effect::Waiting), Entry::Submit { task, .. }) => Event::Submitted(task),
            (Ok(Effect::Waiting), _) => Event::Requeued(task?),
            (Ok(Effect::Claimed), _) => Event::Begun(task?, fold.task()?.attempts),
            (Ok(Effect::Pieces(task)), Entry::Emit { pieces, .. }) => Event::Said(task, pieces),
            (Ok(Effect::Cancelling), _) => Event::Cancelled(task?),
            (Ok(Effect::Ended(task, end)), _) => Event::Ended(task, end),
            (Ok(Effect::Over), _) => Event::Over,
            (Ok(_), Entry::Renew { .. }) => Event::Renewed,
            // Said twice, it happened once.
            (Ok(_), _) => return None,
        };
        if fold.is_over() {
            self.sessions.remove(&session);
        }
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(line.time).unwrap_or(0));
        Some(Replayed { session, time, place, event })
    }
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("ends", &self.ends).finish_non_exhaustive()
    }
}

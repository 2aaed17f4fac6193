//! Reading again what happened.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::vec;

use bytes::Bytes;
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};
use tidegate_core::id::{SessionId, TaskId};
use tokio::time::timeout;

use super::brokers;
use super::cluster::{Cluster, PATIENCE, partition, unavailable};
use super::entry::Entry;
use super::fold::{Effect, Fold};
use super::tail::{Line, Tail};
use super::topics::Topics;
use crate::error::QueueError;
use crate::lease::Piece;
use crate::log::End;

/// The tasks that were submitted since some moment, read again from the log: for an audit, never to run anything anew. It reaches back as
/// far as the topic's retention, and ends where the log ended when this began.
///
/// It keeps what was said about the tasks that ran at one time, and where each session stood.
pub struct Replay {
    tail: Tail,
    /// Where each partition ended when this began; those that were read so far are gone.
    ends: BTreeMap<i32, i64>,
    wanted: Wanted,
    sessions: HashMap<SessionId, Seen>,
    /// Once all is read: the tasks without an end.
    open: Option<vec::IntoIter<Replayed>>,
}

/// Whose tasks are read, and since when they were submitted.
pub(super) enum Wanted {
    All(SystemTime),
    These(HashMap<SessionId, SystemTime>),
}

/// One task, and all that happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Whose.
    pub session: SessionId,
    /// For whom that is: [`crate::Tenure::holder`].
    pub holder: String,
    /// Which.
    pub task: TaskId,
    /// Where its submission stands: the partition, and the offset there. Those of one session are in order.
    pub place: (i32, i64),
    /// When it was submitted. This and all other moments are the broker's.
    pub submitted: SystemTime,
    /// The workers that began it, one after the other.
    pub attempts: Vec<Attempt>,
    /// When it was cancelled.
    pub cancelled: Option<SystemTime>,
    /// What became of it.
    pub fate: Fate,
    /// What the worker that settled it kept with its end ([`crate::Lease::memo`]).
    pub memo: Bytes,
}

/// What one worker did with a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub begun: SystemTime,
    /// What it said.
    pub pieces: Vec<Piece>,
}

/// What became of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It waited or ran when the replay began.
    Open,
    /// It ended.
    Ended {
        /// When.
        at: SystemTime,
        /// How.
        end: End,
    },
    /// Its session ended first.
    SessionOver {
        /// When.
        at: SystemTime,
    },
}

/// A session, as far as it was read.
#[derive(Default)]
struct Seen {
    fold: Fold,
    task: Option<Replayed>,
}

impl Replay {
    /// The tasks that were submitted since `since`: of all sessions, or of this one.
    ///
    /// # Errors
    ///
    /// [`QueueError::Unavailable`]: the brokers do not answer, have no such topics, or the list of them is wrong.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only asks.
    pub async fn begin(brokers: &str, topics: Topics, since: SystemTime, only: Option<SessionId>) -> Result<Self, QueueError> {
        brokers::check(brokers).map_err(|error| QueueError::Unavailable(error.to_string()))?;
        let wanted = only.map_or(Wanted::All(since), |only| Wanted::These(HashMap::from([(only, since)])));
        Self::of(Arc::new(Cluster::new(brokers, topics).map_err(unavailable)?), wanted).await
    }

    pub(super) async fn of(cluster: Arc<Cluster>, wanted: Wanted) -> Result<Self, QueueError> {
        let partitions = cluster.count_all().await?;
        let partitions = partitions.ok_or_else(|| QueueError::Unavailable("there are no such topics".to_owned()))?;
        let log = cluster.topics.log();
        let starts = wanted.by_partition(partitions);
        let found = cluster.ask(move |asker, patience| {
            let mut list = TopicPartitionList::new();
            for (partition, since) in &starts {
                let millis = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
                list.add_partition_offset(&log, *partition, Offset::Offset(i64::try_from(millis).unwrap_or(i64::MAX)))?;
            }
            let found = asker.offsets_for_times(list, patience)?;
            Ok(found.elements().iter().filter_map(|found| Some((found.partition(), found.offset().to_raw()?))).collect::<Vec<_>>())
        });
        let (tail, mut ends) = (Tail::of_the_past(&cluster).map_err(unavailable)?, BTreeMap::new());
        for (partition, from) in found.await? {
            let end = cluster.end_of(&cluster.topics.log(), partition).await?;
            // Where nothing happened since, there is no such offset.
            if (0..end).contains(&from) {
                tail.follow(partition, from)?;
                ends.insert(partition, end);
            }
        }
        Ok(Self { tail, ends, wanted, sessions: HashMap::new(), open: None })
    }

    /// The next task: as they end, and then those that had not; `None`: that was all.
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
            let line = timeout(PATIENCE * 5, self.tail.next()).await;
            let line = line.map_err(|_| QueueError::Unavailable("the log is not read on".to_owned()))?;
            let Some(end) = self.ends.get(&line.partition).copied() else { continue };
            if line.offset + 1 >= end {
                self.ends.remove(&line.partition);
                self.tail.leave(line.partition);
            }
            // What was written after this began is not asked for.
            if line.offset < end
                && let Some(replayed) = self.read(line)
            {
                return Ok(Some(replayed));
            }
        }
        let sessions = &mut self.sessions;
        let open = self.open.get_or_insert_with(|| {
            let mut open: Vec<_> = sessions.drain().filter_map(|(_, seen)| seen.task).collect();
            open.sort_by_key(|task| (task.submitted, task.place));
            open.into_iter()
        });
        Ok(open.next())
    }

    /// A task that is over with this entry.
    fn read(&mut self, line: Line) -> Option<Replayed> {
        let (session, _, entry) = line.what.filter(|(session, ..)| self.wanted.includes(*session))?;
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(line.time).unwrap_or(0));
        let seen = self.sessions.entry(session).or_default();
        match (seen.fold.apply(line.offset, line.time, &entry).ok()?, entry) {
            (Effect::Waiting, Entry::Submit { task, holder, .. }) => {
                let (place, attempts, cancelled, fate, memo) = ((line.partition, line.offset), Vec::new(), None, Fate::Open, Bytes::new());
                let holder = String::from_utf8_lossy(&holder).into_owned();
                seen.task = Some(Replayed { session, holder, task, place, submitted: at, attempts, cancelled, fate, memo });
                None
            }
            (Effect::Ended(_, end), entry) => {
                let mut task = seen.task.take()?;
                match entry {
                    Entry::Cancel { .. } => task.cancelled = task.cancelled.or(Some(at)),
                    Entry::Settle { memo, .. } => task.memo = memo,
                    _ => {}
                }
                Some(Replayed { fate: Fate::Ended { at, end }, ..task })
            }
            (Effect::Over, _) => {
                let task = self.sessions.remove(&session)?.task?;
                Some(Replayed { fate: Fate::SessionOver { at }, ..task })
            }
            (effect, entry) => {
                seen.task.as_mut()?.note(at, &effect, entry);
                None
            }
        }
    }
}

impl Wanted {
    /// From when on each partition has to be read.
    fn by_partition(&self, partitions: i32) -> BTreeMap<i32, SystemTime> {
        match self {
            Self::All(since) => (0..partitions).map(|partition| (partition, *since)).collect(),
            Self::These(sessions) => {
                let mut starts = BTreeMap::new();
                for (session, since) in sessions {
                    starts.entry(partition(*session, partitions)).and_modify(|start| *start = *since.min(start)).or_insert(*since);
                }
                starts
            }
        }
    }

    fn includes(&self, session: SessionId) -> bool {
        match self {
            Self::All(_) => true,
            Self::These(sessions) => sessions.contains_key(&session),
        }
    }
}

impl Replayed {
    fn note(&mut self, at: SystemTime, effect: &Effect, entry: Entry) {
        match (effect, entry) {
            (Effect::Claimed, _) => self.attempts.push(Attempt { begun: at, pieces: Vec::new() }),
            (Effect::Pieces(_), Entry::Emit { pieces, .. }) => {
                self.attempts.last_mut().into_iter().for_each(|attempt| attempt.pieces.extend_from_slice(&pieces));
            }
            (Effect::Cancelling, _) => self.cancelled = Some(at),
            _ => {}
        }
    }
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("ends", &self.ends).finish_non_exhaustive()
    }
}

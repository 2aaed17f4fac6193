//! Where a session's log has to be read, for whoever adopts it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};
use tidegate_core::id::SessionId;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::timeout;
use tracing::debug;

use super::cluster::{Cluster, PATIENCE, Quiet, Reader, STEADY, unavailable};
use super::entry::{bytes as get_bytes, put_bytes};
use super::fold::Fold;
use super::trail::Trail;
use super::{lock, now};
use crate::error::QueueError;
use crate::settings::Tenure;

/// How often expired pointers are forgotten.
const SWEEP: Duration = Duration::from_secs(60);

/// Where a session's log is to be read. An old one is as good as a new one, and only costs more reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer {
    /// Where its entries stand, from the first one or from its last snapshot on.
    pub(super) trail: Trail,
    /// From this offset on, the trail knows of nothing.
    pub(super) rest: i64,
    /// What was known of the session before the trail's first entry.
    pub(super) fold: Fold,
    /// On which terms its owner has it. Its time to live begins anew with each pointer that its owner writes.
    pub(super) tenure: Tenure,
}

impl Pointer {
    /// To a session that has no entry yet.
    pub(super) fn new(tenure: Tenure) -> Self {
        Self { trail: Trail::default(), rest: 0, fold: Fold::default(), tenure }
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u64(u64::try_from(self.tenure.ttl.as_millis()).unwrap_or(u64::MAX));
        put_bytes(&mut out, self.tenure.holder.as_bytes());
        out.put_i64(self.rest);
        self.trail.put(&mut out);
        self.fold.put(&mut out);
        out.freeze()
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let value = &mut Bytes::copy_from_slice(value);
        let ttl = Duration::from_millis(value.try_get_u64().ok()?);
        let holder = String::from_utf8(get_bytes(value)?.into()).ok()?;
        let (rest, trail, fold) = (value.try_get_i64().ok()?, Trail::get(value)?, Fold::get(value)?);
        Some(Self { trail, rest, fold, tenure: Tenure { ttl, holder } })
    }
}

/// A pointer as the broker took it. Every process keeps one of each session, so it keeps its bytes: a few hundred.
#[derive(Debug, Clone)]
struct Written {
    value: Box<[u8]>,
    age: Age,
}

impl Written {
    /// Only what is needed of every session is read.
    fn read(value: &[u8], time: i64) -> Option<Self> {
        let ttl = Duration::from_millis((&mut &*value).try_get_u64().ok()?);
        Some(Self { value: value.into(), age: Age { time, ttl } })
    }
}

/// How old a session's last pointer is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age {
    /// When the broker took it, in Unix milliseconds.
    time: i64,
    ttl: Duration,
}

impl Age {
    /// Whether at `time`, by the broker's clock, nobody has owned the session for its time to live.
    pub(super) fn expired(self, time: i64) -> bool {
        let silent = u64::try_from(time.saturating_sub(self.time)).unwrap_or(0);
        Duration::from_millis(silent) > self.ttl
    }

    /// The same by this process's clock, for which twice the time is allowed.
    fn long_expired(self) -> bool {
        self.expired(now().saturating_sub(i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// The pointers of all sessions, read as they are written.
pub(super) struct Pointers {
    cluster: Arc<Cluster>,
    consumer: Reader<Quiet>,
    known: Mutex<HashMap<SessionId, Written>>,
    /// The offset of the next record, for each partition.
    read: watch::Sender<HashMap<i32, i64>>,
    /// All that was there when this process began has been read.
    complete: AtomicBool,
    /// When it was begun to catch up the last time that it came to its end.
    caught_up: AsyncMutex<Option<Instant>>,
}

impl Pointers {
    pub(super) fn new(cluster: Arc<Cluster>) -> Result<Self, KafkaError> {
        let consumer = cluster.reader(Quiet, &[("enable.partition.eof", "true"), STEADY])?;
        let (known, read, complete, caught_up) = Default::default();
        Ok(Self { cluster, consumer, known, read, complete, caught_up })
    }

    /// Reads for as long as it isn't dropped.
    pub(super) async fn keep_reading(self: Arc<Self>) {
        let mut unread = loop {
            match self.begin().await {
                Ok(partitions) => break partitions,
                Err(error) => debug!(%error, "the sessions are not read yet"),
            }
        };
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                read = self.consumer.recv() => match read {
                    Ok(message) => self.note(&message),
                    Err(KafkaError::PartitionEOF(partition)) => {
                        unread.remove(&partition);
                        self.complete.fetch_or(unread.is_empty(), Ordering::Relaxed);
                    }
                    Err(error) => debug!(%error, "reading the sessions"),
                },
                // Of gateways that died, nobody takes the pointers back.
                _ = sweep.tick() => lock(&self.known).retain(|_, written| !written.age.long_expired()),
            }
        }
    }

    async fn begin(&self) -> Result<HashSet<i32>, QueueError> {
        let (topic, mut list) = (self.cluster.topics.sessions(), TopicPartitionList::new());
        // Where everything was deleted, there is nothing to be read up to the end.
        let begins = self.cluster.offsets(&topic, Offset::Beginning).await?;
        for partition in begins.keys() {
            list.add_partition_offset(&topic, *partition, Offset::Beginning).map_err(unavailable)?;
        }
        self.consumer.assign(&list).map_err(unavailable)?;
        let unread = begins.keys().copied().collect();
        self.read.send_replace(begins);
        Ok(unread)
    }

    fn note(&self, message: &impl Message) {
        let session = message.key().and_then(|key| std::str::from_utf8(key).ok()).and_then(SessionId::parse);
        if let Some(session) = session {
            let time = message.timestamp().to_millis().unwrap_or(0);
            match message.payload().and_then(|value| Written::read(value, time)) {
                Some(written) => lock(&self.known).insert(session, written),
                None => lock(&self.known).remove(&session),
            };
        }
        self.read.send_modify(|read| {
            read.insert(message.partition(), message.offset() + 1);
        });
    }

    /// Whether all sessions are known that there were when this process began.
    pub(super) fn complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }

    /// A session's pointer as it stands when this is called; `None`: there is no such session, or none that this version can read.
    pub(super) async fn find(&self, session: SessionId) -> Result<Option<(Pointer, Age)>, QueueError> {
        self.catch_up().await?;
        Ok(lock(&self.known).get(&session).and_then(|written| Some((Pointer::decode(&written.value)?, written.age))))
    }

    /// Waits until everything is read that stands there when this is called: once for all who wait at the same time.
    async fn catch_up(&self) -> Result<(), QueueError> {
        let called = Instant::now();
        let mut caught_up = self.caught_up.lock().await;
        if caught_up.is_some_and(|begun| begun >= called) {
            return Ok(());
        }
        let begun = Instant::now();
        let ends = self.cluster.offsets(&self.cluster.topics.sessions(), Offset::End).await?;
        let mut read = self.read.subscribe();
        let all = read.wait_for(|read| ends.iter().all(|(partition, end)| read.get(partition).is_some_and(|next| next >= end)));
        // The brokers answer, so it is this process that is slow, as one may be that has just begun.
        match timeout(PATIENCE * 3, all).await {
            Ok(_) => *caught_up = Some(begun),
            Err(_) => return Err(QueueError::Unavailable("the sessions are still being read".to_owned())),
        }
        Ok(())
    }

    /// Whether somebody has or may come to have this session, as far as this process has read. Its clock may be wrong by as much as the session
    /// outlives its owner.
    pub(super) fn lives(&self, session: SessionId) -> bool {
        lock(&self.known).get(&session).is_some_and(|written| !written.age.long_expired())
    }

    /// The same as it stands when this is called.
    pub(super) async fn lives_now(&self, session: SessionId) -> Result<bool, QueueError> {
        Ok(self.lives(session) || self.find(session).await?.is_some_and(|(_, age)| !age.long_expired()))
    }

    /// Writes a session's pointer, or that there is none any more; on all replicas when it returns.
    pub(super) async fn write(&self, session: SessionId, pointer: Option<&Pointer>) -> Result<(), QueueError> {
        let partition = self.cluster.partition(session).await?;
        let value = pointer.map(Pointer::encode);
        self.cluster.write(&self.cluster.topics.sessions(), partition, &session.to_string(), value.as_deref()).await
    }

    /// Writes a pointer sooner or later: the one before serves until then.
    pub(super) fn send(&self, partition: i32, session: SessionId, pointer: &Pointer) {
        let topic = self.cluster.topics.sessions();
        // Refused only where the producer's queue is full; the next one comes soon.
        let _ = self.cluster.send(&topic, partition, &session.to_string(), Some(&pointer.encode()));
    }
}

#[cfg(test)]
mod tests;

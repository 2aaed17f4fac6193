//! From where a session's log has to be read, for whoever adopts it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};
use tidegate_core::id::SessionId;
use tokio::sync::watch;

use super::cluster::{Cluster, PATIENCE, Quiet, Reader, unavailable};
use super::fold::Fold;
use super::{lock, now};
use crate::error::QueueError;

/// How often expired pointers are forgotten.
const SWEEP: Duration = Duration::from_secs(60);

/// Where to begin to read a session's log. An old one is as good as a new one, and only costs more reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer {
    /// The offset of the session's first entry, or of its last snapshot.
    pub(super) from: i64,
    /// What was known of the session before that entry.
    pub(super) fold: Fold,
    /// How long the session outlives the last pointer that its owner wrote.
    pub(super) ttl: Duration,
}

impl Pointer {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_i64(self.from);
        out.put_u64(u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX));
        self.fold.put(&mut out);
        out.freeze()
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let mut value = Bytes::copy_from_slice(value);
        let (from, ttl) = (value.try_get_i64().ok()?, Duration::from_millis(value.try_get_u64().ok()?));
        Some(Self { from, ttl, fold: Fold::get(&mut value)? })
    }
}

/// A pointer, and when the broker took it.
#[derive(Debug, Clone)]
pub(super) struct Dated {
    pub(super) pointer: Pointer,
    /// Unix milliseconds.
    pub(super) time: i64,
}

impl Dated {
    /// Whether at `time`, by the broker's clock, nobody has owned the session for its time to live.
    pub(super) fn expired(&self, time: i64) -> bool {
        let silent = u64::try_from(time.saturating_sub(self.time)).unwrap_or(0);
        Duration::from_millis(silent) > self.pointer.ttl
    }

    /// The same by this process's clock, for which twice the time is allowed.
    fn long_expired(&self) -> bool {
        self.expired(now().saturating_sub(i64::try_from(self.pointer.ttl.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// The pointers of all sessions, read as they are written.
pub(super) struct Pointers {
    cluster: Arc<Cluster>,
    consumer: Reader<Quiet>,
    known: Mutex<HashMap<SessionId, Dated>>,
    /// The offset of the next record, for each partition.
    read: watch::Sender<HashMap<i32, i64>>,
}

impl Pointers {
    pub(super) fn new(cluster: Arc<Cluster>) -> Result<Self, KafkaError> {
        let consumer = cluster.reader(Quiet, &[])?;
        Ok(Self { cluster, consumer, known: Mutex::default(), read: watch::Sender::default() })
    }

    /// Reads for as long as it isn't dropped.
    pub(super) async fn keep_reading(self: Arc<Self>) {
        while let Err(error) = self.begin().await {
            tracing::debug!(%error, "the sessions are not read yet");
        }
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                read = self.consumer.recv() => match read {
                    Ok(message) => self.note(&message),
                    Err(error) => tracing::debug!(%error, "reading the sessions"),
                },
                // Of gateways that died, nobody takes the pointers back.
                _ = sweep.tick() => lock(&self.known).retain(|_, dated| !dated.long_expired()),
            }
        }
    }

    async fn begin(&self) -> Result<(), QueueError> {
        let (topic, mut list) = (self.cluster.topics.sessions(), TopicPartitionList::new());
        for partition in 0..self.cluster.partitions().await? {
            list.add_partition_offset(&topic, partition, Offset::Beginning).map_err(unavailable)?;
        }
        self.consumer.assign(&list).map_err(unavailable)
    }

    fn note(&self, message: &impl Message) {
        let session = message.key().and_then(|key| std::str::from_utf8(key).ok()).and_then(SessionId::parse);
        if let Some(session) = session {
            let time = message.timestamp().to_millis().unwrap_or(0);
            match message.payload().and_then(Pointer::decode) {
                Some(pointer) => lock(&self.known).insert(session, Dated { pointer, time }),
                None => lock(&self.known).remove(&session),
            };
        }
        self.read.send_modify(|read| {
            read.insert(message.partition(), message.offset() + 1);
        });
    }

    /// A session's pointer as it stands when this is called; `None`: there is no such session.
    pub(super) async fn find(&self, session: SessionId) -> Result<Option<Dated>, QueueError> {
        let partition = self.cluster.partition(session).await?;
        let topic = self.cluster.topics.sessions();
        let (begin, end) = self.cluster.ask(move |asker, patience| asker.fetch_watermarks(&topic, partition, patience)).await?;
        let mut read = self.read.subscribe();
        let caught_up = read.wait_for(|read| begin == end || read.get(&partition).is_some_and(|next| *next >= end));
        match tokio::time::timeout(PATIENCE, caught_up).await {
            Ok(_) => Ok(lock(&self.known).get(&session).cloned()),
            Err(_) => Err(QueueError::Unavailable("the sessions are still being read".to_owned())),
        }
    }

    /// Whether a session was forgotten, as far as this process has read. Its clock may be wrong by as much as the session outlives its owner.
    pub(super) fn forgotten(&self, session: SessionId) -> bool {
        lock(&self.known).get(&session).is_some_and(|dated| dated.long_expired())
    }

    /// Writes a session's pointer, or that there is none any more; on all replicas when it returns.
    pub(super) async fn write(&self, session: SessionId, pointer: Option<&Pointer>) -> Result<(), QueueError> {
        let partition = self.cluster.partition(session).await?;
        let value = pointer.map(Pointer::encode);
        let delivery = self.cluster.send(&self.cluster.topics.sessions(), partition, &session.to_string(), value.as_deref())?;
        match tokio::time::timeout(PATIENCE, delivery).await {
            Ok(Ok(Ok(_))) => Ok(()),
            Ok(Ok(Err((error, _)))) => Err(unavailable(error)),
            _ => Err(QueueError::Unavailable("no answer within a second".to_owned())),
        }
    }

    /// Writes a pointer sooner or later: the one before serves until then.
    pub(super) fn send(&self, partition: i32, session: SessionId, pointer: &Pointer) {
        let topic = self.cluster.topics.sessions();
        // Refused only where the producer's queue is full; the next one comes soon.
        let _ = self.cluster.send(&topic, partition, &session.to_string(), Some(&pointer.encode()));
    }
}

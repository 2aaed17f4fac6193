//! Writing into the log, and learning by reading whether what was written holds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tidegate_core::id::SessionId;
use tokio::sync::oneshot;

use super::cluster::{Cluster, PATIENCE, unavailable};
use super::entry::{self, Entry, Mark};
use super::fold::Refusal;
use super::lock;
use crate::error::QueueError;

/// What became of an entry: where it stands if it holds.
pub(super) type Verdict = Result<i64, Refusal>;

/// One writer. Its reader tells it of its own entries.
pub(super) struct Writer {
    id: u64,
    next: AtomicU64,
    cluster: Arc<Cluster>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Verdict>>>,
}

impl Writer {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self { id: rand::random(), next: AtomicU64::new(0), cluster, waiting: Mutex::default() }
    }

    /// Writes an entry and waits until this process has read it: by then it is on all replicas.
    ///
    /// Cancel safety: the entry may be written or not.
    pub(super) async fn write(&self, partition: i32, session: SessionId, entry: &Entry) -> Result<Verdict, QueueError> {
        let mark = self.mark();
        let (tell, told) = oneshot::channel();
        lock(&self.waiting).insert(mark.number, tell);
        let _forget = Forget { writer: self, number: mark.number };
        let delivery = self.send_marked(partition, session, mark, entry)?;
        let written = async {
            match delivery.await {
                Ok(Ok(_)) => told.await.map_err(|_| QueueError::Unavailable("shutting down".to_owned())),
                Ok(Err((error, _))) => Err(unavailable(error)),
                Err(_) => Err(QueueError::Unavailable("shutting down".to_owned())),
            }
        };
        match tokio::time::timeout(PATIENCE, written).await {
            Ok(outcome) => outcome,
            Err(_) => Err(QueueError::Unavailable("no answer within a second".to_owned())),
        }
    }

    /// Writes an entry sooner or later, and never asks what became of it.
    pub(super) fn send(&self, partition: i32, session: SessionId, entry: &Entry) {
        // Where even the producer's queue is full, the brokers are long gone, and the lease that this is about runs out.
        let _ = self.send_marked(partition, session, self.mark(), entry);
    }

    /// The reader came to this entry. Whether somebody here waited for it.
    pub(super) fn came_by(&self, mark: Mark, verdict: Verdict) -> bool {
        mark.writer == self.id && lock(&self.waiting).remove(&mark.number).is_some_and(|tell| tell.send(verdict).is_ok())
    }

    pub(super) fn wrote(&self, mark: Mark) -> bool {
        mark.writer == self.id
    }

    fn send_marked(
        &self,
        partition: i32,
        session: SessionId,
        mark: Mark,
        entry: &Entry,
    ) -> Result<rdkafka::producer::DeliveryFuture, QueueError> {
        let value = entry::encode(mark, entry);
        self.cluster.send(&self.cluster.topics.log(), partition, &session.to_string(), Some(&value))
    }

    fn mark(&self) -> Mark {
        Mark { writer: self.id, number: self.next.fetch_add(1, Ordering::Relaxed) }
    }
}

/// Nobody waits any more.
struct Forget<'writer> {
    writer: &'writer Writer,
    number: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(&self.writer.waiting).remove(&self.number);
    }
}

//! Reading a part of the log again.

use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::cluster::{Cluster, PATIENCE, unavailable};
use super::lock;
use super::tail::{Line, Tail};
use crate::error::QueueError;

/// How many parts are read at once; whoever else wants to waits. Each takes a client, with threads and connections of its own.
const AT_ONCE: usize = 8;

/// Clients that read parts of the log again. They are kept, because connecting takes longer than most reading.
pub(super) struct Scans {
    cluster: Arc<Cluster>,
    places: Semaphore,
    idle: Mutex<Vec<Tail>>,
}

impl Scans {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, places: Semaphore::new(AT_ONCE), idle: Mutex::default() }
    }

    /// Begins to read a partition from an offset that was read before, or stands in a pointer.
    pub(super) async fn begin(&self, partition: i32, from: i64) -> Result<Scan<'_>, QueueError> {
        let place = self.places.acquire().await.map_err(|_| QueueError::Unavailable("shutting down".to_owned()))?;
        let idle = lock(&self.idle).pop();
        let tail = idle.map_or_else(|| Tail::of_the_past(&self.cluster), Ok).map_err(unavailable)?;
        tail.follow(partition, from)?;
        Ok(Scan { scans: self, tail: Some(tail), partition, next: from, began: false, _place: place })
    }
}

/// Reads a part of one partition.
pub(super) struct Scan<'scans> {
    scans: &'scans Scans,
    /// Until this is dropped.
    tail: Option<Tail>,
    partition: i32,
    /// The offset of the next entry.
    pub(super) next: i64,
    began: bool,
    _place: SemaphorePermit<'scans>,
}

impl Scan<'_> {
    /// The next entry, which must be there. `None`: the log does not go back so far any more.
    pub(super) async fn read(&mut self) -> Result<Option<Line>, QueueError> {
        let Some(tail) = &self.tail else { return Ok(None) };
        let line = timeout(PATIENCE, tail.next()).await;
        let line = line.map_err(|_| QueueError::Unavailable("the log is not read within a second".to_owned()))?;
        let forgotten = !self.began && line.offset > self.next;
        (self.began, self.next) = (true, line.offset + 1);
        Ok((!forgotten).then_some(line))
    }

    /// Leaves out what stands before this offset, if that was not read yet.
    pub(super) fn go_to(&mut self, offset: i64) -> Result<(), QueueError> {
        if let Some(tail) = self.tail.as_ref().filter(|_| offset > self.next) {
            tail.leave(self.partition);
            tail.follow(self.partition, offset)?;
            self.next = offset;
        }
        Ok(())
    }
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        if let Some(tail) = self.tail.take() {
            tail.leave(self.partition);
            lock(&self.scans.idle).push(tail);
        }
    }
}

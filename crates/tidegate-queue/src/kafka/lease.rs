//! The right to run one task.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tidegate_core::id::{SessionId, TaskId};
use tokio::sync::watch;

use super::Home;
use super::entry::Entry;
use super::fold::Refusal;
use super::record::TaskRecord;
use super::worker::Grip;
use super::workers::{InUse, Workers};
use crate::error::QueueError;
use crate::flow::Flow;
use crate::lease::{Piece, Stop};

pub(crate) struct Lease {
    workers: Arc<Workers>,
    partition: i32,
    claim: i64,
    task: TaskRecord,
    attempt: u32,
    grip: Arc<Grip>,
    /// The number of the first emit that is not known to be written.
    seq: u32,
    /// The emits from there on.
    unwritten: VecDeque<Vec<Piece>>,
    _in_use: InUse,
    /// Whoever asked for it has it, and with it what reads the log for it.
    home: Option<Arc<Home>>,
}

/// What a claim that holds is about.
pub(super) struct Claimed {
    pub(super) partition: i32,
    pub(super) claim: i64,
    pub(super) task: TaskRecord,
    pub(super) attempt: u32,
    pub(super) grip: Arc<Grip>,
}

impl Lease {
    pub(super) fn new(workers: Arc<Workers>, claimed: Claimed) -> Self {
        let Claimed { partition, claim, task, attempt, grip } = claimed;
        let _in_use = workers.in_use();
        Self { workers, partition, claim, task, attempt, grip, seq: 0, unwritten: VecDeque::new(), _in_use, home: None }
    }

    /// The worker begins.
    pub(super) fn begun(mut self, home: Arc<Home>) -> Self {
        self.home = Some(home);
        self
    }

    pub(crate) fn session(&self) -> SessionId {
        self.task.session
    }

    pub(crate) fn task(&self) -> TaskId {
        self.task.task
    }

    pub(crate) fn payload(&self) -> &Bytes {
        &self.task.payload
    }

    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    pub(crate) fn stop(&self) -> watch::Receiver<Option<Stop>> {
        self.grip.stop.subscribe()
    }

    pub(crate) fn flow(&self) -> watch::Receiver<Flow> {
        self.grip.flow.subscribe()
    }

    pub(crate) async fn emit(&mut self, pieces: impl IntoIterator<Item = Piece>) -> Result<(), QueueError> {
        let pieces: Vec<Piece> = pieces.into_iter().collect();
        if !pieces.is_empty() {
            self.unwritten.push_back(pieces);
        }
        if self.is_settled() {
            return Err(QueueError::Lost);
        }
        self.write_all().await
    }

    pub(crate) async fn settle(&mut self, end: Bytes) -> Result<(), QueueError> {
        if self.is_settled() {
            return Ok(());
        }
        self.write_all().await?;
        match self.write(&Entry::Settle { claim: self.claim, seq: self.seq, end }).await? {
            Ok(_) => Ok(()),
            // It may have been written when nobody waited for it any more.
            Err(_) if self.is_settled() => Ok(()),
            Err(_) => Err(QueueError::Lost),
        }
    }

    async fn write_all(&mut self) -> Result<(), QueueError> {
        while let Some(pieces) = self.unwritten.front() {
            let entry = Entry::Emit { claim: self.claim, seq: self.seq, pieces: pieces.clone() };
            match self.write(&entry).await? {
                Ok(_) | Err(Refusal::Repeated) => {
                    self.unwritten.pop_front();
                    self.seq += 1;
                }
                Err(_) => return Err(QueueError::Lost),
            }
        }
        if self.is_lost() { Err(QueueError::Lost) } else { Ok(()) }
    }

    async fn write(&self, entry: &Entry) -> Result<Result<i64, Refusal>, QueueError> {
        if self.is_lost() {
            return Err(QueueError::Lost);
        }
        self.workers.writer.write(self.partition, self.task.session, entry).await
    }

    fn is_lost(&self) -> bool {
        *self.grip.stop.borrow() == Some(Stop::Lost)
    }

    fn is_settled(&self) -> bool {
        self.grip.settled.load(Ordering::Relaxed)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.is_settled() && !self.is_lost() {
            self.workers.give_back(self.partition, self.task.session, self.claim, self.home.is_some());
        }
        self.workers.let_go(self.task.session, self.claim);
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let task = self.task.task;
        f.debug_struct("Lease")
            .field("session", &self.task.session)
            .field("task", &task)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

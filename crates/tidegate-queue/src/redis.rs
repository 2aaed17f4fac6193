//! The queue in Redis. What it keeps there follows.

use std::time::Duration;

use bytes::Bytes;
use tidegate_core::id::{SessionId, TaskId};
use tokio::sync::watch;

use crate::error::QueueError;
use crate::lease::{Piece, Stop};
use crate::log::{Output, Past};
use crate::queue::Depth;
use crate::settings::Settings;

fn unavailable() -> QueueError {
    QueueError::Unavailable("not connected".to_owned())
}

#[derive(Debug, Clone)]
pub(crate) struct Queue;

impl Queue {
    pub(crate) fn open(_url: &str, _settings: Settings) -> Result<Self, String> {
        Ok(Self)
    }
    pub(crate) fn is_available(&self) -> bool {
        false
    }
    pub(crate) async fn create(&self, _id: SessionId, _ttl: Duration) -> Result<Owner, QueueError> {
        Err(unavailable())
    }
    pub(crate) async fn adopt(&self, _id: SessionId, _ttl: Duration) -> Result<Option<(Owner, Past)>, QueueError> {
        Err(unavailable())
    }
    pub(crate) async fn lease(&self) -> Result<Lease, QueueError> {
        Err(unavailable())
    }
    pub(crate) async fn depth(&self) -> Result<Depth, QueueError> {
        Err(unavailable())
    }
    pub(crate) async fn all_given_back(&self) {}
}

#[derive(Debug)]
pub(crate) struct Owner {
    session: SessionId,
}

impl Owner {
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }
    pub(crate) async fn next(&mut self) -> Result<Output, QueueError> {
        Err(unavailable())
    }
    pub(crate) async fn journal(&mut self, _entries: &[Bytes]) -> Result<(), QueueError> {
        Err(unavailable())
    }
    pub(crate) async fn snapshot(&mut self, _state: Bytes) -> Result<(), QueueError> {
        Err(unavailable())
    }
    pub(crate) async fn submit(&mut self, _task: TaskId, _payload: Bytes) -> Result<(), QueueError> {
        Err(unavailable())
    }
    pub(crate) async fn cancel(&mut self, _task: TaskId, _why: Bytes) -> Result<(), QueueError> {
        Err(unavailable())
    }
    pub(crate) async fn end(self) -> Result<(), QueueError> {
        Err(unavailable())
    }
}

#[derive(Debug)]
pub(crate) struct Lease {
    session: SessionId,
    task: TaskId,
    payload: Bytes,
    attempt: u32,
    stop: watch::Receiver<Option<Stop>>,
}

impl Lease {
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }
    pub(crate) fn task(&self) -> TaskId {
        self.task
    }
    pub(crate) fn payload(&self) -> &Bytes {
        &self.payload
    }
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }
    pub(crate) fn stop(&self) -> watch::Receiver<Option<Stop>> {
        self.stop.clone()
    }
    pub(crate) async fn emit(&mut self, _pieces: impl IntoIterator<Item = Piece>) -> Result<(), QueueError> {
        Err(unavailable())
    }
    pub(crate) async fn settle(&mut self, _end: Bytes) -> Result<(), QueueError> {
        Err(unavailable())
    }
}

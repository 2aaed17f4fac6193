//! The records of the task topic: one for each task, whose key is its session's id.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rdkafka::Message;
use tidegate_core::id::{SessionId, TaskId};

use super::cluster::Cluster;
use super::entry::{put_task, rest, task as get_task};
use crate::error::QueueError;

/// A task that its owner handed to the workers. Whether it is still to be run, the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TaskRecord {
    pub(super) session: SessionId,
    pub(super) task: TaskId,
    /// The offset of its [`super::entry::Entry::Submit`], which holds.
    pub(super) submitted: i64,
    pub(super) payload: Bytes,
}

/// Tells the workers of a task; on all replicas when it returns.
pub(super) async fn announce(
    cluster: &Arc<Cluster>,
    partition: i32,
    session: SessionId,
    task: TaskId,
    submitted: i64,
    payload: &Bytes,
) -> Result<(), QueueError> {
    let mut value = BytesMut::with_capacity(24 + payload.len());
    put_task(&mut value, task);
    value.put_i64(submitted);
    value.put_slice(payload);
    cluster.write(&cluster.topics.tasks(), partition, &session.to_string(), Some(&value)).await
}

/// Reads what [`announce`] wrote.
pub(super) fn read(message: &impl Message) -> Option<TaskRecord> {
    let session = SessionId::parse(std::str::from_utf8(message.key()?).ok()?)?;
    let mut value = Bytes::copy_from_slice(message.payload()?);
    let (task, submitted) = (get_task(&mut value)?, value.try_get_i64().ok()?);
    Some(TaskRecord { session, task, submitted, payload: rest(&mut value) })
}

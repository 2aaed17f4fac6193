//! Fetches tasks for the workers of this process that wait for one.
//!
//! One task does, on a connection of its own, because the command that waits for a task keeps everything behind it waiting. Whoever stops
//! waiting is passed over, so no task is ever handed to nobody.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult, cmd};
use tidegate_core::id::{SessionId, TaskId};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::entries::{Raw, RawEntry};
use super::lease::{Begun, Lease};
use super::scripts::SCRIPTS;
use super::{GROUP, Process, key, unavailable};
use crate::error::QueueError;
use crate::flow::Flow;

/// How many may wait for a lease in one process before the next waits for them.
pub(super) const WANTED: usize = 1024;
/// How long the server is asked to wait for a task. The connection's health is known that often.
const BLOCK: Duration = Duration::from_millis(500);
/// How many tasks are taken at once, at most.
const AT_ONCE: usize = 32;

/// Somebody who waits for a lease.
pub(super) type Wanted = oneshot::Sender<Result<Lease, QueueError>>;

/// Waits for a lease.
pub(super) async fn lease(wanted: &mpsc::Sender<Wanted>) -> Result<Lease, QueueError> {
    let (give, lease) = oneshot::channel();
    let gone = || QueueError::Unavailable("the process ends".to_owned());
    wanted.send(give).await.map_err(|_| gone())?;
    lease.await.map_err(|_| gone())?
}

/// Fetches, for as long as the process lives.
pub(super) async fn fetch(process: Arc<Process>, mut asked: mpsc::Receiver<Wanted>) {
    let mut waiting = VecDeque::new();
    let mut connection = None;
    let mut is_failing = false;
    loop {
        waiting.retain(|wanted: &Wanted| !wanted.is_closed());
        if waiting.is_empty() {
            let Some(wanted) = asked.recv().await else { return };
            waiting.push_back(wanted);
        }
        while let Ok(wanted) = asked.try_recv() {
            waiting.push_back(wanted);
        }
        let fetched = fetch_some(&process, &mut connection, &mut waiting).await;
        let has_failed = std::mem::replace(&mut is_failing, fetched.is_err());
        match fetched {
            Ok(()) if has_failed => info!("tasks are fetched again"),
            Ok(()) => {}
            Err(error) => {
                if !has_failed {
                    warn!(%error, "no tasks can be fetched");
                }
                connection = None;
                for wanted in waiting.drain(..) {
                    // Whoever is gone needs no answer.
                    drop(wanted.send(Err(error.clone())));
                }
            }
        }
    }
}

/// Waits for tasks, for at most [`BLOCK`], and hands them over.
async fn fetch_some(
    process: &Arc<Process>,
    connection: &mut Option<MultiplexedConnection>,
    waiting: &mut VecDeque<Wanted>,
) -> Result<(), QueueError> {
    let mut reader = match connection.take() {
        Some(reader) => reader,
        None => process.link.another(BLOCK).await?,
    };
    let tasks = read_tasks(&mut reader, waiting.len().min(AT_ONCE)).await.map_err(|error| unavailable(&error))?;
    *connection = Some(reader);
    for (entry, fields) in tasks {
        if let Some(lease) = begin(process, (entry, fields)).await? {
            hand_over(lease, waiting);
        }
    }
    Ok(())
}

async fn read_tasks(reader: &mut MultiplexedConnection, count: usize) -> RedisResult<Raw> {
    let mut read = cmd("XREADGROUP");
    read.arg("GROUP").arg(GROUP).arg(GROUP).arg("COUNT").arg(count);
    read.arg("BLOCK").arg(super::millis(BLOCK)).arg("STREAMS").arg(key("tasks")).arg(">");
    match read.query_async::<Option<Vec<(String, Raw)>>>(reader).await {
        Ok(streams) => Ok(streams.into_iter().flatten().flat_map(|(_, entries)| entries).collect()),
        Err(error) if error.code() == Some("NOGROUP") => make_group(reader).await.map(|()| Raw::new()),
        Err(error) => Err(error),
    }
}

/// From the stream's beginning: what was submitted before the first worker came is there.
async fn make_group(reader: &mut MultiplexedConnection) -> Result<(), RedisError> {
    let made = cmd("XGROUP").arg("CREATE").arg(key("tasks")).arg(GROUP).arg(0).arg("MKSTREAM").query_async(reader).await;
    // Another worker was quicker.
    made.or_else(|error: RedisError| if error.code() == Some("BUSYGROUP") { Ok(()) } else { Err(error) })
}

/// Takes the session's lock. `None`: the task is over, or was queued anew.
async fn begin(process: &Arc<Process>, (entry, fields): RawEntry) -> Result<Option<Lease>, QueueError> {
    let text = |place: usize| fields.get(place).and_then(|value| std::str::from_utf8(value).ok());
    let (Some(session), Some(task)) = (text(1).and_then(SessionId::parse), text(3).and_then(TaskId::parse)) else {
        error!(entry, "a task can't be read");
        return Ok(None);
    };
    let worker = process.token();
    let mut call = process.call(&SCRIPTS.begin, session);
    call.arg(&worker).arg(task.to_string()).arg(entry);
    let begun: Option<(u32, Bytes, u64, u64)> = process.run(&call).await?;
    Ok(begun.map(|(attempt, payload, said, taken)| {
        let flow = Flow::new(said, taken, process.settings.window);
        Lease::new(Arc::clone(process), Begun { session, task, worker, attempt, payload, flow })
    }))
}

/// To the first who still waits, or back.
fn hand_over(mut lease: Lease, waiting: &mut VecDeque<Wanted>) {
    while let Some(wanted) = waiting.pop_front() {
        match wanted.send(Ok(lease)) {
            Ok(()) => return,
            Err(Ok(back)) => lease = back,
            Err(Err(_)) => return,
        }
    }
    lease.give_back_untouched();
}

//! The lease of one task, and the task that keeps it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use redis::ScriptInvocation;
use tidegate_core::id::{SessionId, TaskId};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::scripts::SCRIPTS;
use super::{Process, verdict};
use crate::error::QueueError;
use crate::flow::Flow;
use crate::lease::{Piece, Stop};

/// The longest time between two attempts to renew a lease while the server can't be reached.
const RETRY: Duration = Duration::from_millis(500);

/// The right to run one task.
#[derive(Debug)]
pub(crate) struct Lease {
    process: Arc<Process>,
    session: SessionId,
    task: TaskId,
    payload: Bytes,
    attempt: u32,
    /// Its token.
    worker: String,
    /// Pieces that were not written yet, as far as is known. The first one is number `written` + 1.
    unsent: Vec<Piece>,
    written: u64,
    flow: watch::Sender<Flow>,
    stop: watch::Receiver<Option<Stop>>,
    /// Tells the keeper how the lease ended. Dropped, it says that the task has to be given back.
    ended: Option<oneshot::Sender<Ended>>,
}

/// How a worker left its task.
#[derive(Debug)]
enum Ended {
    /// With its end.
    Settled,
    /// Before any worker saw it.
    Untouched,
}

/// A task that was begun, as Redis tells it.
pub(super) struct Begun {
    pub(super) session: SessionId,
    pub(super) task: TaskId,
    /// The token that it was begun with.
    pub(super) worker: String,
    pub(super) attempt: u32,
    pub(super) payload: Bytes,
    pub(super) flow: Flow,
}

impl Lease {
    pub(super) fn new(process: Arc<Process>, begun: Begun) -> Self {
        let Begun { session, task, worker, attempt, payload, flow } = begun;
        let (ended, end) = oneshot::channel();
        let (stopper, stop) = watch::channel(None);
        let (flow, kept) = (watch::Sender::new(flow), process.leases.add(session));
        let keeper = Keeper { process: Arc::clone(&process), session, worker: worker.clone(), flow: flow.clone(), stopper, kept };
        tokio::spawn(keep(keeper, end));
        Self { process, session, task, payload, attempt, worker, unsent: Vec::new(), written: 0, flow, stop, ended: Some(ended) }
    }

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

    pub(crate) fn flow(&self) -> watch::Receiver<Flow> {
        self.flow.subscribe()
    }

    pub(crate) async fn emit(&mut self, pieces: impl IntoIterator<Item = Piece>) -> Result<(), QueueError> {
        self.unsent.extend(pieces);
        if self.unsent.is_empty() {
            return Ok(());
        }
        let mut call = self.process.call(&SCRIPTS.emit, self.session);
        call.arg(&self.worker);
        self.add_unsent(&mut call);
        let (word, said, taken): (String, u64, u64) = self.process.run(&call).await?;
        verdict(&word)?;
        self.flow.send_modify(|flow| flow.learn(said, taken));
        self.written += u64::try_from(self.unsent.len()).unwrap_or(u64::MAX);
        self.unsent.clear();
        Ok(())
    }

    pub(crate) async fn settle(&mut self, end: Bytes) -> Result<(), QueueError> {
        let mut call = self.process.call(&SCRIPTS.settle, self.session);
        call.arg(&self.worker).arg(self.task.to_string()).arg(end.as_ref());
        self.add_unsent(&mut call);
        verdict(&self.process.run::<String>(&call).await?)?;
        self.finish(Ended::Settled);
        Ok(())
    }

    /// Gives it back as if it had never been taken.
    pub(super) fn give_back_untouched(mut self) {
        self.finish(Ended::Untouched);
    }

    fn add_unsent(&self, call: &mut ScriptInvocation<'_>) {
        call.arg(self.written + 1);
        for piece in &self.unsent {
            call.arg(u8::from(piece.visible)).arg(piece.data.as_ref());
        }
    }

    fn finish(&mut self, how: Ended) {
        if let Some(ended) = self.ended.take() {
            // The keeper may be gone, when the lease was lost.
            drop(ended.send(how));
        }
    }
}

/// What keeps one lease alive.
struct Keeper {
    process: Arc<Process>,
    session: SessionId,
    worker: String,
    flow: watch::Sender<Flow>,
    stopper: watch::Sender<Option<Stop>>,
    kept: Kept,
}

/// Renews the lease until it ends, and gives it back if it was not settled.
async fn keep(keeper: Keeper, mut end: oneshot::Receiver<Ended>) {
    let lease = keeper.process.settings.lease;
    let (mut renewed, mut pause) = (Instant::now(), lease / 3);
    loop {
        tokio::select! {
            ended = &mut end => return keeper.end(ended.ok()).await,
            // Woken, or in time.
            _ = timeout(pause, keeper.kept.touched.notified()) => {}
        }
        let asked = Instant::now();
        match keeper.renew().await {
            Ok(cancelled) => {
                (renewed, pause) = (asked, lease / 3);
                if let Some(why) = cancelled {
                    keeper.stopper.send_replace(Some(Stop::Cancelled(why)));
                }
            }
            // Another worker may have the task by now, or will.
            Err(QueueError::Unavailable(_)) if renewed.elapsed() < lease => pause = RETRY.min(lease / 3),
            Err(_) => {
                keeper.stopper.send_replace(Some(Stop::Lost));
                // Its pieces may have been visible: told at once where the server can be reached, and otherwise by whoever looks next.
                return keeper.end(end.await.ok()).await;
            }
        }
    }
}

impl Keeper {
    /// Says that the worker lives, and asks what was taken. Returns why the task was cancelled, if it was.
    async fn renew(&self) -> Result<Option<Bytes>, QueueError> {
        let mut call = self.process.call(&SCRIPTS.renew, self.session);
        let (word, cancelled, said, taken): (String, Option<Bytes>, u64, u64) = self.process.run(call.arg(&self.worker)).await?;
        verdict(&word)?;
        self.flow.send_modify(|flow| flow.learn(said, taken));
        Ok(cancelled)
    }

    async fn end(&self, ended: Option<Ended>) {
        let untouched = match ended {
            Some(Ended::Settled) => return,
            Some(Ended::Untouched) => 1,
            None => 0,
        };
        let mut call = self.process.call(&SCRIPTS.release, self.session);
        call.arg(&self.worker).arg(self.process.settings.attempts).arg(untouched);
        // Refused, it is another's already.
        if let Err(error) = self.process.run::<String>(&call).await {
            warn!(session = %self.session, %error, "a task can't be given back, and waits until its lease runs out");
        }
    }
}

/// All leases of this process.
#[derive(Debug, Default)]
pub(super) struct Leases {
    kept: Arc<Mutex<HashMap<SessionId, Arc<Notify>>>>,
    /// Counts those that are not given back yet.
    count: watch::Sender<usize>,
}

/// One of them. Dropping it says that its task was settled or given back.
struct Kept {
    session: SessionId,
    touched: Arc<Notify>,
    leases: Arc<Mutex<HashMap<SessionId, Arc<Notify>>>>,
    count: watch::Sender<usize>,
}

impl Leases {
    fn add(&self, session: SessionId) -> Kept {
        let touched = Arc::new(Notify::new());
        lock(&self.kept).insert(session, Arc::clone(&touched));
        self.count.send_modify(|count| *count += 1);
        Kept { session, touched, leases: Arc::clone(&self.kept), count: self.count.clone() }
    }

    /// There may be something new about the session's task.
    pub(super) fn touch(&self, session: SessionId) {
        if let Some(lease) = lock(&self.kept).get(&session) {
            lease.notify_one();
        }
    }

    /// There may be something new about every task.
    pub(super) fn touch_all(&self) {
        lock(&self.kept).values().for_each(|lease| lease.notify_one());
    }

    pub(super) async fn all_given_back(&self) {
        // The sender is here, so there is always an answer.
        drop(self.count.subscribe().wait_for(|count| *count == 0).await);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut leases = lock(&self.leases);
        // The session's next task may be here already.
        if leases.get(&self.session).is_some_and(|lease| Arc::ptr_eq(lease, &self.touched)) {
            leases.remove(&self.session);
        }
        drop(leases);
        self.count.send_modify(|count| *count -= 1);
    }
}

fn lock(leases: &Mutex<HashMap<SessionId, Arc<Notify>>>) -> MutexGuard<'_, HashMap<SessionId, Arc<Notify>>> {
    // Nothing that holds it can panic.
    leases.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The right to decide about one session.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::id::{SessionId, TaskId};
use tokio::sync::{Notify, watch};

use super::Home;
use super::entry::{Entry, Position, Stamp};
use super::fold::Refusal;
use super::record;
use super::sessions::ViewId;
use crate::error::QueueError;
use crate::log::{Output, Past};

pub(crate) struct Owner {
    home: Arc<Home>,
    view: ViewId,
    changed: Arc<Notify>,
    available: watch::Receiver<bool>,
    epoch: i64,
    seq: u64,
    /// A journal entry may have been written or not.
    doubt: bool,
}

/// What [`Owner::next`] does next.
enum Step {
    Return(Result<Output, QueueError>),
    ReadSkipped,
    Wait,
}

impl Owner {
    pub(super) async fn create(home: Arc<Home>, session: SessionId, ttl: Duration) -> Result<Self, QueueError> {
        if home.sessions.pointers.find(session).await?.is_some() {
            return Err(QueueError::Fenced);
        }
        let view = home.sessions.begin(session, ttl).await?;
        let mut owner = Self::of(home, view);
        owner.epoch = owner.write(&Entry::Create).await?;
        let epoch = owner.epoch;
        let sessions = &owner.home.sessions;
        let pointer = sessions.with(view, |view| {
            (view.epoch, view.pointer.from) = (Some(epoch), epoch);
            view.pointer.clone()
        });
        sessions.pointers.write(session, pointer.as_ref()).await?;
        Ok(owner)
    }

    pub(super) async fn adopt(home: Arc<Home>, session: SessionId, ttl: Duration) -> Result<Option<(Self, Past)>, QueueError> {
        let Some(mut found) = home.sessions.pointers.find(session).await? else { return Ok(None) };
        let view = home.sessions.insert(session, super::pointer::Pointer { ttl, ..found.pointer.clone() }, true).await?;
        let mut owner = Self::of(home, view);
        owner.epoch = match owner.write(&Entry::Adopt).await {
            Err(QueueError::Gone) => return Ok(None),
            epoch => epoch?,
        };
        let past = owner.home.sessions.catch_up(view, &found, owner.epoch).await?;
        found.pointer.ttl = ttl;
        let left = past.is_some().then_some(&found.pointer);
        if left.is_none() {
            let stamp = owner.stamp();
            owner.home.sessions.writer.send(view.partition, session, &Entry::End { stamp });
        }
        owner.home.sessions.pointers.write(session, left).await?;
        Ok(past.map(|past| (owner, past)))
    }

    fn of(home: Arc<Home>, view: ViewId) -> Self {
        let changed = home.sessions.with(view, |view| Arc::clone(&view.changed)).unwrap_or_default();
        let available = home.cluster.available();
        Self { home, view, changed, available, epoch: -1, seq: 0, doubt: false }
    }

    pub(crate) fn session(&self) -> SessionId {
        self.view.session
    }

    pub(crate) async fn next(&mut self) -> Result<Output, QueueError> {
        loop {
            match self.step() {
                Step::Return(answer) => return answer,
                Step::ReadSkipped => self.home.sessions.read_skipped(self.view).await?,
                Step::Wait => tokio::select! {
                    () = self.changed.notified() => {}
                    Ok(()) = self.available.changed() => {
                        if !*self.available.borrow_and_update() {
                            return Err(QueueError::Unavailable("kafka does not answer".to_owned()));
                        }
                    }
                },
            }
        }
    }

    fn step(&self) -> Step {
        let step = self.home.sessions.with(self.view, |view| match (view.lost(), view.outputs.pop()) {
            (Some(error), _) => Step::Return(Err(error)),
            (None, Some(output)) => Step::Return(Ok(output)),
            (None, None) if view.outputs.skipped.is_some() => Step::ReadSkipped,
            (None, None) => Step::Wait,
        });
        step.unwrap_or(Step::Return(Err(QueueError::Gone)))
    }

    pub(crate) async fn journal(&mut self, entries: &[Bytes]) -> Result<(), QueueError> {
        if self.doubt {
            return Err(QueueError::InDoubt);
        }
        self.doubt = true;
        let (stamp, seen) = (self.stamp(), self.seen());
        let written = self.write(&Entry::Journal { stamp, seen, entries: entries.to_vec() }).await;
        self.doubt = matches!(written, Err(QueueError::Unavailable(_)));
        written.map(drop)
    }

    pub(crate) async fn snapshot(&mut self, state: Bytes) -> Result<(), QueueError> {
        let (stamp, seen) = (self.stamp(), self.seen());
        self.write(&Entry::Snapshot { stamp, seen, state }).await?;
        self.doubt = false;
        self.home.sessions.point(self.view);
        Ok(())
    }

    pub(crate) async fn submit(&mut self, task: TaskId, payload: Bytes) -> Result<(), QueueError> {
        let known = self.known(|view| (view.fold.task().map(|task| task.id), view.fold.ended_last(task)))?;
        match known {
            (_, true) => return Ok(()),
            (Some(current), _) if current != task => return Err(QueueError::Busy),
            (Some(_), _) => {}
            (None, _) => {
                self.home.depths.take_place(self.home.sessions.settings.global_max_size).await?;
                let stamp = self.stamp();
                self.write(&Entry::Submit { stamp, task }).await?;
            }
        }
        // Where it had been written before, that entry is the one that holds. One that a worker has needs no record any more.
        let waiting = self.known(|view| view.fold.task().filter(|of| of.id == task && of.claim.is_none()).map(|of| of.submitted))?;
        match waiting {
            Some(submitted) => record::announce(&self.home.cluster, self.view.partition, self.session(), task, submitted, &payload).await,
            None => Ok(()),
        }
    }

    pub(crate) async fn cancel(&mut self, task: TaskId, why: Bytes) -> Result<(), QueueError> {
        if self.known(|view| view.fold.task().is_none_or(|current| current.id != task))? {
            return Ok(());
        }
        let stamp = self.stamp();
        self.write(&Entry::Cancel { stamp, task, why }).await.map(drop)
    }

    pub(crate) async fn end(mut self) -> Result<(), QueueError> {
        let stamp = self.stamp();
        self.write(&Entry::End { stamp }).await?;
        self.home.sessions.pointers.write(self.session(), None).await
    }

    async fn write(&self, entry: &Entry) -> Result<i64, QueueError> {
        match self.home.sessions.writer.write(self.view.partition, self.session(), entry).await? {
            Ok(offset) => Ok(offset),
            Err(Refusal::Gone) => Err(QueueError::Gone),
            Err(Refusal::Fenced) => Err(QueueError::Fenced),
            Err(refusal) => Err(QueueError::Unavailable(format!("{refusal:?}"))),
        }
    }

    fn known<T>(&self, ask: impl FnOnce(&super::view::View) -> T) -> Result<T, QueueError> {
        let answer = self.home.sessions.with(self.view, |view| view.lost().map_or_else(|| Ok(ask(view)), Err));
        answer.unwrap_or(Err(QueueError::Gone))
    }

    fn seen(&self) -> Position {
        self.home.sessions.with(self.view, |view| view.outputs.seen).unwrap_or(Position::START)
    }

    fn stamp(&mut self) -> Stamp {
        self.seq += 1;
        Stamp { epoch: self.epoch, seq: self.seq }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.home.sessions.remove(self.view);
    }
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owner").field("session", &self.view.session).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

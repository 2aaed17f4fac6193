//! The right to decide about one session.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::id::{SessionId, TaskId};
use tokio::sync::{Notify, watch};

use super::Home;
use super::entry::{Entry, Position, Stamp};
use super::fold::Refusal;
use super::pointer::Pointer;
use super::record;
use super::sessions::ViewId;
use crate::error::QueueError;
use crate::log::{Output, Past};
use crate::settings::Tenure;

pub(crate) struct Owner {
    home: Arc<Home>,
    view: ViewId,
    changed: Arc<Notify>,
    outages: watch::Receiver<u64>,
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
    pub(super) async fn create(home: Arc<Home>, session: SessionId, tenure: &Tenure) -> Result<Self, QueueError> {
        // Where this has not been read yet, an earlier attempt of this process is meant, and the session begins once more.
        if home.sessions.pointers.lives(session) {
            return Err(QueueError::Fenced);
        }
        let view = home.sessions.insert(session, Pointer::new(tenure.clone()), false).await?;
        let mut owner = Self::of(home, view);
        let epoch = owner.write(&Entry::Create).await?;
        owner.epoch = epoch;
        owner.home.sessions.with(view, |view| view.epoch = Some(epoch));
        owner.point().await?;
        Ok(owner)
    }

    pub(super) async fn adopt(home: Arc<Home>, session: SessionId, tenure: &Tenure) -> Result<Option<(Self, Past)>, QueueError> {
        let Some((found, age)) = home.sessions.pointers.find(session).await? else { return Ok(None) };
        if found.tenure.holder != tenure.holder {
            return Ok(None);
        }
        let view = home.sessions.insert(session, Pointer { tenure: tenure.clone(), ..found }, true).await?;
        let mut owner = Self::of(home, view);
        owner.epoch = match owner.write(&Entry::Adopt).await {
            Err(QueueError::Gone) => return Ok(None),
            epoch => epoch?,
        };
        match owner.home.sessions.catch_up(view, owner.epoch).await? {
            Some((past, taken)) if !age.expired(taken) => {
                owner.point().await?;
                Ok(Some((owner, past)))
            }
            _ => {
                let stamp = owner.stamp();
                owner.home.sessions.writer.send(view.partition, session, &Entry::End { stamp });
                owner.home.sessions.pointers.write(session, None).await?;
                Ok(None)
            }
        }
    }

    fn of(home: Arc<Home>, view: ViewId) -> Self {
        let changed = home.sessions.with(view, |view| Arc::clone(&view.changed)).unwrap_or_default();
        let outages = home.cluster.outages();
        Self { home, view, changed, outages, epoch: -1, seq: 0, doubt: false }
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
                    // The sender lives as long as the process.
                    Ok(()) = self.outages.changed() => {
                        return Err(QueueError::Unavailable("kafka has not answered for some seconds".to_owned()));
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

    pub(crate) fn taken(&mut self) {
        let sessions = &self.home.sessions;
        let untold = sessions.with(self.view, |view| {
            view.outputs.taken = view.outputs.said;
            view.untold(sessions.settings.window, false)
        });
        // One that gets lost is said again.
        if let Some(entry) = untold.flatten() {
            sessions.writer.send(self.view.partition, self.view.session, &entry);
        }
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
        let sessions = &self.home.sessions;
        if let Some(pointer) = sessions.pointer(self.view) {
            sessions.pointers.send(self.view.partition, self.view.session, &pointer);
        }
        Ok(())
    }

    pub(crate) async fn submit(&mut self, task: TaskId, payload: Bytes) -> Result<(), QueueError> {
        let known = self.known(|view| (view.fold.task().map(|task| task.id), view.fold.ended_last(task)))?;
        match known {
            (_, true) => return Ok(()),
            (Some(current), _) if current != task => {
                // In an outage nobody hears that it is over.
                let cluster = &self.home.cluster;
                cluster.end_of(&cluster.topics.log(), self.view.partition).await?;
                return Err(QueueError::Busy);
            }
            (Some(_), _) => {}
            (None, _) => {
                self.home.depths.take_place(self.home.sessions.settings.global_max_size).await?;
                let (said, taken, holder) =
                    self.known(|view| (view.outputs.said, view.outputs.taken, Bytes::from(view.pointer.tenure.holder.clone())))?;
                let stamp = self.stamp();
                self.write(&Entry::Submit { stamp, task, said, taken, holder }).await?;
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

    /// Writes where the session's log is to be read.
    async fn point(&self) -> Result<(), QueueError> {
        let pointer = self.home.sessions.pointer(self.view).ok_or(QueueError::Gone)?;
        self.home.sessions.pointers.write(self.session(), Some(&pointer)).await
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

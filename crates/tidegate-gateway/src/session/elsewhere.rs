//! Prompts that workers run, behind a queue that outlives this process, and a session that another gateway can go on with.
//!
//! Whatever changes the session is in the queue's log before anybody is told of it: what its client said is noted by this gateway, what came
//! of its prompts by their workers. Another gateway that reads the log decides the same (`tidegate_core::session::Noted`).
//!
//! A queue that does not answer is asked again for some seconds, in which its client is told nothing. While the queue cannot be reached for
//! longer, new prompts are refused and running ones end, typed. What the session decides meanwhile is known here alone; once the queue is back, a
//! snapshot of it replaces what the log says.
//!
//! The file is long because writing the log and reading it again after a takeover have to be the same in every detail.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tidegate_core::Moment;
use tidegate_core::failure::Failure;
use tidegate_core::id::{KeyId, SessionId, TaskId};
use tidegate_core::session::{Noted, Places, Session, Settings, TaskEnd};
use tidegate_queue::{End, Entry, Output, Owner, Past, Queue, QueueError, Tenure};
use tokio::time::Instant;

use super::run::Happening;
use super::work::{self, Work};
use crate::clock::Clock;

/// A snapshot is worth its size once so much was logged since the last one.
const LEAST_LOGGED: usize = 256 * 1024;
/// How often a queue that could not be reached is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// For how long a client waits for a queue that does not answer: as long as an outage has to last before the queue tells of it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the queue is asked again in that time.
const ASK_SOON: Duration = Duration::from_millis(100);
/// How often it is tried to hand over a prompt while a worker has still the one before it, which an outage ended.
const FREE_AGAIN: Duration = Duration::from_millis(100);
/// How long a worker may take to hear why its prompt ends.
const LAST_WORD: Duration = Duration::from_secs(2);
/// Behind the key that holds a session which no other gateway may go on with. No key is called so, so nobody takes it over.
const ALONE: &str = " alone";
/// What a client reads of a prompt whose queue is gone.
const UNREACHABLE: &str = "the queue of prompts cannot be reached right now; what was said so far stands, and the rest is lost";
/// What it reads of one whose worker is gone.
const WORKER_LOST: &str = "the worker that ran it was lost after a part of the answer; ask again for a whole one";

/// The session's place in the queue.
pub(super) struct Elsewhere {
    queue: Queue,
    id: SessionId,
    tenure: Tenure,
    /// Another gateway may go on with it, so it is noted what its client says.
    is_kept: bool,
    /// `None` before the first prompt.
    owner: Option<Owner>,
    preparing: Option<Preparing>,
    /// The workers have it.
    running: Option<TaskId>,
    /// Its end was told without the queue: it is cancelled once the queue is back.
    orphan: Option<TaskId>,
    /// What the log says may not be what was decided: from this moment on it can be put right.
    in_doubt: Option<Instant>,
    /// Until then nothing is told that the log may lack.
    holds_until: Option<Instant>,
    /// Bytes in the log since the last snapshot, and that one's size.
    logged: usize,
    snapshot_size: usize,
}

struct Preparing {
    task: TaskId,
    /// A worker may have it already: another gateway had the session.
    may_run: bool,
    work: Pin<Box<dyn Future<Output = Result<Work, TaskEnd>> + Send>>,
}

/// Another gateway has the session, or nobody has it any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct NotOurs;

/// What comes from the queue.
pub(super) enum FromQueue {
    /// Something about a prompt.
    Happening(TaskId, Happening),
    /// A prompt may be handed to the workers.
    Ready(TaskId, Box<Work>),
    /// A prompt may not run.
    Refused(TaskId, TaskEnd),
    /// Nothing more is heard of this prompt.
    Lost(TaskId),
    /// The queue may be back.
    AskAgain,
    /// Another gateway has the session, or nobody has it any more.
    Gone,
}

/// A session that another gateway left.
pub(super) struct Adopted {
    pub(super) session: Session,
    pub(super) elsewhere: Elsewhere,
}

impl Elsewhere {
    /// The place of a session of whoever holds `key`. Nothing is asked of the queue before there is something to say.
    pub(super) fn new(queue: Queue, id: SessionId, key: Option<KeyId>, ttl: Duration, is_kept: bool) -> Self {
        Self {
            queue,
            id,
            tenure: tenure(key, ttl, is_kept),
            is_kept,
            owner: None,
            preparing: None,
            running: None,
            orphan: None,
            in_doubt: None,
            holds_until: None,
            logged: 0,
            snapshot_size: 0,
        }
    }

    /// Whether prompts can be taken right now.
    pub(super) fn is_available(&self) -> bool {
        self.queue.is_available() && self.in_doubt.is_none()
    }

    /// Whether another gateway may go on with the session.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// What happens next.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost.
    pub(super) async fn next(&mut self) -> FromQueue {
        loop {
            tokio::select! {
                made = made(&mut self.preparing) => {
                    let (Preparing { task, may_run, .. }, work) = made;
                    return match work {
                        Ok(work) => FromQueue::Ready(task, Box::new(work)),
                        Err(end) => {
                            if may_run {
                                self.orphan = Some(task);
                                self.doubt();
                            }
                            FromQueue::Refused(task, end)
                        }
                    };
                }
                output = output(&mut self.owner) => match output {
                    Ok(output) => {
                        if let Some(told) = self.told(output) {
                            return told;
                        }
                    }
                    Err(QueueError::Fenced | QueueError::Gone) => return FromQueue::Gone,
                    Err(error) => {
                        tracing::warn!(session = %self.id, %error, "a session's queue is gone");
                        self.doubt();
                        if let Some(task) = self.running.take() {
                            self.orphan = Some(task);
                            return FromQueue::Lost(task);
                        }
                    }
                },
                () = until(self.in_doubt) => return FromQueue::AskAgain,
            }
        }
    }

    /// Notes what happened, before the client is told what follows.
    ///
    /// # Errors
    ///
    /// [`NotOurs`]: then it has not happened, and nobody may be told.
    pub(super) async fn note(&mut self, noted: Noted) -> Result<(), NotOurs> {
        if !self.is_kept || self.in_doubt.is_some() {
            return Ok(());
        }
        let entry = json(&noted);
        self.logged += entry.len();
        let written = match self.owner().await {
            Ok(owner) => owner.journal(&[entry]).await,
            Err(error) => Err(error),
        };
        self.judge(written)
    }

    /// Whether nothing may be told before it is [settled](Self::settle).
    pub(super) fn is_held(&self) -> bool {
        self.holds_until.is_some()
    }

    /// Makes sure that the log knows all of the session before anything of it is told. A queue that does not answer for some seconds is not
    /// waited for any longer.
    ///
    /// # Errors
    ///
    /// [`NotOurs`]: nobody may be told.
    ///
    /// # Cancel safety
    ///
    /// Safe: what is in doubt stays so.
    pub(super) async fn settle(&mut self, session: &Session, clock: Clock) -> Result<(), NotOurs> {
        while self.in_doubt.is_some() && self.holds_until.is_some_and(|until| Instant::now() < until) {
            tokio::time::sleep(ASK_SOON).await;
            self.ask_again(session, clock.now()).await?;
        }
        self.holds_until = None;
        Ok(())
    }

    /// Makes sure that no other gateway has the session.
    ///
    /// # Errors
    ///
    /// [`NotOurs`]. Where the queue cannot be asked, it is taken for ours.
    pub(super) async fn still_ours(&mut self) -> Result<(), NotOurs> {
        match &mut self.owner {
            Some(owner) if self.in_doubt.is_none() => {
                let answer = owner.journal(&[]).await;
                self.judge(answer)
            }
            _ => Ok(()),
        }
    }

    /// Begins to make work of the prompt that the session has just started.
    pub(super) fn prepare(&mut self, task: TaskId, work: impl Future<Output = Result<Work, TaskEnd>> + Send + 'static) {
        self.preparing = Some(Preparing { task, may_run: false, work: Box::pin(work) });
    }

    /// The same of one that another gateway has started, and perhaps handed to the workers. They hear nothing of it a second time.
    pub(super) fn prepare_again(&mut self, task: TaskId, work: impl Future<Output = Result<Work, TaskEnd>> + Send + 'static) {
        self.preparing = Some(Preparing { task, may_run: true, work: Box::pin(work) });
    }

    /// Hands a prompt to the workers; a little later, where a worker has still to hear that the one before it is over.
    ///
    /// # Errors
    ///
    /// How it ends, where nobody takes it.
    pub(super) async fn submit(&mut self, work: Work) -> Result<(), TaskEnd> {
        // A worker may have the one before it, or get it again: first of all that one is cancelled.
        if self.orphan.is_some() {
            return Err(lost(false));
        }
        let payload = json(&work);
        let task = work.task;
        let began = Instant::now();
        let submitted = loop {
            let submitted = match self.owner().await {
                Ok(owner) => owner.submit(task, payload.clone()).await,
                Err(error) => Err(error),
            };
            match submitted {
                Err(QueueError::Unavailable(_)) if self.in_doubt.is_none() && began.elapsed() < PATIENCE => {
                    tokio::time::sleep(ASK_SOON).await;
                }
                submitted => break submitted,
            }
        };
        match submitted {
            Ok(()) => self.running = Some(task),
            Err(QueueError::Busy) => self.prepare(task, async move {
                tokio::time::sleep(FREE_AGAIN).await;
                Ok(work)
            }),
            Err(QueueError::Full) => return Err(work::refused(Failure::GatewayOverloaded, None)),
            Err(error) => {
                if self.judge(Err(error)).is_ok() {
                    // It may have been taken all the same.
                    self.orphan = Some(task);
                    return Err(lost(false));
                }
            }
        }
        Ok(())
    }

    /// Ends a prompt: at once where no worker has it, otherwise as its worker then says. Tells whether that was at once. Where it is not known
    /// yet whether a worker has it, nothing happens before it is [`FromQueue::Ready`].
    pub(super) async fn cancel(&mut self, task: TaskId, why: Failure) -> bool {
        if let Some(preparing) = self.preparing.take_if(|preparing| preparing.task == task) {
            self.preparing = Some(preparing).filter(|preparing| preparing.may_run);
            return self.preparing.is_none();
        }
        let cancelled = match &mut self.owner {
            Some(owner) => owner.cancel(task, json(&why)).await,
            None => return true,
        };
        let is_lost = cancelled.is_err();
        if is_lost {
            (self.orphan, self.running) = (Some(task), None);
        }
        self.judge(cancelled).is_ok() && is_lost
    }

    /// The client has taken all that was told of its prompts: their workers may say as much again.
    pub(super) fn taken(&mut self) {
        if let Some(owner) = &mut self.owner {
            owner.taken();
        }
    }

    /// Whether the log has grown so much that a snapshot is worth its size.
    pub(super) fn is_full(&self) -> bool {
        self.in_doubt.is_none() && self.logged > LEAST_LOGGED.max(self.snapshot_size)
    }

    /// Writes down all of the session, in the place of what the log says of it; nothing, where nobody else goes on with it.
    ///
    /// # Errors
    ///
    /// [`NotOurs`].
    pub(super) async fn keep(&mut self, session: &Session, now: Moment) -> Result<(), NotOurs> {
        let kept = if self.is_kept { json(&session.snapshot(now)) } else { Bytes::new() };
        let size = kept.len();
        let written = match self.owner().await {
            Ok(owner) => owner.snapshot(kept).await,
            Err(error) => Err(error),
        };
        if written.is_ok() {
            (self.in_doubt, self.logged, self.snapshot_size) = (None, 0, size);
        }
        self.judge(written)
    }

    /// Asks whether the queue is back, and puts in order what happened meanwhile.
    ///
    /// # Errors
    ///
    /// [`NotOurs`].
    pub(super) async fn ask_again(&mut self, session: &Session, now: Moment) -> Result<(), NotOurs> {
        self.in_doubt = Some(Instant::now() + ASK_AGAIN);
        if !self.queue.is_available() {
            return Ok(());
        }
        if let (Some(task), Some(owner)) = (self.orphan, &mut self.owner) {
            let cancelled = owner.cancel(task, json(&Failure::Cancelled)).await;
            if cancelled.is_err() {
                return self.judge(cancelled);
            }
            self.orphan = None;
        }
        if self.is_kept {
            return self.keep(session, now).await;
        }
        self.in_doubt = None;
        Ok(())
    }

    /// The session is over, because its client was lost for this reason or left: everything about it is deleted, and its prompt ends.
    pub(super) async fn end(self: Box<Self>, loss: Failure) {
        let Some(mut owner) = self.owner else { return };
        // A worker that finds its session gone takes the client for gone. That it was given up is told before.
        if let Some(task) = self.running.filter(|_| loss == Failure::SlowClient)
            && owner.cancel(task, json(&loss)).await.is_ok()
        {
            let _heard = tokio::time::timeout(LAST_WORD, ended(&mut owner, task)).await;
        }
        if let Err(error) = owner.end().await {
            tracing::debug!(session = %self.id, %error, "a session is left to expire");
        }
    }

    async fn owner(&mut self) -> Result<&mut Owner, QueueError> {
        match &mut self.owner {
            Some(owner) => Ok(owner),
            none => {
                let created = match self.queue.create(self.id, self.tenure.clone()).await {
                    // Nobody else knows it: an earlier attempt was given up here and came through there.
                    Err(QueueError::Fenced) => self.queue.adopt(self.id, self.tenure.clone()).await?.ok_or(QueueError::Gone)?.0,
                    created => created?,
                };
                Ok(none.insert(created))
            }
        }
    }

    fn judge(&mut self, written: Result<(), QueueError>) -> Result<(), NotOurs> {
        match written {
            Ok(()) => Ok(()),
            // `next` says so, too.
            Err(QueueError::Fenced | QueueError::Gone) => Err(NotOurs),
            Err(error) => {
                tracing::warn!(session = %self.id, %error, "the queue did not take what a session says");
                if self.in_doubt.is_none() {
                    self.holds_until = Some(Instant::now() + PATIENCE);
                }
                self.doubt();
                Ok(())
            }
        }
    }

    fn doubt(&mut self) {
        self.in_doubt.get_or_insert_with(|| Instant::now() + ASK_AGAIN);
    }

    fn told(&mut self, output: Output) -> Option<FromQueue> {
        self.logged += match &output {
            Output::Piece { data, .. } => data.len(),
            Output::Ended { end: End::Settled(data), .. } => data.len(),
            Output::Ended { .. } => 0,
        };
        let (task, happening) = read(output)?;
        if matches!(happening, Happening::Ended(_)) {
            self.running.take_if(|running| *running == task);
        }
        Some(FromQueue::Happening(task, happening))
    }
}

/// Takes over a session that another gateway had, for the holder of `key`. `None` where there is none of theirs.
///
/// # Errors
///
/// The queue did not answer: whether there is one is not known.
///
/// # Cancel safety
///
/// Not safe: the old owner may be fenced off and nobody be the new one.
pub(super) async fn adopt(
    queue: &Queue,
    id: SessionId,
    key: Option<KeyId>,
    settings: &Arc<Settings>,
    places: &Places,
    now: Moment,
) -> Result<Option<Adopted>, QueueError> {
    let Some((owner, past)) = queue.adopt(id, tenure(key, settings.resume_ttl, true)).await? else { return Ok(None) };
    let Some(session) = replay(past, id, settings, places, now) else { return Ok(None) };
    let elsewhere = Elsewhere { owner: Some(owner), ..Elsewhere::new(queue.clone(), id, key, settings.resume_ttl, true) };
    Ok(Some(Adopted { session, elsewhere }))
}

/// A session is its key's, or anybody's where no key is asked for.
fn tenure(key: Option<KeyId>, ttl: Duration, is_kept: bool) -> Tenure {
    let mut holder = key.map_or_else(String::new, |key| key.to_string());
    if !is_kept {
        holder.push_str(ALONE);
    }
    Tenure { ttl, holder }
}

/// The key in a [`Tenure::holder`] that a gateway wrote; `None` where it asked for none.
#[must_use]
pub fn key_of(holder: &str) -> Option<&str> {
    Some(holder.strip_suffix(ALONE).unwrap_or(holder)).filter(|key| !key.is_empty())
}

/// The session as its owner left it. `None` where another version wrote what this one cannot read.
fn replay(past: Past, id: SessionId, settings: &Arc<Settings>, places: &Places, now: Moment) -> Option<Session> {
    let (settings, places) = (Arc::clone(settings), places.clone());
    let mut session = match past.snapshot {
        Some(kept) => Session::restore(serde_json::from_slice(&kept).ok()?, settings, places, now),
        None => Session::forgotten(id, settings, places, now),
    };
    // What it says was said, and what it starts or stops is looked up once all is known.
    let mut said = Vec::new();
    for entry in past.entries {
        match entry {
            Entry::Journal(noted) => session.replay(serde_json::from_slice(&noted).ok()?, now, &mut said),
            Entry::Output(output) => {
                if let Some((task, happening)) = read(output) {
                    session.handle(happening.into_input(task), now, &mut said);
                }
            }
        }
        said.clear();
    }
    Some(session)
}

/// What a worker, or the queue, says about a task. What cannot be read was written by another version; it is nobody's.
fn read(output: Output) -> Option<(TaskId, Happening)> {
    match output {
        Output::Piece { task, data } => Some((task, serde_json::from_slice(&data).ok()?)),
        Output::Ended { task, end } => Some((task, Happening::Ended(end_of(&end)))),
    }
}

/// What the end that the queue has of a task means: what the task's client is told.
#[must_use]
pub fn end_of(end: &End) -> TaskEnd {
    let failed = |failure, message: Option<&str>, partial| TaskEnd::Failed {
        failure,
        message: message.map(Arc::from),
        partial,
        retry_after: None,
        stream: None,
    };
    match end {
        End::Settled(end) => serde_json::from_slice(end).unwrap_or_else(|_| failed(Failure::Internal, None, false)),
        End::Lost => failed(Failure::UpstreamCut, Some(WORKER_LOST), true),
        End::GivenUp => failed(Failure::Internal, Some("worker after worker was lost while it ran this prompt"), false),
        End::Cancelled => failed(Failure::Cancelled, None, false),
    }
}

/// The end of a prompt of which nothing more is heard.
pub(super) fn lost(partial: bool) -> TaskEnd {
    TaskEnd::Failed {
        failure: Failure::GatewayOverloaded,
        message: Some(Arc::from(UNREACHABLE)),
        partial,
        retry_after: Some(ASK_AGAIN),
        stream: None,
    }
}

/// Waits until then; for ever, where nothing is to be waited for.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits for the work that is being made, and takes it; for ever, where none is.
async fn made(preparing: &mut Option<Preparing>) -> (Preparing, Result<Work, TaskEnd>) {
    let work = match preparing {
        Some(Preparing { work, .. }) => work.as_mut().await,
        None => std::future::pending().await,
    };
    match preparing.take() {
        Some(preparing) => (preparing, work),
        None => std::future::pending().await,
    }
}

/// Waits for the next word of the log; for ever, before there is one.
async fn output(owner: &mut Option<Owner>) -> Result<Output, QueueError> {
    match owner {
        Some(owner) => owner.next().await,
        None => std::future::pending().await,
    }
}

/// Waits until a prompt is over.
async fn ended(owner: &mut Owner, task: TaskId) -> Result<(), QueueError> {
    while !matches!(owner.next().await?, Output::Ended { task: over, .. } if over == task) {}
    Ok(())
}

/// As the log keeps it: our own types, which are data.
pub(super) fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

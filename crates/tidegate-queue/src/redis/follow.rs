//! Reads the logs of all sessions that this process owns, each as far as its owner has room.
//!
//! One task reads, many logs at once. It reads those of which something new was heard (*touched*), and passes over those whose owner doesn't
//! keep up: their log keeps what they haven't taken.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use redis::{RedisResult, pipe};
use tidegate_core::id::SessionId;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};
use tracing::error;

use super::entries::{LogEntry, Position, Raw, What, id};
use super::{Process, log_key, unavailable};
use crate::error::QueueError;
use crate::log::Output;

/// How many outputs are read ahead for one session.
const AHEAD: usize = 64;
/// How many logs are read in one go.
const LOGS: usize = 128;
/// Before the server is asked again after a failure.
const RETRY: Duration = Duration::from_millis(250);

/// All sessions that this process owns.
#[derive(Debug, Default)]
pub(super) struct Follows {
    inner: Mutex<Inner>,
    /// Something was touched.
    touched: Notify,
    /// There is something to tell.
    to_tell: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    follows: HashMap<SessionId, Follow>,
    /// Those that are touched, in the order in which they were: no session waits for a livelier one.
    touched: VecDeque<SessionId>,
    /// Those of whose client the server has to hear that it took much.
    to_tell: HashSet<SessionId>,
}

/// The reader's end of one session.
#[derive(Debug)]
struct Follow {
    /// The owner's token.
    owner: Arc<str>,
    ttl: Duration,
    touched: bool,
    /// When the session's expiry was put off the last time.
    refreshed: Instant,
    /// Up to here the log was read.
    position: Position,
    /// The last entry that was read, but for the owner's own: those it deletes itself.
    anchor: Position,
    outputs: mpsc::Sender<(Position, Output)>,
    fate: Arc<Fate>,
}

/// What both ends of one session know.
#[derive(Debug, Default)]
struct Fate {
    /// The reader found no room, and has to be told when there is some.
    no_room: AtomicBool,
    /// The number of the owner's last command that was answered.
    answered: AtomicU64,
    /// How much of what was said the client took, and how much of that the server knows.
    taken: AtomicU64,
    told: AtomicU64,
    /// Why nothing comes any more.
    over: OnceLock<QueueError>,
}

/// The owner's end.
#[derive(Debug)]
pub(super) struct Followed {
    outputs: mpsc::Receiver<(Position, Output)>,
    fate: Arc<Fate>,
}

/// A log to read.
pub(super) struct Read {
    session: SessionId,
    owner: Arc<str>,
    position: Position,
    room: usize,
}

/// What the server has to agree with, if the session is to go on.
pub(super) struct Held {
    pub(super) session: SessionId,
    pub(super) owner: Arc<str>,
    pub(super) answered: u64,
    pub(super) anchor: Position,
    pub(super) taken: u64,
}

impl Follows {
    /// Begins to follow a session, behind `position`. Whoever in this process followed it before is fenced off.
    pub(super) fn add(&self, session: SessionId, owner: Arc<str>, ttl: Duration, position: Position) -> Followed {
        let (sender, outputs) = mpsc::channel(AHEAD);
        let fate = Arc::new(Fate::default());
        let (refreshed, touched) = (Instant::now(), false);
        let follow = Follow { owner, ttl, touched, refreshed, position, anchor: position, outputs: sender, fate: Arc::clone(&fate) };
        if let Some(before) = self.lock().follows.insert(session, follow) {
            before.end(QueueError::Fenced);
        }
        self.touch(session);
        Followed { outputs, fate }
    }

    /// There may be something new in its log.
    pub(super) fn touch(&self, session: SessionId) {
        let mut inner = self.lock();
        inner.touch(session);
        self.touched.notify_one();
    }

    /// There may be something new in every log.
    pub(super) fn touch_all(&self) {
        let mut inner = self.lock();
        let all: Vec<SessionId> = inner.follows.keys().copied().collect();
        all.into_iter().for_each(|session| inner.touch(session));
        self.touched.notify_one();
    }

    /// The server has to hear at once how much this session's client took.
    pub(super) fn tell(&self, session: SessionId) {
        self.lock().to_tell.insert(session);
        self.to_tell.notify_one();
    }

    /// Waits until there is something to tell ([`Self::to_tell`]).
    ///
    /// Cancel-safe.
    pub(super) async fn has_to_tell(&self) {
        self.to_tell.notified().await;
    }

    /// The sessions of which there is something to tell.
    pub(super) fn to_tell(&self) -> Vec<Held> {
        let Inner { follows, to_tell, .. } = &*self.lock();
        to_tell.iter().filter_map(|session| Some(follows.get(session)?.held(*session))).collect()
    }

    /// This is not the session's owner any more.
    pub(super) fn end(&self, session: SessionId, owner: &str, why: QueueError) {
        let mut inner = self.lock();
        if inner.follows.get(&session).is_some_and(|follow| *follow.owner == *owner) {
            inner.end(session, why);
        }
    }

    /// All sessions, or those of which the server has to hear at this moment: their expiry has to be put off, or there is something to tell.
    pub(super) fn held(&self, due: Option<Instant>) -> Vec<Held> {
        let Inner { follows, to_tell, .. } = &*self.lock();
        let is_due = |follow: &Follow| due.is_none_or(|now| now.duration_since(follow.refreshed) >= follow.ttl / 3);
        let due = follows.iter().filter(|(session, follow)| is_due(follow) || to_tell.contains(session));
        due.map(|(session, follow)| follow.held(*session)).collect()
    }

    /// It was put off, as asked for at `now`, and what it says was told.
    pub(super) fn refreshed(&self, held: &Held, now: Instant) {
        let Inner { follows, to_tell, .. } = &mut *self.lock();
        if let Some(follow) = follows.get_mut(&held.session).filter(|follow| follow.owner == held.owner) {
            follow.refreshed = now;
            follow.fate.told.store(held.taken, Ordering::Relaxed);
            if follow.fate.taken.load(Ordering::Relaxed) == held.taken {
                to_tell.remove(&held.session);
            }
        }
    }

    /// Takes some of the touched logs whose owner has room.
    fn take(&self) -> Vec<Read> {
        let Inner { follows, touched, .. } = &mut *self.lock();
        let mut reads = Vec::new();
        while reads.len() < LOGS
            && let Some(session) = touched.pop_front()
        {
            let Some(follow) = follows.get_mut(&session) else { continue };
            follow.touched = false;
            if let Some(room) = follow.room() {
                reads.push(Read { session, owner: Arc::clone(&follow.owner), position: follow.position, room });
            }
        }
        reads
    }

    /// Hands over what was read.
    fn deliver(&self, read: &Read, log: Raw) {
        let mut inner = self.lock();
        let Some(follow) = inner.follows.get_mut(&read.session).filter(|follow| follow.owner == read.owner) else { return };
        let more = log.len() == read.room;
        let fenced = log.into_iter().map_while(|entry| LogEntry::read(entry).ok()).any(|entry| follow.deliver(entry).is_break());
        if fenced {
            inner.end(read.session, QueueError::Fenced);
        } else if more {
            inner.touch(read.session);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can panic half-way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn touch(&mut self, session: SessionId) {
        if let Some(follow) = self.follows.get_mut(&session).filter(|follow| !follow.touched) {
            follow.touched = true;
            self.touched.push_back(session);
        }
    }

    fn end(&mut self, session: SessionId, why: QueueError) {
        self.to_tell.remove(&session);
        if let Some(follow) = self.follows.remove(&session) {
            follow.end(why);
        }
    }
}

impl Follow {
    fn held(&self, session: SessionId) -> Held {
        let Fate { answered, taken, .. } = &*self.fate;
        let (answered, taken) = (answered.load(Ordering::Relaxed), taken.load(Ordering::Relaxed));
        Held { session, owner: Arc::clone(&self.owner), answered, anchor: self.anchor, taken }
    }

    /// How much its owner takes now. `None`: nothing, and it says when it does.
    fn room(&self) -> Option<usize> {
        // Said before it is looked at again, so that an owner that makes room in between is not missed.
        self.fate.no_room.store(true, Ordering::SeqCst);
        let room = self.outputs.capacity();
        (room > 0).then(|| {
            self.fate.no_room.store(false, Ordering::SeqCst);
            room
        })
    }

    /// Breaks where the session is another's from here on.
    fn deliver(&mut self, entry: LogEntry) -> ControlFlow<()> {
        self.position = entry.at;
        match entry.what {
            // Only one that came later: what was there before was read when the session was taken over.
            What::Owner => return ControlFlow::Break(()),
            // There is room: nobody else sends, and no more was read than fits. A receiver that is gone needs nothing.
            What::Output(output) => drop(self.outputs.try_send((entry.at, output))),
            What::Journal { .. } => return ControlFlow::Continue(()),
            What::Unknown => {}
        }
        self.anchor = entry.at;
        ControlFlow::Continue(())
    }

    fn end(self, why: QueueError) {
        // The owner learns of it when it has taken the rest.
        drop(self.fate.over.set(why));
    }
}

impl Followed {
    /// The next output, and where it stood. An error says why there are no more.
    ///
    /// Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<(Position, Output), QueueError> {
        self.outputs.recv().await.ok_or_else(|| self.fate.over.get().cloned().unwrap_or(QueueError::Fenced))
    }

    /// The owner's command with this number was answered.
    pub(super) fn answered(&self, op: u64) {
        self.fate.answered.store(op, Ordering::Relaxed);
    }

    /// The client took so much. Returns how much of that the server doesn't know yet.
    pub(super) fn taken(&self, taken: u64) -> u64 {
        self.fate.taken.store(taken, Ordering::Relaxed);
        taken.saturating_sub(self.fate.told.load(Ordering::Relaxed))
    }

    /// Whether the reader waits for room that is there now.
    pub(super) fn has_room_again(&self) -> bool {
        self.outputs.len() <= AHEAD / 2 && self.fate.no_room.swap(false, Ordering::SeqCst)
    }
}

/// Reads, for as long as the process lives.
pub(super) async fn read(process: Arc<Process>) {
    let follows = &process.follows;
    loop {
        let reads = follows.take();
        if reads.is_empty() {
            follows.touched.notified().await;
            continue;
        }
        match read_logs(&process, &reads).await {
            Ok(logs) => {
                for (read, log) in reads.iter().zip(logs) {
                    match log {
                        Ok(log) => follows.deliver(read, log),
                        // Its owner waits until something new is heard of it; the others don't.
                        Err(error) => error!(session = %read.session, %error, "a log can't be read"),
                    }
                }
            }
            Err(_) => {
                reads.iter().for_each(|read| follows.touch(read.session));
                sleep(RETRY).await;
            }
        }
    }
}

async fn read_logs(process: &Process, reads: &[Read]) -> Result<Vec<RedisResult<Raw>>, QueueError> {
    let mut connection = process.link.connection().await?;
    let mut commands = pipe();
    commands.ignore_errors();
    for read in reads {
        commands.cmd("XRANGE").arg(log_key(read.session)).arg(format!("({}", id(read.position))).arg("+").arg("COUNT").arg(read.room);
    }
    commands.query_async(&mut connection).await.map_err(|error| unavailable(&error))
}

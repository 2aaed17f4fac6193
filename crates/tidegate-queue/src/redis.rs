//! The queue in one Redis server.
//!
//! # What is there to see
//!
//! Everything is below `tidegate:{queue}:`. The braces keep all keys on one node of a cluster, because most steps change several of them at once.
//!
//! | key | type | what |
//! | --- | --- | --- |
//! | `tasks` | stream | one entry, `session` and `task`, for each task that has no end: `XLEN`. Its group `workers` says which of them a worker has, and for how long it gave no sign of life: `XPENDING tidegate:{queue}:tasks workers - + 10` |
//! | `session:sess_…` | hash | who owns the session and where its task stands: `HGETALL` |
//! | `log:sess_…` | stream | what its owner wrote and its workers said since the snapshot: `XRANGE … - +` |
//!
//! A session's hash holds `owner` (the gateway's process), `epoch` (how often it changed hands), `op` (the owner's last command), `ttl` in milliseconds and
//! `snapshot`. While it has a task, also `task`, its `entry` in `tasks`, `payload`, and `attempt`; while a worker has that, `worker` (its
//! process), `emitted` (pieces) and, once there is any, `visible` output; `cancel` when it was asked to stop. `fence` counts leases. `last` is the task
//! that ended last, `settled` the fence of the worker that ended it, 0 if the queue did.
//!
//! A log's entries begin with their `kind`: `owner` (from here on it is `epoch`'s), `journal` (with what the writer had `read`), `piece`, and `end` (`settled`,
//! `lost`, `given_up` or `cancelled`).
//!
//! Processes are told that there is something new about a session on the channel `process:…`, which `owner` and `worker` name. What is said there
//! is a hint: whoever didn't hear it finds out later by itself.
//!
//! # How it holds
//!
//! - Each step is one script (`redis/scripts`), so it happens as a whole or not at all, also in the append-only file.
//! - A lease is an entry's place among the group's pending ones. Renewing sets its idle time to zero; whoever finds one that was idle for longer
//!   than a lease takes it away and raises the fence, and from then on the old worker's commands are refused. All processes look.
//! - An owner's commands carry its epoch and a number that grows. One that was given up on and arrives late is refused.
//! - Sessions expire by themselves (`PEXPIRE` on both keys); their owner puts that off.
//! - All times are Redis's own.
//!
//! The server has to keep what it is given: `appendonly yes`, and `maxmemory-policy noeviction`.

mod entries;
mod fetch;
mod follow;
mod lease;
mod link;
mod owner;
mod scripts;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use ::redis::{FromRedisValue, Script, ScriptInvocation};
use bytes::Bytes;
use tidegate_core::id::SessionId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub(crate) use self::lease::Lease;
pub(crate) use self::owner::Owner;
use crate::error::QueueError;
use crate::log::Past;
use crate::queue::Depth;
use crate::settings::Settings;
use entries::LogEntry;
use follow::Follows;
use lease::Leases;
use link::Link;
use scripts::SCRIPTS;

/// Below it is everything that the queue keeps.
const PREFIX: &str = "tidegate:{queue}:";
/// The consumer group, and the one consumer in it: who has a task, its session says.
const GROUP: &str = "workers";
/// How long a call waits for its answer.
const CALL: Duration = Duration::from_secs(1);

/// One process's way to the queue.
#[derive(Debug, Clone)]
pub(crate) struct Queue(Arc<Home>);

/// Ends what works in the background when nobody needs it any more.
#[derive(Debug)]
struct Home {
    process: Arc<Process>,
    /// Asks for a lease.
    wanted: mpsc::Sender<fetch::Wanted>,
    _background: JoinSet<()>,
}

/// What everything in this process shares.
#[derive(Debug)]
struct Process {
    /// What it is called in Redis.
    name: String,
    settings: Settings,
    link: Link,
    follows: Follows,
    leases: Leases,
}

impl Queue {
    pub(crate) fn open(url: &str, settings: Settings) -> Result<Self, String> {
        let name = format!("{:016x}", rand::random::<u64>());
        let link = Link::new(url)?;
        let process = Arc::new(Process { name, settings, link, follows: Follows::default(), leases: Leases::default() });
        let (wanted, asked) = mpsc::channel(fetch::WANTED);
        let mut background = JoinSet::new();
        background.spawn(link::keep(Arc::clone(&process)));
        background.spawn(follow::read(Arc::clone(&process)));
        background.spawn(upkeep::keep(Arc::clone(&process)));
        background.spawn(fetch::fetch(Arc::clone(&process), asked));
        Ok(Self(Arc::new(Home { process, wanted, _background: background })))
    }

    pub(crate) fn is_available(&self) -> bool {
        self.0.process.link.is_up()
    }

    pub(crate) async fn create(&self, id: SessionId, ttl: Duration) -> Result<Owner, QueueError> {
        let process = &self.0.process;
        let mut call = process.call(&SCRIPTS.create, id);
        call.arg(&process.name).arg(millis(ttl));
        let at: Option<String> = process.run(&call).await?;
        let at = at.ok_or(QueueError::Fenced)?;
        Ok(Owner::new(Arc::clone(&self.0), id, ttl, 1, entries::position(&at)?))
    }

    pub(crate) async fn adopt(&self, id: SessionId, ttl: Duration) -> Result<Option<(Owner, Past)>, QueueError> {
        let process = &self.0.process;
        let mut call = process.call(&SCRIPTS.adopt, id);
        call.arg(&process.name).arg(millis(ttl));
        let Some((epoch, snapshot, log)) = process.run::<Option<(u64, Option<Bytes>, entries::Raw)>>(&call).await? else { return Ok(None) };
        let log: Vec<LogEntry> = log.into_iter().map(LogEntry::read).collect::<Result<_, _>>()?;
        let at = log.last().map(|entry| entry.at).unwrap_or_default();
        let past = Past { snapshot, entries: entries::in_owners_order(log) };
        Ok(Some((Owner::new(Arc::clone(&self.0), id, ttl, epoch, at), past)))
    }

    pub(crate) async fn lease(&self) -> Result<Lease, QueueError> {
        fetch::lease(&self.0.wanted).await
    }

    pub(crate) async fn depth(&self) -> Result<Depth, QueueError> {
        let process = &self.0.process;
        let (waiting, running) = process.run(&SCRIPTS.depth.key(key("tasks"))).await?;
        Ok(Depth { waiting, running })
    }

    pub(crate) async fn all_given_back(&self) {
        self.0.process.leases.all_given_back().await;
    }
}

impl Process {
    /// Begins a call of a script about one session.
    fn call<'script>(&self, script: &'script Script, session: SessionId) -> ScriptInvocation<'script> {
        let mut call = script.prepare_invoke();
        call.key(key("tasks")).key(state_key(session)).key(log_key(session)).arg(session.to_string());
        call
    }

    /// Runs it, for at most [`CALL`].
    async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, QueueError> {
        let mut connection = self.link.connection().await?;
        let answer = timeout(CALL, call.invoke_async(&mut connection)).await;
        answer.map_err(|_| QueueError::Unavailable("no answer in time".to_owned()))?.map_err(unavailable)
    }
}

fn unavailable(error: ::redis::RedisError) -> QueueError {
    QueueError::Unavailable(error.to_string())
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn state_key(session: SessionId) -> String {
    format!("{PREFIX}session:{session}")
}

fn log_key(session: SessionId) -> String {
    format!("{PREFIX}log:{session}")
}

/// For Redis, which refuses zero.
fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Reads the word with which a script says how it went.
fn verdict(word: &str) -> Result<(), QueueError> {
    match word {
        "ok" => Ok(()),
        "fenced" => Err(QueueError::Fenced),
        "gone" => Err(QueueError::Gone),
        "full" => Err(QueueError::Full),
        "busy" => Err(QueueError::Busy),
        "lost" => Err(QueueError::Lost),
        // Only a caller that is gone gets this one: it was given up on, and a later command of the same owner came first.
        other => Err(QueueError::Unavailable(other.to_owned())),
    }
}

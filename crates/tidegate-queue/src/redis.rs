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
//! | `memo:task_…` | string | what a worker noted with the task's end: for a moment, or for a week where that worker died in it |
//!
//! A session's hash holds `owner` and the number of its last command, `op`; `holder`, whose it is; `ttl` in milliseconds; the `snapshot` and what it `covers` of the
//! log; how much its workers `said` in all, and how much of that its client has `taken`. While the session has a task, also `task`, its `entry` in `tasks`, `payload`, and `attempt`; while a worker has that, `worker`, how many pieces
//! it `emitted` and, once there is any, `visible` output; `cancel` when it was asked to stop. `last` is the task that ended last, and `settled` the worker
//! that ended it, if one did.
//!
//! Owners and workers are named by a token: the name of their process, a dot, and a number. Each is used once.
//!
//! A log's entries begin with their `kind`: `owner` (from here on it is this one's), `journal` (with what the writer had `read`), `piece`, and `end` (`settled`,
//! `lost`, `given_up` or `cancelled`).
//!
//! A process is told that there is something new about a session on the channel `process:…` with its name. What is said there is a hint: whoever
//! didn't hear it finds out later by itself.
//!
//! # How it holds
//!
//! - Each step is one script (`redis/scripts`), so it happens as a whole or not at all, also in the append-only file.
//! - A lease is an entry's place among the group's pending ones. Renewing sets its idle time to zero. Whoever finds one that was idle for longer
//!   than a lease takes it away; all processes look. The next lease has another token, so what the old worker still sends is refused.
//! - An owner's commands carry its token and a number that grows. One that was given up on and arrives late is refused.
//! - Sessions expire by themselves (`PEXPIRE` on both keys); their owner puts that off.
//! - All times are Redis's own.
//! - A server that lost its last moments when it crashed (`appendfsync everysec`), or a replica that took over without them, contradicts what was
//!   said already. Owners find that out before they do anything else, and their sessions are gone, which their clients are told. Sessions that
//!   nothing happened to in those moments go on.
//!
//! The server has to keep what it is given: `appendonly yes`, and `maxmemory-policy noeviction`. A full one refuses what is new and finishes what it
//! has.

mod entries;
mod fetch;
mod follow;
mod lease;
mod link;
mod owner;
mod scripts;
mod upkeep;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::redis::{Cmd, FromRedisValue, Script, ScriptInvocation, cmd};
use bytes::Bytes;
use tidegate_core::id::{SessionId, TaskId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub(crate) use self::lease::Lease;
pub(crate) use self::owner::Owner;
use crate::error::QueueError;
use crate::log::Past;
use crate::queue::Depth;
use crate::settings::{Settings, Tenure};
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
/// Memos that are asked for in one call, so that a call stays short.
const MEMOS: usize = 64;

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
    /// What it is called in Redis, in hexadecimal digits.
    name: String,
    /// Counts the tokens that it has given out.
    tokens: AtomicU64,
    settings: Settings,
    link: Link,
    follows: Follows,
    leases: Leases,
}

impl Queue {
    pub(crate) fn open(url: &str, settings: Settings) -> Result<Self, String> {
        let name = format!("{:016x}", rand::random::<u64>());
        let link = Link::new(url)?;
        let process =
            Arc::new(Process { name, tokens: AtomicU64::new(0), settings, link, follows: Follows::default(), leases: Leases::default() });
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

    pub(crate) async fn create(&self, id: SessionId, tenure: &Tenure) -> Result<Owner, QueueError> {
        let Tenure { ttl, holder } = tenure;
        let process = &self.0.process;
        let owner = process.token();
        let at: Option<String> = process.run(process.call(&SCRIPTS.create, id).arg(&owner).arg(millis(*ttl)).arg(holder)).await?;
        let at = at.ok_or(QueueError::Fenced)?;
        Ok(Owner::new(Arc::clone(&self.0), id, *ttl, owner, (entries::position(&at)?, 0)))
    }

    pub(crate) async fn adopt(&self, id: SessionId, tenure: &Tenure) -> Result<Option<(Owner, Past)>, QueueError> {
        let Tenure { ttl, holder } = tenure;
        let process = &self.0.process;
        let owner = process.token();
        let left: Option<(Option<Bytes>, entries::Raw, u64)> =
            process.run(process.call(&SCRIPTS.adopt, id).arg(&owner).arg(millis(*ttl)).arg(holder)).await?;
        let Some((snapshot, log, said)) = left else { return Ok(None) };
        let log = log.into_iter().map(LogEntry::read).collect::<Result<Vec<_>, _>>()?;
        // The last entry is the one that says that the session is ours now.
        let at = log.last().map(|entry| entry.at).unwrap_or_default();
        let past = Past { snapshot, entries: entries::in_owners_order(log) };
        Ok(Some((Owner::new(Arc::clone(&self.0), id, *ttl, owner, (at, said)), past)))
    }

    pub(crate) async fn lease(&self) -> Result<Lease, QueueError> {
        fetch::lease(&self.0.wanted).await
    }

    pub(crate) async fn memos(&self, tasks: &[(SessionId, TaskId)]) -> Result<HashMap<TaskId, Bytes>, QueueError> {
        let mut memos = HashMap::new();
        for some in tasks.chunks(MEMOS) {
            let keys: Vec<_> = some.iter().map(|(_, task)| memo_key(*task)).collect();
            let found: Vec<Option<Bytes>> = self.0.process.ask(cmd("MGET").arg(keys)).await?;
            memos.extend(some.iter().zip(found).filter_map(|((_, task), memo)| Some((*task, memo?))));
        }
        Ok(memos)
    }

    pub(crate) async fn forget_memo(&self, task: TaskId) -> Result<(), QueueError> {
        self.0.process.ask(cmd("UNLINK").arg(memo_key(task))).await
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
    /// What an owner or a worker calls itself. It is never used again, so whoever knows it is the one.
    fn token(&self) -> String {
        format!("{}.{}", self.name, self.tokens.fetch_add(1, Ordering::Relaxed))
    }

    /// Begins a call of a script about one session.
    fn call<'script>(&self, script: &'script Script, session: SessionId) -> ScriptInvocation<'script> {
        let mut call = script.prepare_invoke();
        call.key(key("tasks")).key(state_key(session)).key(log_key(session)).arg(session.to_string());
        call
    }

    /// Runs it, for at most [`CALL`].
    async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, QueueError> {
        in_time(async {
            let mut connection = self.link.connection().await?;
            call.invoke_async(&mut connection).await.map_err(|error| unavailable(&error))
        })
        .await
    }

    /// The same of a command.
    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, QueueError> {
        in_time(async {
            let mut connection = self.link.connection().await?;
            command.query_async(&mut connection).await.map_err(|error| unavailable(&error))
        })
        .await
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
    timeout(CALL, answer).await.unwrap_or_else(|_| Err(QueueError::Unavailable("no answer in time".to_owned())))
}

fn unavailable(error: &::redis::RedisError) -> QueueError {
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

fn memo_key(task: TaskId) -> String {
    format!("{PREFIX}memo:{task}")
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

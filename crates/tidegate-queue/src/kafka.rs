//! The queue in Kafka.
//!
//! | topic | a record is | key |
//! | --- | --- | --- |
//! | `tidegate.log` | an entry of a session's log ([`entry`]) | session |
//! | `tidegate.tasks` | a task that waits for a worker ([`record`]) | session |
//! | `tidegate.sessions` | where a session's log is to be read ([`pointer`]); compacted | session |
//!
//! All three have the same number of partitions, and everything about a session is in the one of the same number.
//!
//! **The log decides.** Kafka takes every write; whether an entry holds follows from those before it ([`fold`]), and every reader comes to the
//! same answer: an owner's entry behind the [`entry::Entry::Adopt`] of a later owner does not hold, nor does what a worker says whose claim
//! ran out or was another's first. Each writer reads its own entries back before it goes on ([`writer`]), which is when they are on all
//! replicas anyway. Leases run out by the broker's clock, which dates the entries.
//!
//! **Workers** share the partitions of the task topic as the group `tidegate.workers` ([`worker`]). The group only says who looks first: a task
//! is run by whose claim stands first in the log. So a rebalance disturbs no task, a worker without tasks helps out elsewhere, and tasks that
//! are read twice run once. Offsets are committed up to the first task that is not settled; how many wait and run beside it is in the
//! commit's metadata, which is how the depth of the queue is known ([`depth`]).
//!
//! **Owners** read the partitions of their sessions, each gateway by one reader ([`sessions`]). What an owner is too slow for is skipped, and
//! read again when it asks for it. An heir reads the stretches that the pointer names ([`trail`]), from the last snapshot on, and what came
//! after the pointer was written, which its owner does three times in its time to live.
//!
//! **What a process keeps**: a pointer of each session of the whole queue, a few hundred bytes; what the log says of each session that it owns,
//! with at most 256 KiB of outputs that the owner has not read; of each task of its partitions that has no end, the payload, and 16 MiB of
//! those that wait; and for each reader what it read ahead, at most 16 MiB. A session that ends is forgotten in all of that when its end is
//! read, and one that nobody has any more after twice its time to live.
//!
//! With `kcat -C -t tidegate.sessions -K:` one sees which sessions there are, and with `kafka-consumer-groups --describe --group
//! tidegate.workers` how far the workers are.

mod brokers;
mod cluster;
mod depth;
mod entry;
mod fold;
mod group;
mod lease;
mod owner;
mod past;
mod pointer;
mod record;
mod replay;
mod scan;
mod sessions;
mod tail;
mod topics;
mod trail;
mod view;
mod worker;
mod workers;
mod writer;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rdkafka::error::KafkaError;
use tidegate_core::id::{SessionId, TaskId};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

pub use self::brokers::BadBrokers;
use self::cluster::Cluster;
use self::depth::Depths;
use self::entry::Entry;
pub(crate) use self::lease::Lease;
pub(crate) use self::owner::Owner;
use self::pointer::Pointers;
use self::replay::Wanted;
pub use self::replay::{Attempt, Fate, Replay, Replayed};
use self::sessions::Sessions;
pub use self::topics::Topics;
use self::workers::Workers;
use crate::error::QueueError;
use crate::log::Past;
use crate::queue::Depth;
use crate::settings::{Settings, Tenure};

/// How far the clocks of gateways and brokers may be apart.
const SKEW: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Queue(Arc<Home>);

/// What works in the background for one process, until nobody needs it any more.
struct Home {
    cluster: Arc<Cluster>,
    sessions: Arc<Sessions>,
    depths: Arc<Depths>,
    /// Once somebody asked for a lease.
    workers: OnceLock<Arc<Workers>>,
    runtime: Handle,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Queue {
    pub(crate) fn open(brokers: &str, topics: Topics, settings: Settings) -> Result<Self, BadBrokers> {
        brokers::check(brokers)?;
        let home = Home::new(brokers, topics, settings).map_err(|error| BadBrokers::Refused(error.to_string()))?;
        home.run(Arc::clone(&home.cluster).keep_watch(home.sessions.settings.lease));
        home.run(Arc::clone(&home.sessions.pointers).keep_reading());
        home.run(Arc::clone(&home.sessions).keep_reading());
        home.run(Arc::clone(&home.sessions).warm_up());
        home.run(Arc::clone(&home.sessions).keep_house());
        Ok(Self(Arc::new(home)))
    }

    pub(crate) fn is_available(&self) -> bool {
        *self.0.cluster.available().borrow() && self.0.sessions.pointers.complete()
    }

    pub(crate) async fn create(&self, id: SessionId, tenure: &Tenure) -> Result<Owner, QueueError> {
        Owner::create(Arc::clone(&self.0), id, tenure).await
    }

    pub(crate) async fn adopt(&self, id: SessionId, tenure: &Tenure) -> Result<Option<(Owner, Past)>, QueueError> {
        Owner::adopt(Arc::clone(&self.0), id, tenure).await
    }

    pub(crate) async fn lease(&self) -> Result<Lease, QueueError> {
        self.0.cluster.partitions().await?;
        let lease = self.0.workers()?.lease().await?;
        Ok(lease.begun(Arc::clone(&self.0)))
    }

    pub(crate) async fn memos(&self, tasks: &[(SessionId, TaskId)]) -> Result<HashMap<TaskId, Bytes>, QueueError> {
        let (mut wanted, mut memos) = (HashSet::new(), HashMap::new());
        let mut since: HashMap<SessionId, SystemTime> = HashMap::new();
        for &(session, task) in tasks {
            wanted.insert(task);
            // The task is as old as its id, which another clock dated.
            let age = u64::try_from(task.number() >> 80).map(Duration::from_millis).unwrap_or_default();
            let submitted = SystemTime::UNIX_EPOCH + age.saturating_sub(SKEW);
            since.entry(session).and_modify(|since| *since = submitted.min(*since)).or_insert(submitted);
        }
        let mut replay = Replay::of(Arc::clone(&self.0.cluster), Wanted::These(since)).await?;
        while !wanted.is_empty()
            && let Some(Replayed { task, memo, .. }) = replay.next().await?
        {
            if wanted.remove(&task) && !memo.is_empty() {
                memos.insert(task, memo);
            }
        }
        Ok(memos)
    }

    /// It stands in the log for as long as everything else.
    #[expect(clippy::unused_async, reason = "other backends ask their server")]
    pub(crate) async fn forget_memo(&self, _: TaskId) -> Result<(), QueueError> {
        Ok(())
    }

    pub(crate) async fn depth(&self) -> Result<Depth, QueueError> {
        self.0.depths.sum().await
    }

    pub(crate) async fn all_given_back(&self) {
        if let Some(workers) = self.0.workers.get() {
            workers.all_given_back().await;
        }
    }
}

impl Home {
    fn new(brokers: &str, topics: Topics, settings: Settings) -> Result<Self, KafkaError> {
        let cluster = Arc::new(Cluster::new(brokers, topics)?);
        let pointers = Arc::new(Pointers::new(Arc::clone(&cluster))?);
        let sessions = Arc::new(Sessions::new(Arc::clone(&cluster), pointers, settings)?);
        let depths = Arc::new(Depths::new(Arc::clone(&cluster)));
        Ok(Self { cluster, sessions, depths, workers: OnceLock::new(), runtime: Handle::current(), tasks: Mutex::default() })
    }

    fn workers(&self) -> Result<&Arc<Workers>, QueueError> {
        if let Some(workers) = self.workers.get() {
            return Ok(workers);
        }
        let sessions = &self.sessions;
        let made =
            Workers::new(&self.cluster, &sessions.pointers, &self.depths, sessions.settings.clone()).map_err(cluster::unavailable)?;
        Ok(self.workers.get_or_init(|| {
            let workers = Arc::new(made);
            self.run(Arc::clone(&workers).keep_reading_log());
            self.run(Arc::clone(&workers).keep_reading_assigned());
            self.run(Arc::clone(&workers).keep_reading_borrowed());
            self.run(Arc::clone(&workers).keep_claiming());
            self.run(Arc::clone(&workers).keep_house());
            workers
        }))
    }

    fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.tasks).push(self.runtime.spawn(task).abort_handle());
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        lock(&self.tasks).iter().for_each(AbortHandle::abort);
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("topics", &self.0.cluster.topics).finish_non_exhaustive()
    }
}

impl Settings {
    /// What is said of a claim whose worker seems to be lost.
    fn expiry(&self, claim: i64) -> Entry {
        let lease_millis = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
        Entry::Expire { claim, lease_millis, attempts: self.attempts }
    }
}

/// A panic elsewhere left nothing half done: what is locked is changed in single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Unix milliseconds, for comparing with a broker's where it needn't be exact.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

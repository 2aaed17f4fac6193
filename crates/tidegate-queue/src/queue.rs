//! One process's way to the queue.

use std::collections::HashMap;

use bytes::Bytes;
use tidegate_core::id::{SessionId, TaskId};

use crate::error::QueueError;
#[cfg(feature = "kafka")]
use crate::kafka;
use crate::lease::Lease;
use crate::log::Past;
use crate::owner::Owner;
#[cfg(feature = "redis")]
use crate::redis;
use crate::settings::{Settings, Tenure};

/// One process's way to the queue. Clones share it.
///
/// It works in the background: it connects, and again when the connection is lost; it reads for the sessions that it owns, keeps them and
/// its leases alive, and ends or requeues what workers left behind, its own and others'. That stops when the last clone and the last
/// [`Owner`] are dropped; a [`Lease`] alone doesn't hold it.
#[derive(Debug, Clone)]
pub struct Queue(Backend);

#[derive(Debug, Clone)]
enum Backend {
    #[cfg(feature = "redis")]
    Redis(redis::Queue),
    #[cfg(feature = "kafka")]
    Kafka(kafka::Queue),
}

/// How much there is to do, over all gateways and workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Tasks that wait for a worker.
    pub waiting: u64,
    /// Tasks that a worker has.
    pub running: u64,
}

/// Does the same whichever backend it is.
macro_rules! on_backend {
    ($self:ident, $queue:ident => $answer:expr) => {
        match &$self.0 {
            #[cfg(feature = "redis")]
            Backend::Redis($queue) => $answer,
            #[cfg(feature = "kafka")]
            Backend::Kafka($queue) => $answer,
        }
    };
}

impl Queue {
    /// The queue in a Redis server, version 7 or later, at `redis://[user:password@]host[:port][/database]`, or `rediss://…` for TLS.
    ///
    /// Connects in the background; until it has, everything is [`QueueError::Unavailable`]. To be called in a tokio runtime that outlives
    /// the queue.
    ///
    /// # Errors
    ///
    /// What is wrong with the address. Its password is not repeated.
    #[cfg(feature = "redis")]
    pub fn redis(url: &str, settings: Settings) -> Result<Self, String> {
        redis::Queue::open(url, settings).map(|queue| Self(Backend::Redis(queue)))
    }

    /// The queue in a Kafka cluster, version 3.0 or later, of which these brokers are known: `host:port[,host:port…]`. `global_max_size` is
    /// kept as far as the count of waiting tasks is known, which is a fraction of a second old.
    ///
    /// Connects in the background, and creates the topics where they are missing; until then, everything is [`QueueError::Unavailable`]. To
    /// be called in a tokio runtime that outlives the queue.
    ///
    /// # Errors
    ///
    /// What is wrong with the list. Brokers that cannot be reached are none of it.
    #[cfg(feature = "kafka")]
    pub fn kafka(brokers: &str, topics: kafka::Topics, settings: Settings) -> Result<Self, kafka::BadBrokers> {
        kafka::Queue::open(brokers, topics, settings).map(|queue| Self(Backend::Kafka(queue)))
    }

    /// Whether the server answered the last time. What a readiness probe asks.
    #[must_use]
    pub fn is_available(&self) -> bool {
        on_backend!(self, queue => queue.is_available())
    }

    /// Creates a session and owns it. `id` was never used before.
    ///
    /// # Errors
    ///
    /// [`QueueError::Unavailable`]; [`QueueError::Fenced`] if there is such a session.
    ///
    /// # Cancel safety
    ///
    /// Safe: a session that was created for nobody expires.
    pub async fn create(&self, id: SessionId, tenure: impl Into<Tenure>) -> Result<Owner, QueueError> {
        let tenure = tenure.into();
        on_backend!(self, queue => queue.create(id, &tenure).await.map(Into::into))
    }

    /// Takes a session over from whoever owns it, which is fenced off, and reads what it left. `None`: this holder has no such session.
    ///
    /// A task that was submitted goes on, and its outputs continue where [`Past::entries`] end. One that the old owner may have submitted
    /// or not is simply submitted again: see [`Owner::submit`].
    ///
    /// # Errors
    ///
    /// [`QueueError::Unavailable`].
    ///
    /// # Cancel safety
    ///
    /// Not safe: the old owner may be fenced off and nobody be the new one. Calling it again puts that right.
    pub async fn adopt(&self, id: SessionId, tenure: impl Into<Tenure>) -> Result<Option<(Owner, Past)>, QueueError> {
        let tenure = tenure.into();
        on_backend!(self, queue => Ok(queue.adopt(id, &tenure).await?.map(|(owner, past)| (owner.into(), past))))
    }

    /// Waits for a task to run. Tasks come in the order of their submission, each to one worker.
    ///
    /// # Errors
    ///
    /// [`QueueError::Unavailable`]. A worker waits a little and calls it again.
    ///
    /// # Cancel safety
    ///
    /// Safe: a task that came too late goes to the next who asks.
    pub async fn lease(&self) -> Result<Lease, QueueError> {
        on_backend!(self, queue => queue.lease().await.map(Into::into))
    }

    /// What the workers that settled these tasks kept with their ends ([`Lease::memo`]), also once the sessions are over. One is not here where
    /// none did, it was [forgotten](Self::forget_memo), or it is more than a week old.
    ///
    /// Ask for all at once: a log is read for it, and read once.
    ///
    /// # Errors
    ///
    /// [`QueueError::Unavailable`].
    ///
    /// # Cancel safety
    ///
    /// Safe: it only asks.
    pub async fn memos(&self, tasks: &[(SessionId, TaskId)]) -> Result<HashMap<TaskId, Bytes>, QueueError> {
        if tasks.is_empty() {
            return Ok(HashMap::new());
        }
        on_backend!(self, queue => queue.memos(tasks).await)
    }

    /// The memo is not needed any more, and need not be kept.
    ///
    /// # Errors
    ///
    /// [`QueueError::Unavailable`]: then it is kept for its week.
    ///
    /// # Cancel safety
    ///
    /// Safe: it is kept or not.
    pub async fn forget_memo(&self, task: TaskId) -> Result<(), QueueError> {
        on_backend!(self, queue => queue.forget_memo(task).await)
    }

    /// How much there is to do.
    ///
    /// # Errors
    ///
    /// [`QueueError::Unavailable`].
    ///
    /// # Cancel safety
    ///
    /// Safe: it only asks.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        on_backend!(self, queue => queue.depth().await)
    }

    /// Waits until every lease of this process is settled or dropped, and given back as far as the server can be reached. What a worker does last.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only watches. What was not given back is taken back when its lease runs out.
    pub async fn all_given_back(&self) {
        on_backend!(self, queue => queue.all_given_back().await);
    }
}

//! `[queue]` and `[sessions]`, checked.

use std::fmt;
use std::time::Duration;

use tidegate_core::pool::PoolBounds;
use tidegate_core::session::QueuePolicy;
use url::Url;

/// How the prompts of sessions wait for their turn, and who runs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Where they wait. A change needs a restart.
    pub backend: QueueBackend,
    /// Most that wait in one session, beside the one that runs; at least 1.
    pub max_queue_size: usize,
    /// Most that wait in all sessions together; not below `max_queue_size`. A change needs a restart.
    pub global_max_size: usize,
    /// What becomes of a prompt that finds its session's queue full.
    pub policy: QueuePolicy,
    /// How long a worker may give no sign of life before its task is another's; 1 s to 1 h. A change needs a restart.
    pub lease: Duration,
    /// Tasks that this process is always ready to run at once; at least 1. A change needs a restart.
    pub min_workers: usize,
    /// Most tasks that this process runs at once; not below `min_workers`. A change needs a restart.
    pub max_workers: usize,
}

impl Queue {
    /// Between how many and how many tasks this process runs at once.
    #[must_use]
    pub fn pool(&self) -> PoolBounds {
        PoolBounds { least: self.min_workers, most: self.max_workers }
    }
}

/// Where prompts wait, and who runs them.
///
/// Its `Debug` form does not show an address, which may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub enum QueueBackend {
    /// In this process, which also runs them.
    Memory,
    /// In this Redis server (`redis://` or `rediss://`, a password may be in it); workers are processes of their own.
    Redis(Url),
    /// In this Kafka; workers are processes of their own.
    Kafka(Kafka),
}

/// Topics of a Kafka cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kafka {
    /// Brokers to begin with (`host:port`), at least one.
    pub brokers: Vec<String>,
    /// What the topics' names begin with.
    pub topics: String,
    /// How many partitions the topics get where they are made; 1 to 1,000.
    pub partitions: u16,
}

impl QueueBackend {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis(_) => "redis",
            Self::Kafka(_) => "kafka",
        }
    }
}

impl fmt::Debug for QueueBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// WebSocket sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sessions {
    /// Model of a PROMPT that names none; served by [`Config::model`](crate::Config::model). `None`: every PROMPT has to name one.
    pub model: Option<String>,
    /// After this long without a sign of life the peer is pinged, and after twice as long it is dead; 1 s to 10 min.
    pub heartbeat: Duration,
    /// A session without tasks ends this long after its client's last message; 1 s to 7 days.
    pub idle_ttl: Duration,
    /// How long a session outlives its connection, where its client can resume it; 1 s to 1 h.
    pub resume_ttl: Duration,
    /// Largest message of a client in bytes, 1 KiB to 64 MiB; a larger one closes the connection with 1009.
    pub max_message: usize,
    /// Sessions that may be there at once, those without a connection included; a further handshake is refused with 503.
    pub max_sessions: usize,
    /// Whose pages may open sessions beside those of the gateway's own host, as browsers write it into `Origin`:
    /// `scheme://host`, with a port that is not the scheme's own. [`ANY_ORIGIN`] stands for every one.
    pub allowed_origins: Vec<String>,
}

/// Stands for every origin in [`Sessions::allowed_origins`].
pub const ANY_ORIGIN: &str = "*";

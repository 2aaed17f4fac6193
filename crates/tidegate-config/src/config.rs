//! The validated settings: what the rest of Tidegate reads.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_core::breaker::BreakerPolicy;
use tidegate_core::budget::BudgetPolicy;
use tidegate_core::limits::{Limits, TimeoutProfile};
use tidegate_core::retry::RetryPolicy;
use tidegate_core::session::Settings as SessionSettings;

mod model;
mod provider;
mod recovery;
mod sessions;

pub use self::model::{Degrade, Model, Models, OnDisconnect, OnMalformed, Route, SlowGuard, Timing};
pub use self::provider::{Http2, Provider, ProviderKind};
pub use self::recovery::{Deadline, Notify, PriceSettings};
pub use self::sessions::{ANY_ORIGIN, Kafka, Queue, QueueBackend, Sessions};
pub use crate::profiles::Profiles;

/// Every setting of one Tidegate process, checked.
///
/// Only [`Config::load`](crate::Config::load) makes one, so each value is within its bounds and each route names a provider.
#[derive(Debug, Clone)]
pub struct Config {
    /// The gateway's own door: addresses, limits and waits on the client's side.
    pub server: Server,
    /// Where stream records are kept.
    pub ledger: Ledger,
    /// The providers by name; never empty (with none configured, the built-in mock stands here).
    pub providers: BTreeMap<String, Provider>,
    /// What clients may ask for.
    pub models: Models,
    /// The timeout profiles by name: the standard ones and the operator's own.
    pub profiles: Profiles,
    /// How often and how patiently a failed attempt is repeated before any output (`[retry]`).
    pub retry: RetryPolicy,
    /// How many repetitions there may be in all (`[retry]`).
    pub budget: BudgetPolicy,
    /// When a target that fails is left alone, and for how long.
    pub breaker: BreakerPolicy,
    /// How a caller's deadline is read, and how it travels on.
    pub deadline: Deadline,
    /// How the prompts of sessions wait for their turn, and who runs them.
    pub queue: Queue,
    /// WebSocket sessions.
    pub sessions: Sessions,
    /// Answers that are made in the background.
    pub notify: Notify,
    /// What the operator knows better than the price table, by `provider/model`, `model` or `prefix*`.
    pub prices: BTreeMap<String, PriceSettings>,
    /// How the process logs.
    pub log: Log,
}

impl Config {
    /// The model that serves `name`: the one of exactly this name, else the pattern with the longest matching prefix.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.get(name)
    }

    /// The provider of `route`; every route of a loaded configuration has one.
    #[must_use]
    pub fn provider(&self, route: &Route) -> Option<&Provider> {
        self.providers.get(&route.provider)
    }

    /// The timeout profile of one request (R10).
    ///
    /// `requested` is the model name that the client sent: a pattern such as `*` serves many classes of models, and
    /// the class is read from the name. `thinking` says that the request asks for extended thinking.
    #[must_use]
    pub fn profile_for(&self, model: &Model, requested: &str, thinking: bool) -> TimeoutProfile {
        let timing = if thinking { &model.thinking_timing } else { &model.timing };
        timing.resolve(&self.profiles, model.class_name(requested))
    }

    /// Everything that bounds one attempt of `model` at `provider` in time; see [`Config::profile_for`].
    #[must_use]
    pub fn limits_for(&self, model: &Model, provider: &Provider, requested: &str, thinking: bool) -> Limits {
        Limits {
            pool_wait: provider.pool_wait,
            send_body: provider.send_body,
            head_after: self.server.head_after,
            keepalive: self.server.keepalive,
            least: self.deadline.policy.least,
            rate_guard: model.slow.map(SlowGuard::rate_guard),
            ..Limits::with_profile(self.profile_for(model, requested, thinking))
        }
    }

    /// Everything that bounds one session. What a resume can repeat and how much conversation is kept are no settings.
    #[must_use]
    pub fn session_settings(&self) -> SessionSettings {
        SessionSettings {
            max_queue_size: self.queue.max_queue_size,
            policy: self.queue.policy,
            heartbeat: self.sessions.heartbeat,
            idle_ttl: self.sessions.idle_ttl,
            resume_ttl: self.sessions.resume_ttl,
            ..SessionSettings::STANDARD
        }
    }
}

/// The client's side of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Address that clients connect to. A change needs a restart.
    pub listen: SocketAddr,
    /// Worker threads, `None` for one per core. A change needs a restart.
    pub workers: Option<NonZeroU32>,
    /// After this the head of a stream goes out and keepalives start, answer or not (R9).
    pub head_after: Duration,
    /// Longest time without a byte to the client once the head is out.
    pub keepalive: Duration,
    /// Streams that may run at once; more are refused with `gateway_overloaded`.
    pub max_streams: usize,
    /// Client connections that may be open at once, idle ones included.
    pub max_connections: usize,
    /// Largest request body in bytes; a larger one is refused with `request_too_large`.
    pub max_body: usize,
    /// Longest time a client may take to send a request's head, from the first byte.
    pub header_timeout: Duration,
    /// Longest time a client may take to send a request's body.
    pub body_timeout: Duration,
    /// Longest time a client may take no byte of its answer before the stream ends as `slow_client`.
    pub slow_client: Duration,
    /// Bytes of one stream that may wait for a slow client before the provider's stream is paused (R7).
    pub write_buffer: usize,
    /// Longest time that running streams get to finish after SIGTERM.
    pub drain: Duration,
}

/// Where stream records are kept. A change needs a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The SQLite file, relative to the working directory.
    pub path: PathBuf,
    /// Age at which records are deleted.
    pub retention: Duration,
}

/// How the process logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Form of a log line.
    pub format: LogFormat,
    /// The least important level that is written.
    pub level: LogLevel,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// Text for people.
    Text,
}

/// How important a log line has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Failures of the gateway itself.
    Error,
    /// Also what an operator should look at.
    Warn,
    /// Also the life of the process.
    Info,
    /// Also each stream's steps.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// Its name in the configuration, which is also tracing's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

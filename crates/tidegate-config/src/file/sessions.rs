//! `[queue]` and `[sessions]` as they are written.

use std::num::{NonZeroU16, NonZeroU32};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_core::session::Settings;

use crate::defaults;
use crate::text::{BrokerText, DurationText, OriginText, RedisText, SizeText, TopicsText};

/// `[queue]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct QueueFile {
    /// Where prompts wait, and who runs them. `QUEUE_TYPE` in the environment means this setting. A change needs a restart.
    pub(crate) backend: BackendName,
    /// Address of the Redis server, such as `"redis://:${REDIS_PASSWORD}@redis:6379/0"`; `rediss://` for TLS. Needed by `backend = "redis"`, beside which `REDIS_URL` in the environment means this setting. A change needs a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redis: Option<RedisText>,
    /// Kafka brokers to begin with, such as `["kafka-1:9092", "kafka-2:9092"]`; the others are learnt from them. Needed by `backend = "kafka"`, beside which `KAFKA_BROKERS` in the environment, with commas between them, means this setting. A change needs a restart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub(crate) kafka: Vec<BrokerText>,
    /// What the names of the Kafka topics begin with; left out: `"tidegate"`, for `tidegate.log`, `tidegate.tasks` and `tidegate.sessions`. All processes that share a queue have the same. A change needs a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kafka_topics: Option<TopicsText>,
    /// How many partitions the Kafka topics get where they are made; left out: 32. Topics that are there keep theirs. A change needs a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) kafka_partitions: Option<NonZeroU16>,
    /// Prompts that may wait in one session, beside the one that runs; `policy` says what becomes of one more.
    pub(crate) max_queue_size: NonZeroU32,
    /// Prompts that may wait in all sessions together; one more finds its session's queue full. Not below `max_queue_size`. A change needs a restart.
    pub(crate) global_max_size: NonZeroU32,
    /// What becomes of a prompt that finds its session's queue full.
    pub(crate) policy: PolicyName,
    /// How long a worker may give no sign of life before its task is another's: one without output runs again, one with output ends incomplete. A change needs a restart.
    #[schemars(extend("x-least" = "1s", "x-most" = "1h"))]
    pub(crate) lease: DurationText,
    /// Prompts that this process, or one `tidegate worker`, is always ready to run at once. A change needs a restart.
    pub(crate) min_workers: NonZeroU32,
    /// Prompts that it runs at once when many wait and its processors have time to spare. Not below `min_workers`. A change needs a restart.
    pub(crate) max_workers: NonZeroU32,
}

impl Default for QueueFile {
    fn default() -> Self {
        Self {
            backend: BackendName::Memory,
            redis: None,
            kafka: Vec::new(),
            kafka_topics: None,
            kafka_partitions: None,
            max_queue_size: defaults::MAX_QUEUE_SIZE,
            global_max_size: defaults::GLOBAL_MAX_SIZE,
            policy: PolicyName::Reject,
            lease: DurationText(defaults::LEASE),
            min_workers: defaults::MIN_WORKERS,
            max_workers: defaults::MAX_WORKERS,
        }
    }
}

/// Where prompts wait, and who runs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BackendName {
    /// In this process, which also runs them.
    Memory,
    /// In Redis, from where each `tidegate worker` takes them.
    Redis,
    /// In Kafka, from where each `tidegate worker` takes them. The program has to be built with `--features kafka` for it.
    Kafka,
}

/// What becomes of a prompt that finds its session's queue full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PolicyName {
    /// It is refused with RATE_LIMITED.
    Reject,
    /// The oldest one that waits is dropped for it, and told so.
    DropOldest,
    /// It waits too and is told its place, up to ten times `max_queue_size`.
    Defer,
}

/// `[sessions]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SessionsFile {
    /// Model of a PROMPT that names none; left out: the first one of the file that is no pattern. With patterns alone every PROMPT has to name one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) model: Option<String>,
    /// After this long without a sign of life the client is pinged; after twice as long it is dead. Proxies commonly cut after 60 s of silence.
    #[schemars(extend("x-least" = "1s", "x-most" = "10m"))]
    pub(crate) heartbeat: DurationText,
    /// A session that runs nothing ends this long after its client's last message.
    #[schemars(extend("x-least" = "1s", "x-most" = "7d"))]
    pub(crate) idle_ttl: DurationText,
    /// How long the session of a `tidegate.v1` client outlives a lost connection, waiting for its RESUME.
    #[schemars(extend("x-least" = "1s", "x-most" = "1h"))]
    pub(crate) resume_ttl: DurationText,
    /// Largest message of a client; a larger one closes the connection with 1009.
    #[schemars(extend("x-least" = "1KiB", "x-most" = "64MiB"))]
    pub(crate) max_message: SizeText,
    /// Sessions that may be there at once, those that wait for a RESUME included; a further handshake is refused with 503.
    pub(crate) max_sessions: NonZeroU32,
    /// Whose pages may open sessions from a browser: origins such as `"https://app.example.com"`, or `"*"` for every one. Pages of the gateway's own host always may. What sends no `Origin` is no browser and is not asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub(crate) allowed_origins: Vec<OriginText>,
}

impl Default for SessionsFile {
    fn default() -> Self {
        let Settings { heartbeat, idle_ttl, resume_ttl, .. } = Settings::STANDARD;
        Self {
            model: None,
            heartbeat: DurationText(heartbeat),
            idle_ttl: DurationText(idle_ttl),
            resume_ttl: DurationText(resume_ttl),
            max_message: SizeText(defaults::MAX_MESSAGE),
            max_sessions: defaults::MAX_SESSIONS,
            allowed_origins: Vec::new(),
        }
    }
}

//! The configuration file as it is written: the mirror that serde reads and that the published schema is made from.
//!
//! Its doc comments are the reference (`docs/config.md`), so they speak to the operator.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_core::limits::{POOL_WAIT, SEND_BODY};

use crate::config::{Http2, LogFormat, LogLevel, ProviderKind};
use crate::defaults;
use crate::text::{AddressText, DurationText, ProxyText, SecretText, SizeText, UrlText};

mod models;
mod recovery;
mod sessions;

pub(crate) use self::models::{BalanceName, DegradeFile, DeliveryName, DrainFile, ModelFile, OnDisconnectName, RouteFile, SlowFile};
pub(crate) use self::recovery::{BreakerFile, DeadlineFile, NO_HEADER, NotifyFile, PriceFile, RetryFile};
pub(crate) use self::sessions::{BackendName, PolicyName, QueueFile, SessionsFile};

/// Tidegate's configuration file.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    /// The gateway's own door: addresses, limits and waits on the client's side.
    pub(crate) server: ServerFile,
    /// Where stream records are kept. A change needs a restart.
    pub(crate) ledger: LedgerFile,
    /// The places where models are served, each under a name of your own.
    ///
    /// With none, `OPENAI_API_KEY` in the environment becomes the provider `openai`; without it a built-in mock serves.
    pub(crate) providers: BTreeMap<String, ProviderFile>,
    /// What clients may ask for: exact names, or patterns such as `gpt-4*`; the longest matching pattern serves.
    ///
    /// With none and a single provider, every model name is passed on to it. An alias is a name of your own whose routes say what the provider calls the model.
    /// With several routes the timeout profile is that of the first one's model, unless `profile` names one.
    pub(crate) models: BTreeMap<String, ModelFile>,
    /// Timeout profiles. `small`, `mid`, `large`, `thinking` and `standard` exist; members that you set replace theirs, and another name makes a profile of your own.
    pub(crate) profiles: BTreeMap<String, TimeoutsFile>,
    /// How a failed attempt is repeated. Only what may succeed next time is (`docs/failures.md`), only before any output, and only within the request's deadline.
    ///
    /// After an attempt at one route fails, it is repeated there or at the next one, as the kind of failure says; a route that was silent is not asked twice.
    pub(crate) retry: RetryFile,
    /// When a target (one model at one provider) that keeps failing is left alone. Its breaker opens, requests go to the other routes at once, and after `cooldown` a single probe decides whether it closes.
    ///
    /// Refusals of a request and clients that leave never count. Each gateway process keeps its own breakers; `/readyz` and the metrics show them.
    pub(crate) breaker: BreakerFile,
    /// How a caller's deadline (`X-Tidegate-Timeout-Ms`) is read, and how it travels on. One deadline bounds waiting, all attempts and all waits between them; it is never longer than the profile's `total`.
    pub(crate) deadline: DeadlineFile,
    /// How the prompts of sessions wait for their turn, and who runs them.
    pub(crate) queue: QueueFile,
    /// WebSocket sessions: one connection, many prompts, one conversation. [sessions.md](sessions.md) says how clients use them.
    ///
    /// A change counts for sessions that begin after it.
    pub(crate) sessions: SessionsFile,
    /// Answers that are made in the background, and how callers hear of them: by polling `GET /v1/streams/{id}`, or by a webhook signed as Standard Webhooks say.
    ///
    /// Polling needs nothing here. Webhooks need a `secret`, which `echo "whsec_$(openssl rand -base64 32)"` makes.
    pub(crate) notify: NotifyFile,
    /// What you know better than the built-in price table, by `provider/model`, `model` or `prefix*`: US dollars for a million tokens, and the context window. The longest name that fits wins.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) prices: BTreeMap<String, PriceFile>,
    /// How the process logs.
    pub(crate) log: LogFile,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServerFile {
    /// Address that clients connect to. Without a Tidegate key it must be a loopback address. `PORT` in the environment means `0.0.0.0:$PORT`. A change needs a restart.
    pub(crate) listen: AddressText,
    /// Worker threads; left out: one per core. A change needs a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workers: Option<NonZeroU32>,
    /// After this the head of a stream goes out and keepalives start, answer or not. A failure before it still gets its own HTTP status.
    pub(crate) head_after: DurationText,
    /// Longest time without a byte to the client once the head is out. Proxies commonly cut after 60 s of silence.
    pub(crate) keepalive: DurationText,
    /// Streams that may run at once; more are refused with `gateway_overloaded`.
    pub(crate) max_streams: NonZeroU32,
    /// Client connections that may be open at once, idle ones included; left out: two for each of `max_streams`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_connections: Option<NonZeroU32>,
    /// Largest request body; a larger one is refused with `request_too_large`.
    pub(crate) max_body: SizeText,
    /// Longest time a client may take to send a request's head.
    pub(crate) header_timeout: DurationText,
    /// Longest time a client may take to send a request's body.
    pub(crate) body_timeout: DurationText,
    /// Longest time a client may take no byte of its answer before the stream ends as `slow_client`.
    pub(crate) slow_client: DurationText,
    /// Bytes of one stream that may wait for a slow client before its provider stream is paused.
    pub(crate) write_buffer: SizeText,
    /// Longest time that running streams get to finish after SIGTERM.
    pub(crate) drain: DurationText,
}

impl Default for ServerFile {
    fn default() -> Self {
        Self {
            listen: AddressText(defaults::LISTEN),
            workers: None,
            head_after: DurationText(defaults::HEAD_AFTER),
            keepalive: DurationText(defaults::KEEPALIVE),
            max_streams: defaults::MAX_STREAMS,
            max_connections: None,
            max_body: SizeText(defaults::MAX_BODY),
            header_timeout: DurationText(defaults::HEADER_TIMEOUT),
            body_timeout: DurationText(defaults::BODY_TIMEOUT),
            slow_client: DurationText(defaults::SLOW_CLIENT),
            write_buffer: SizeText(defaults::WRITE_BUFFER),
            drain: DurationText(defaults::DRAIN),
        }
    }
}

/// `[ledger]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LedgerFile {
    /// The SQLite file, relative to the working directory.
    #[schemars(length(min = 1))]
    pub(crate) path: String,
    /// Age at which records are deleted.
    pub(crate) retention: DurationText,
}

impl Default for LedgerFile {
    fn default() -> Self {
        Self { path: defaults::LEDGER_PATH.to_owned(), retention: DurationText(defaults::RETENTION) }
    }
}

/// `[providers.NAME]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProviderFile {
    /// What it speaks.
    pub(crate) kind: ProviderKind,
    /// Address in front of `/chat/completions`, without query or credentials. Required, except for `mock`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base_url: Option<UrlText>,
    /// Sent as `Authorization: Bearer`. Write a reference to the environment: `"${OPENAI_API_KEY}"`. Left out: no such header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_key: Option<SecretText>,
    /// Several keys instead of `api_key`. They take turns; one that the provider refuses is left out and reported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub(crate) api_keys: Vec<SecretText>,
    /// Further headers of every request, by name. Their values are treated as secrets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, SecretText>,
    /// HTTP proxy to go through, such as `"http://proxy.internal:3128"`; `"http://name:${PROXY_PASSWORD}@…"` where it asks for credentials.
    /// Providers with `https` are reached by `CONNECT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxy: Option<ProxyText>,
    /// Further root certificates, a PEM file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) ca_file: Option<String>,
    /// When HTTP/2 is spoken.
    pub(crate) http2: Http2,
    /// Connections that may be open at once; more requests wait for `pool_wait`.
    pub(crate) max_connections: NonZeroU32,
    /// Longest wait for a free connection when all are in use.
    pub(crate) pool_wait: DurationText,
    /// Longest time for sending a request's body.
    pub(crate) send_body: DurationText,
    /// Unused connections that are kept open for the next request.
    pub(crate) idle_connections: NonZeroU32,
    /// Age at which an unused connection is closed.
    pub(crate) connection_max_idle: DurationText,
}

impl Default for ProviderFile {
    fn default() -> Self {
        Self {
            kind: ProviderKind::OpenAi,
            base_url: None,
            api_key: None,
            api_keys: Vec::new(),
            headers: BTreeMap::new(),
            proxy: None,
            ca_file: None,
            http2: Http2::Auto,
            max_connections: defaults::MAX_CONNECTIONS,
            pool_wait: DurationText(POOL_WAIT),
            send_body: DurationText(SEND_BODY),
            idle_connections: defaults::IDLE_CONNECTIONS,
            connection_max_idle: DurationText(defaults::CONNECTION_MAX_IDLE),
        }
    }
}

impl ProviderFile {
    /// Its keys, whichever setting they are written in.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &SecretText> {
        self.api_key.iter().chain(&self.api_keys)
    }
}

/// The four timeout layers.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TimeoutsFile {
    /// Longest wait for TCP and TLS to the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connect: Option<DurationText>,
    /// Longest wait for the provider's first event, from the moment the request was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_byte: Option<DurationText>,
    /// Longest silence between two provider events; comments and pings do not count. Shorter than `total`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle: Option<DurationText>,
    /// Longest time from arrival to the end, over all attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<DurationText>,
}

impl TimeoutsFile {
    fn is_empty(&self) -> bool {
        self.connect.is_none() && self.first_byte.is_none() && self.idle.is_none() && self.total.is_none()
    }
}

/// `[log]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogFile {
    /// Form of a log line.
    pub(crate) format: LogFormat,
    /// The least important level that is written.
    pub(crate) level: LogLevel,
}

impl Default for LogFile {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: LogLevel::Info }
    }
}

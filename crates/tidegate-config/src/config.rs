//! The validated settings: what the rest of Tidegate reads.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tidegate_core::limits::{DeliveryMode, Limits, TAIL, TimeoutProfile};
use url::Url;

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
            profile: self.profile_for(model, requested, thinking),
            pool_wait: provider.pool_wait,
            send_body: provider.send_body,
            tail: TAIL,
            head_after: self.server.head_after,
            keepalive: self.server.keepalive,
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

/// One place where models are served.
///
/// Its `Debug` form shows neither the key nor any header's value.
#[derive(Clone)]
pub struct Provider {
    /// Its name in the configuration and in records.
    pub name: String,
    /// What it speaks.
    pub kind: ProviderKind,
    /// Address in front of `/chat/completions`, `http` or `https`, without query, fragment or credentials.
    ///
    /// For [`ProviderKind::Mock`] it is [`MOCK_BASE_URL`](crate::defaults::MOCK_BASE_URL): the process puts its own mock there.
    pub base_url: Url,
    /// Sent as `Authorization: Bearer`; `None` sends no such header (a local server).
    pub api_key: Option<SecretString>,
    /// Further headers of every request, name in lower case and value; both are valid on the wire. Values may be secrets.
    pub headers: Vec<(String, String)>,
    /// HTTP proxy that connections go through, with the name and password that it asks for: a secret.
    pub proxy: Option<Url>,
    /// Further root certificates, a PEM file.
    pub ca_file: Option<PathBuf>,
    /// When HTTP/2 is spoken.
    pub http2: Http2,
    /// Connections that may be open at once; more requests wait for `pool_wait`.
    pub max_connections: NonZeroU32,
    /// Longest wait for a free connection when all are in use (R8).
    pub pool_wait: Duration,
    /// Longest time for sending a request's body (R8).
    pub send_body: Duration,
    /// Unused connections that are kept open for the next request.
    pub idle_connections: NonZeroU32,
    /// Age at which an unused connection is closed.
    pub connection_max_idle: Duration,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("base_url", &self.base_url.as_str())
            .field("has_api_key", &self.api_key.is_some())
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// OpenAI's API, or any compatible server.
    #[serde(rename = "openai")]
    OpenAi,
    /// The fault-injecting mock inside this process; the model name says which fault.
    Mock,
}

/// When HTTP/2 is spoken with a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Http2 {
    /// HTTP/1.1 only.
    Never,
    /// HTTP/2 where TLS negotiates it.
    Auto,
    /// HTTP/2 always; without TLS by prior knowledge (h2c).
    Always,
}

/// What clients may ask for: exact names and `prefix*` patterns.
#[derive(Debug, Clone, Default)]
pub struct Models {
    exact: BTreeMap<String, Model>,
    /// By their prefix without the star, longest first.
    patterns: Vec<(String, Model)>,
}

impl Models {
    /// Sorts `models` into exact names and patterns (a name that ends in `*`).
    pub(crate) fn new(models: impl IntoIterator<Item = Model>) -> Self {
        let mut sorted = Self::default();
        for model in models {
            match model.name.strip_suffix('*') {
                Some(prefix) => sorted.patterns.push((prefix.to_owned(), model)),
                None => drop(sorted.exact.insert(model.name.clone(), model)),
            }
        }
        sorted.patterns.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        sorted
    }

    /// See [`Config::model`].
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Model> {
        let by_pattern = || self.patterns.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, model)| model);
        self.exact.get(name).or_else(by_pattern)
    }

    /// All models, exact names in alphabetical order first, then patterns with the longest prefix first.
    pub fn iter(&self) -> impl Iterator<Item = &Model> {
        self.exact.values().chain(self.patterns.iter().map(|(_, model)| model))
    }
}

/// One name, or one pattern of names, that clients may ask for.
#[derive(Debug, Clone)]
pub struct Model {
    /// The name, or for a pattern the prefix with its `*`.
    pub name: String,
    /// Where it is served; exactly one in this version.
    pub routes: Vec<Route>,
    /// How long ordinary requests may take.
    pub timing: Timing,
    /// How long requests that ask for thinking may take.
    pub thinking_timing: Timing,
    /// How its answers are handed over where the request does not say.
    pub delivery: DeliveryMode,
    /// What becomes of the provider's request when the client goes away.
    pub on_disconnect: OnDisconnect,
    /// What becomes of a provider's event that cannot be read.
    pub on_malformed: OnMalformed,
    /// Whether a whole answer may get its status 200 early and be kept alive by leading whitespace.
    pub early_200: bool,
}

impl Model {
    /// Whether it is a `prefix*` pattern.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.name.ends_with('*')
    }

    /// The name that tells the class of the model that answers: the provider's, where the route fixes it.
    fn class_name<'a>(&'a self, requested: &'a str) -> &'a str {
        self.fixed_class_name().unwrap_or(requested)
    }

    /// [`Model::class_name`], where it is the same for every request.
    pub(crate) fn fixed_class_name(&self) -> Option<&str> {
        let fixed = self.routes.first().and_then(|route| route.model.as_deref());
        fixed.or_else(|| (!self.is_pattern()).then_some(self.name.as_str()))
    }
}

/// One target of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Name of a configured provider.
    pub provider: String,
    /// The provider's name of the model; `None` passes on the name that was asked for.
    pub model: Option<String>,
}

impl Route {
    /// The model name for the provider when the client asked for `requested`.
    #[must_use]
    pub fn upstream_model<'a>(&'a self, requested: &'a str) -> &'a str {
        self.model.as_deref().unwrap_or(requested)
    }
}

/// How long requests of one model may take: a profile, and single members set over it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timing {
    /// Name of the profile; `None` chooses by the model's name.
    pub profile: Option<String>,
    /// Set over the profile's `connect`.
    pub connect: Option<Duration>,
    /// Set over the profile's `first_byte`.
    pub first_byte: Option<Duration>,
    /// Set over the profile's `idle`.
    pub idle: Option<Duration>,
    /// Set over the profile's `total`.
    pub total: Option<Duration>,
}

impl Timing {
    /// Every member as in `profile`.
    pub(crate) fn all_of(profile: TimeoutProfile) -> Self {
        let TimeoutProfile { connect, first_byte, idle, total } = profile;
        Self { profile: None, connect: Some(connect), first_byte: Some(first_byte), idle: Some(idle), total: Some(total) }
    }

    /// The profile in force for a model that is called `class_name` where it is served.
    #[must_use]
    pub fn resolve(&self, profiles: &Profiles, class_name: &str) -> TimeoutProfile {
        let base = match &self.profile {
            Some(name) => profiles.get(name).unwrap_or(TimeoutProfile::STANDARD),
            None => profiles.for_model(class_name).1,
        };
        self.over(base)
    }

    /// Whether the profile is all there is.
    pub(crate) fn sets_nothing(&self) -> bool {
        [self.connect, self.first_byte, self.idle, self.total].iter().all(Option::is_none)
    }

    /// `base` with the single members set over it.
    pub(crate) fn over(&self, base: TimeoutProfile) -> TimeoutProfile {
        TimeoutProfile {
            connect: self.connect.unwrap_or(base.connect),
            first_byte: self.first_byte.unwrap_or(base.first_byte),
            idle: self.idle.unwrap_or(base.idle),
            total: self.total.unwrap_or(base.total),
        }
    }
}

/// What becomes of the provider's request when the client goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDisconnect {
    /// It ends at once.
    Cancel,
    /// It is read on, unseen, within both caps: for providers that bill anyway and models whose usage must be known.
    Drain {
        /// Output events read after the client left.
        max_tokens: NonZeroU32,
        /// Time read on after the client left.
        max_time: Duration,
    },
}

/// What becomes of a provider's event that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMalformed {
    /// The attempt ends as `upstream_malformed`.
    Fail,
    /// The event is dropped, counted and recorded.
    Skip,
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

//! `[models.NAME]` as it is written.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TimeoutsFile;
use crate::config::OnMalformed;
use crate::defaults;
use crate::text::DurationText;

/// `[models.NAME]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ModelFile {
    /// Where it is served. When one route fails before any output, the next is asked. Left out: the only provider.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub(crate) routes: Vec<RouteFile>,
    /// Which route is asked first; the others follow when it fails. Left out: `weight` where a route has one, otherwise `order`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) balance: Option<BalanceName>,
    /// What happens when no route answered, step by step until one does. Each step is one of `{ model = "…" }`, `{ cached = "1h" }`, `{ static = "…" }` and `{ notify = true }`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub(crate) degrade: Vec<DegradeFile>,
    /// Tokens that a request and its answer may have together; left out: as the price table says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) context_window: Option<NonZeroU32>,
    /// When a route that answers too slowly is replaced. The beginning of each answer is held back for `window` at most; left out: nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slow: Option<SlowFile>,
    /// Timeout profile of ordinary requests; left out: chosen by the model's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
    /// Single members set over `profile`.
    #[serde(skip_serializing_if = "TimeoutsFile::is_empty")]
    pub(crate) timeouts: TimeoutsFile,
    /// Timeout profile of requests that ask for thinking.
    pub(crate) thinking_profile: String,
    /// Single members set over `thinking_profile`.
    #[serde(skip_serializing_if = "TimeoutsFile::is_empty")]
    pub(crate) thinking_timeouts: TimeoutsFile,
    /// How answers are handed over; a request's `X-Tidegate-Delivery` may choose otherwise.
    pub(crate) delivery: DeliveryName,
    /// What becomes of the provider's request when the client goes away.
    pub(crate) on_disconnect: OnDisconnectName,
    /// The caps of `on_disconnect = "drain"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drain: Option<DrainFile>,
    /// What becomes of a provider's event that cannot be read.
    pub(crate) on_malformed: OnMalformed,
    /// A whole (not streamed) answer may get its status 200 early and be kept alive by leading whitespace. A later failure then breaks the connection off, which every client notices.
    pub(crate) early_200: bool,
}

impl Default for ModelFile {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            balance: None,
            degrade: Vec::new(),
            context_window: None,
            slow: None,
            profile: None,
            timeouts: TimeoutsFile::default(),
            thinking_profile: crate::profiles::THINKING.to_owned(),
            thinking_timeouts: TimeoutsFile::default(),
            delivery: DeliveryName::Stream,
            on_disconnect: OnDisconnectName::Cancel,
            drain: None,
            on_malformed: OnMalformed::Fail,
            early_200: false,
        }
    }
}

/// One place where a model is served.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteFile {
    /// Name of a provider.
    pub(crate) provider: String,
    /// The provider's name of the model; left out: the name that the client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) model: Option<String>,
    /// Its share where the first route is drawn, relative to the others'; 0 is never drawn and only takes over from a route that failed. Left out beside routes that have one: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) weight: Option<u32>,
    /// It also takes a request whose context was too long for another route (`context_length_exceeded`); no other route is asked after that failure.
    #[serde(default)]
    pub(crate) larger_context: bool,
}

/// Which route is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BalanceName {
    /// The first one written.
    Order,
    /// Drawn by `weight`.
    Weight,
    /// Two are drawn by `weight`; the one that lately gave its first output sooner is asked.
    Latency,
    /// Two are drawn by `weight`; the one with fewer attempts under way is asked.
    LeastOutstanding,
}

/// One step of the degradation chain: exactly one of `model`, `cached`, `static` and `notify`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DegradeFile {
    /// Another model of this configuration answers, by its own routes. Its name, as a client would ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) model: Option<String>,
    /// Most output tokens of the answer by `model`; left out: as many as the client allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_tokens: Option<NonZeroU32>,
    /// The stored answer to the same request, up to this age, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cached: Option<DurationText>,
    /// This text, marked as such. Nothing may follow it: it always answers.
    #[serde(rename = "static", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) text: Option<String>,
    /// An acknowledgement with a job's id, and the answer later: see `[notify]`. Nothing may follow it: it always answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) notify: Option<bool>,
}

/// When an answer is too slow.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlowFile {
    /// The slowest rate of output that is good enough.
    pub(crate) chars_per_second: NonZeroU32,
    /// Time from the first output over which the rate is measured. Shorter than `first_byte`.
    #[serde(default = "slow_window")]
    pub(crate) window: DurationText,
}

fn slow_window() -> DurationText {
    DurationText(defaults::SLOW_WINDOW)
}

/// How answers are handed over.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliveryName {
    /// Events as they come.
    Stream,
    /// Held until the answer is proved complete, then streamed at once.
    Coherent,
    /// One complete JSON body.
    Buffered,
    /// 202 at once with the address of the answer to come; see [webhooks.md](webhooks.md).
    Background,
}

/// What becomes of the provider's request when the client goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnDisconnectName {
    /// It ends at once.
    Cancel,
    /// It is read on within the caps of `drain`, for providers that bill anyway.
    Drain,
}

/// How long a provider's answer is read on after its client left.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DrainFile {
    /// Output tokens that are read on.
    pub(crate) max_tokens: NonZeroU32,
    /// Time that is read on.
    pub(crate) max_time: DurationText,
}

impl Default for DrainFile {
    fn default() -> Self {
        Self { max_tokens: defaults::DRAIN_MAX_TOKENS, max_time: DurationText(defaults::DRAIN_MAX_TIME) }
    }
}

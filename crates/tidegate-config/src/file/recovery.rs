//! `[retry]`, `[breaker]`, `[deadline]`, `[notify]` and `[prices.NAME]` as they are written.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_core::breaker::BreakerPolicy;
use tidegate_core::budget::BudgetPolicy;
use tidegate_core::deadline::DeadlinePolicy;
use tidegate_core::retry::RetryPolicy;

use crate::defaults;
use crate::text::{DurationText, SecretText, UrlText};

/// Stands for no header at all in `deadline.header`.
pub(crate) const NO_HEADER: &str = "off";

/// `[retry]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RetryFile {
    /// Attempts of one request at one model over all its routes, the first included; 1 repeats nothing. Each step of `degrade` that names a model has its own.
    #[schemars(range(min = 1, max = 10))]
    pub(crate) attempts: NonZeroU32,
    /// Wait before the first repetition at the same route; each further one doubles it. The next route is asked at once.
    pub(crate) backoff: DurationText,
    /// Longest such wait, without the jitter.
    pub(crate) backoff_max: DurationText,
    /// Most that chance adds to a wait, so that failed requests do not come back together.
    pub(crate) jitter: DurationText,
    /// Longest `Retry-After` of a provider that is waited for while another route could answer.
    pub(crate) longest_pushback: DurationText,
    /// Most repetitions as a share of recent requests, so that an outage is not multiplied; 0 allows those of `budget_floor` alone.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) budget: f64,
    /// Repetitions that are allowed beside that share in each ten seconds, so that a lone request still has its own.
    pub(crate) budget_floor: u32,
}

impl Default for RetryFile {
    fn default() -> Self {
        let RetryPolicy { attempts, backoff, backoff_max, jitter, longest_pushback } = RetryPolicy::STANDARD;
        Self {
            attempts,
            backoff: DurationText(backoff),
            backoff_max: DurationText(backoff_max),
            jitter: DurationText(jitter),
            longest_pushback: DurationText(longest_pushback),
            budget: BudgetPolicy::STANDARD.share,
            budget_floor: BudgetPolicy::STANDARD.floor,
        }
    }
}

/// `[breaker]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BreakerFile {
    /// Failures in a row that open it.
    pub(crate) failures: NonZeroU32,
    /// Time that it stays open before one probe goes through.
    pub(crate) cooldown: DurationText,
}

impl Default for BreakerFile {
    fn default() -> Self {
        Self { failures: BreakerPolicy::STANDARD.failures, cooldown: DurationText(BreakerPolicy::STANDARD.cooldown) }
    }
}

/// `[deadline]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DeadlineFile {
    /// Taken off the caller's deadline, for the way back and its own work.
    pub(crate) overhead: DurationText,
    /// An attempt with less time than this left is not started, unless it is the request's first.
    pub(crate) least: DurationText,
    /// Header that tells a provider how many milliseconds are left; `"off"` sends none.
    pub(crate) header: String,
}

impl Default for DeadlineFile {
    fn default() -> Self {
        let DeadlinePolicy { overhead, least } = DeadlinePolicy::STANDARD;
        Self { overhead: DurationText(overhead), least: DurationText(least), header: defaults::DEADLINE_HEADER.to_owned() }
    }
}

/// `[notify]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NotifyFile {
    /// What webhooks are signed with: `whsec_` and 24 to 64 bytes in base64. Left out: no webhook goes out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<SecretText>,
    /// Where results are posted when the request names no address in `X-Tidegate-Notify-Url`. Needs `secret`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<UrlText>,
    /// Whether webhooks may go to loopback, private and link-local addresses. Callers name addresses too, so this opens your network to them.
    pub(crate) allow_private: bool,
    /// How long a finished answer is kept for its caller.
    pub(crate) retention: DurationText,
    /// Longest time from the acknowledgement to the answer; the profile's `total` does not bound it.
    pub(crate) deadline: DurationText,
}

impl Default for NotifyFile {
    fn default() -> Self {
        Self {
            secret: None,
            url: None,
            allow_private: false,
            retention: DurationText(defaults::NOTIFY_RETENTION),
            deadline: DurationText(defaults::NOTIFY_DEADLINE),
        }
    }
}

/// `[prices.NAME]`
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PriceFile {
    /// Price of input tokens. Needs `output`; without both the built-in prices stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) input: Option<f64>,
    /// Price of output tokens. Needs `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) output: Option<f64>,
    /// Price of input tokens that the provider had cached; left out beside `input`: the same as that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) cached_input: Option<f64>,
    /// Price of reasoning tokens; left out beside `output`: the same as that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub(crate) reasoning: Option<f64>,
    /// Tokens that a request and its answer may have together; left out: the built-in number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) context_window: Option<NonZeroU32>,
}

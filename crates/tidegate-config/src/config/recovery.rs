//! `[deadline]`, `[notify]` and `[prices]`, checked. `[retry]` and `[breaker]` are the core's own policies.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;
use tidegate_core::deadline::DeadlinePolicy;
use url::Url;

/// How a caller's deadline is read, and how it travels on (R11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    /// What is subtracted, and how little is still worth an attempt.
    pub policy: DeadlinePolicy,
    /// Name, in lower case, of the header that tells a provider how many milliseconds are left; `None` tells it nothing.
    pub header: Option<String>,
}

/// Answers that are made in the background, and how their callers hear of them.
///
/// Its `Debug` form does not show the secret.
#[derive(Clone)]
pub struct Notify {
    /// What webhooks are signed with, as Standard Webhooks write it: `whsec_` and base64. `None`: no webhook goes out, answers are polled.
    pub secret: Option<SecretString>,
    /// Where the result is posted when the request names no address of its own; only with a `secret`.
    pub url: Option<Url>,
    /// Whether a webhook may go to a private address.
    pub allow_private: bool,
    /// How long a finished answer is kept for its caller.
    pub retention: Duration,
    /// Longest time from acknowledgement to answer.
    pub deadline: Duration,
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify")
            .field("has_secret", &self.secret.is_some())
            .field("url", &self.url.as_ref().map(Url::as_str))
            .field("allow_private", &self.allow_private)
            .field("retention", &self.retention)
            .field("deadline", &self.deadline)
            .finish()
    }
}

/// What the operator knows better than the price table about one model. Prices are US dollars for a million tokens, finite and not negative.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PriceSettings {
    /// Price of input tokens; `None`, always together with `output`, leaves the table's prices.
    pub input: Option<f64>,
    /// Price of output tokens.
    pub output: Option<f64>,
    /// Price of input tokens that the provider had cached; `None` beside `input` is the price of `input`.
    pub cached_input: Option<f64>,
    /// Price of reasoning tokens; `None` beside `output` is the price of `output`.
    pub reasoning: Option<f64>,
    /// Tokens that a request and its answer may have together; `None` leaves the table's number.
    pub context_window: Option<u64>,
}

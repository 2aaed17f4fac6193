//! Whether a failed attempt is repeated, where, and after what wait.

use std::num::NonZeroU32;
use std::time::Duration;

/// How often and how patiently is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts of one stream at one model, the first included. Default 3 (R13).
    pub attempts: NonZeroU32,
    /// Wait before the first repetition at the same target; each further one doubles it. Default 1 s (R13).
    pub backoff: Duration,
    /// Longest such wait, without the jitter. Default 4 s.
    pub backoff_max: Duration,
    /// Most that chance adds to a wait. Default 1 s.
    pub jitter: Duration,
    /// Longest `Retry-After` that is waited for while another target could answer at once. Default 5 s.
    pub longest_pushback: Duration,
}

impl RetryPolicy {
    /// The defaults.
    pub const STANDARD: Self = Self {
        attempts: NonZeroU32::MIN.saturating_add(2),
        backoff: Duration::from_secs(1),
        backoff_max: Duration::from_secs(4),
        jitter: Duration::from_secs(1),
        longest_pushback: Duration::from_secs(5),
    };
}

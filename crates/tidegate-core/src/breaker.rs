//! One breaker for each target: whether it may be asked now.

use std::num::NonZeroU32;
use std::time::Duration;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures in a row that open it. Default 5 (R15).
    pub failures: NonZeroU32,
    /// Time before an open breaker lets one probe through. Default 30 s (R15).
    pub cooldown: Duration,
}

impl BreakerPolicy {
    /// The defaults.
    pub const STANDARD: Self = Self { failures: NonZeroU32::MIN.saturating_add(4), cooldown: Duration::from_secs(30) };
}

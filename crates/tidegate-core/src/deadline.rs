//! How much time a request gets.

use std::time::Duration;

/// What becomes of a caller's deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadlinePolicy {
    /// Subtracted from the caller's deadline, for the way back and its own work. Default 2 s (R11).
    pub overhead: Duration,
    /// An attempt with less time than this left is not started, unless it is the stream's first. Default 1 s.
    pub least: Duration,
}

impl DeadlinePolicy {
    /// The defaults.
    pub const STANDARD: Self = Self { overhead: Duration::from_secs(2), least: Duration::from_secs(1) };
}

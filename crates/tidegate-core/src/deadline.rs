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

/// The overhead leaves a request this much time, or half of what was asked if that is less: a caller that asks for a second gets a try.
const FLOOR: Duration = Duration::from_secs(1);

impl DeadlinePolicy {
    /// The defaults.
    pub const STANDARD: Self = Self { overhead: Duration::from_secs(2), least: Duration::from_secs(1) };

    /// The time that a request gets, all its attempts and waits together: never more than was `asked`, never more than `total`.
    ///
    /// `asked` is the caller's deadline, counted from the request's arrival; `total` the profile's. Without the first it is the second;
    /// with it what was asked less the overhead, but not less than one second or half of what was asked.
    #[must_use]
    pub fn time_for(&self, asked: Option<Duration>, total: Duration) -> Duration {
        let Some(asked) = asked else { return total };
        let floor = FLOOR.min(asked / 2);
        asked.saturating_sub(self.overhead).max(floor).min(total)
    }

    /// Whether a further attempt with this much time left could still bring an answer.
    #[must_use]
    pub fn is_useful(&self, left: Duration) -> bool {
        left >= self.least
    }
}

#[cfg(test)]
mod tests;

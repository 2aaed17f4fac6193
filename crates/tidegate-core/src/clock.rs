//! A point in time that is handed in, never read.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time, counted from an origin that its owner chose (the start of the process, of a test, of a simulation).
///
/// Nanoseconds in 64 bits last 584 years, so addition saturates and subtraction stops at zero: no arithmetic on time can panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// The origin.
    pub const ORIGIN: Self = Self(0);
    /// Later than anything that is waited for.
    pub const FAR: Self = Self(u64::MAX);

    /// The moment that lies `since_origin` after the origin.
    #[must_use]
    pub fn after_origin(since_origin: Duration) -> Self {
        Self(nanos(since_origin))
    }

    /// The time from `earlier` to this moment, zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Whole milliseconds from `earlier` to this moment, rounded down.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000_000
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(nanos(length)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;
    fn sub(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(length)))
    }
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

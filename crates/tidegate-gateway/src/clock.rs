//! The one place that reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidegate_core::Moment;
use tokio::time::Instant;

/// Tells the time as a [`Moment`] since its own making, and what the calendar says.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose origin is now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The present moment. Follows tokio's paused time in tests.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::after_origin(self.origin.elapsed())
    }

    /// The runtime's instant for `moment`, to sleep until. A moment too far for the runtime becomes a day from the origin's end.
    #[must_use]
    pub fn instant(&self, moment: Moment) -> Instant {
        const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
        self.origin + moment.since(Moment::ORIGIN).min(self.origin.elapsed() + LONGEST)
    }

    /// Milliseconds since the Unix epoch, for ids and records. Never used to measure a length of time.
    #[must_use]
    pub fn unix_millis(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

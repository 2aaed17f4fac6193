//! How long tasks of a session take, for estimates.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moving average of the time that answers took: each new one counts for a quarter.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Pace {
    average: Option<Duration>,
}

impl Pace {
    /// An answer took this long.
    pub(super) fn note(&mut self, took: Duration) {
        self.average = Some(self.average.map_or(took, |average| (average * 3 + took) / 4));
    }

    /// Until the task at this place (from 1) of the queue starts, while another has been running for `running`. `None` before the first answer.
    pub(super) fn until_start(self, place: usize, running: Duration) -> Option<Duration> {
        let average = self.average?;
        let between = u32::try_from(place.saturating_sub(1)).unwrap_or(u32::MAX);
        Some(average.saturating_sub(running).saturating_add(average.saturating_mul(between)))
    }
}

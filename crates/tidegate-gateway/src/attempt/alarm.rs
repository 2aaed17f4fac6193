//! Telling the operator of a lasting trouble: loudly, and not with every request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a trouble that goes on is not told again. Short enough to stand in a log that somebody reads because of it.
const AGAIN: Duration = Duration::from_secs(600);

/// A trouble that comes with many requests, and whether the operator was told of it.
#[derive(Debug, Default)]
pub struct Alarm {
    told: Mutex<Option<Instant>>,
}

impl Alarm {
    /// The trouble is there at `now`. True where the operator has to be told: at its beginning, and every ten minutes while it lasts.
    pub fn raise(&self, now: Instant) -> bool {
        let mut told = self.told();
        let is_due = told.is_none_or(|told| now.saturating_duration_since(told) >= AGAIN);
        if is_due {
            *told = Some(now);
        }
        is_due
    }

    /// The trouble is over: the next one is a new one.
    pub fn clear(&self) {
        *self.told() = None;
    }

    fn told(&self) -> MutexGuard<'_, Option<Instant>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

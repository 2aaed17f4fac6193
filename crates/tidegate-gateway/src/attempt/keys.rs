//! The keys that the gateway has for one provider. They take turns, and one that the provider refuses rests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use super::alarm::Alarm;

/// How long a refused key is left out. A bill may be paid or a limit raised meanwhile, and then nobody should have to restart anything.
const REST: Duration = Duration::from_secs(600);

/// A provider's keys; none for a server that asks for none.
#[derive(Debug, Default)]
pub struct Keys {
    keys: Box<[Key]>,
    turn: AtomicUsize,
    /// The provider asks for a key, and there is none.
    missing: Alarm,
}

#[derive(Debug)]
struct Key {
    authorization: HeaderValue,
    rests_until: Mutex<Option<Instant>>,
    alarm: Alarm,
}

/// One of a provider's keys, by its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyIndex(usize);

impl Keys {
    /// Keys as they go into `Authorization`.
    #[must_use]
    pub fn new(authorizations: impl IntoIterator<Item = HeaderValue>) -> Self {
        let key = |authorization| Key { authorization, rests_until: Mutex::default(), alarm: Alarm::default() };
        Self { keys: authorizations.into_iter().map(key).collect(), ..Self::default() }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// How many are not resting at `now`.
    #[must_use]
    pub fn awake(&self, now: Instant) -> usize {
        self.keys.iter().filter(|key| !key.rests(now)).count()
    }

    /// The key whose turn it is. When all rest, the next one all the same: it may be good again, and the breaker bounds how often it is tried.
    #[must_use]
    pub fn take(&self, now: Instant) -> Option<(KeyIndex, &HeaderValue)> {
        let first = if self.keys.len() > 1 { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let in_turn = || (0..self.keys.len()).map(|step| (first.wrapping_add(step)) % self.keys.len());
        let index = in_turn().find(|index| !self.keys[*index].rests(now)).or_else(|| in_turn().next())?;
        Some((KeyIndex(index), &self.keys[index].authorization))
    }

    /// The provider refused this key, or a request without one. True where the operator has to be told: see [`Alarm::raise`].
    pub fn refused(&self, index: Option<KeyIndex>, now: Instant) -> bool {
        let Some(key) = index.and_then(|index| self.keys.get(index.0)) else { return self.missing.raise(now) };
        *key.rests_until() = Some(now + REST);
        key.alarm.raise(now)
    }

    /// The provider limits this key, and asked for a pause. True where it rests now.
    pub fn limited(&self, index: KeyIndex, pause: Duration, now: Instant) -> bool {
        let Some(key) = self.keys.get(index.0) else { return false };
        *key.rests_until() = Some(now + pause.min(REST));
        true
    }

    /// The provider accepted this key.
    pub fn accepted(&self, index: KeyIndex) {
        if let Some(key) = self.keys.get(index.0) {
            *key.rests_until() = None;
            key.alarm.clear();
        }
    }
}

impl Key {
    fn rests(&self, now: Instant) -> bool {
        self.rests_until().is_some_and(|until| now < until)
    }

    fn rests_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyIndex {
    /// Its place in the configuration, from 1, for the operator.
    #[must_use]
    pub fn number(self) -> usize {
        self.0 + 1
    }
}

#[cfg(test)]
mod tests;

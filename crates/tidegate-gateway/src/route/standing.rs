//! How each target stands: its breaker, how quick it is, how much it has to do. All streams of the process share it.
//!
//! A target is a provider and a model there. What one model's failures say about another of the same provider is little, so neither a host
//! nor a key has a breaker of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tidegate_core::Moment;
use tidegate_core::balance::{Load, PeakEwma};
use tidegate_core::breaker::{Admission, Breaker, BreakerPolicy, Pass, State};
use tidegate_core::failure::{Failure, Vote};
use tidegate_core::health::Skip;

use crate::clock::Clock;

/// Most targets that are told apart. Behind a pattern the model's name is the client's, and so is the number of names: beyond this, the rest
/// of a provider's models stand together.
const MAX_TARGETS: usize = 4096;
/// The name under which the rest stands.
const THE_REST: &str = "*";

/// Every target's standing.
#[derive(Debug, Default)]
pub struct Standings {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_provider: HashMap<Arc<str>, HashMap<Arc<str>, Arc<Standing>>>,
    count: usize,
}

/// How one target stands.
#[derive(Debug)]
pub struct Standing {
    /// The provider's name in the configuration.
    pub provider: Arc<str>,
    /// The model as the provider names it.
    pub model: Arc<str>,
    breaker: Mutex<Breaker>,
    speed: Mutex<PeakEwma>,
    outstanding: AtomicU32,
}

/// What a target's standing is at a moment, for metrics and `/readyz`.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The provider's name in the configuration.
    pub provider: Arc<str>,
    /// The model as the provider names it.
    pub model: Arc<str>,
    /// What its breaker does.
    pub state: State,
    /// How long it still rests, where it does.
    pub rests_for: Option<Duration>,
    /// Attempts under way.
    pub outstanding: u32,
}

impl Standings {
    /// The standing of `model` at `provider`. A target that is new stands well.
    #[must_use]
    pub fn of(&self, provider: &Arc<str>, model: &str, policy: BreakerPolicy) -> Arc<Standing> {
        if let Some(known) = self.read(|known| known.find(provider, model)) {
            return known;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let model = if known.count < MAX_TARGETS { model } else { THE_REST };
        known.find(provider, model).unwrap_or_else(|| known.add(provider, model, policy))
    }

    /// Applies another policy to every target.
    pub fn set_policy(&self, policy: BreakerPolicy) {
        for standing in self.all() {
            standing.breaker().set_policy(policy);
        }
    }

    /// How every target stands, in no particular order.
    #[must_use]
    pub fn snapshot(&self, now: Moment) -> Vec<Snapshot> {
        self.all().iter().map(|standing| standing.snapshot(now)).collect()
    }

    fn all(&self) -> Vec<Arc<Standing>> {
        self.read(|known| known.by_provider.values().flat_map(HashMap::values).map(Arc::clone).collect())
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    fn find(&self, provider: &str, model: &str) -> Option<Arc<Standing>> {
        self.by_provider.get(provider)?.get(model).map(Arc::clone)
    }

    fn add(&mut self, provider: &Arc<str>, model: &str, policy: BreakerPolicy) -> Arc<Standing> {
        let model: Arc<str> = model.into();
        let standing = Arc::new(Standing {
            provider: Arc::clone(provider),
            model: Arc::clone(&model),
            breaker: Mutex::new(Breaker::new(policy)),
            speed: Mutex::default(),
            outstanding: AtomicU32::new(0),
        });
        self.by_provider.entry(Arc::clone(provider)).or_default().insert(model, Arc::clone(&standing));
        self.count += 1;
        standing
    }
}

impl Standing {
    /// How quick and how busy it is.
    #[must_use]
    pub fn load(&self, now: Moment) -> Load {
        Load { latency: self.speed().value(now), outstanding: self.outstanding.load(Ordering::Relaxed) }
    }

    /// Asks for the right to start one attempt.
    ///
    /// # Errors
    ///
    /// Why not, and until when.
    pub fn admit(self: &Arc<Self>, clock: Clock, now: Moment) -> Result<Ticket, Skip> {
        let admission = self.breaker().ask(now);
        match admission {
            Admission::Go(pass) => {
                self.outstanding.fetch_add(1, Ordering::Relaxed);
                Ok(Ticket { standing: Arc::clone(self), pass: Some(pass), begun: now, clock })
            }
            Admission::Refused { reason, until } => Err(Skip::refused(reason, until)),
        }
    }

    /// Whether an attempt that asked now would be refused.
    #[must_use]
    pub fn rests(&self, now: Moment) -> bool {
        self.breaker().until(now).is_some()
    }

    fn snapshot(&self, now: Moment) -> Snapshot {
        let breaker = self.breaker();
        Snapshot {
            provider: Arc::clone(&self.provider),
            model: Arc::clone(&self.model),
            state: breaker.state(now),
            rests_for: breaker.until(now).map(|until| until.since(now)),
            outstanding: self.outstanding.load(Ordering::Relaxed),
        }
    }

    fn tell(&self, pass: Pass, vote: Vote, pushback: Option<Duration>, now: Moment) {
        let before = self.breaker().state(now);
        self.breaker().failed(pass, vote, pushback, now);
        let after = self.breaker().state(now);
        if before != after && after == State::Open {
            tracing::warn!(provider = %self.provider, model = %self.model, "the target fails and is not asked for a while: its breaker opened");
        }
    }

    /// Neither lock is held while anything can panic, so a poisoned one is as good as any.
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn speed(&self) -> MutexGuard<'_, PeakEwma> {
        self.speed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt under way. Dropped without an outcome it says nothing about the target, as when its client left.
#[derive(Debug)]
pub struct Ticket {
    standing: Arc<Standing>,
    pass: Option<Pass>,
    begun: Moment,
    clock: Clock,
}

impl Ticket {
    /// The first output came. A probe has found out what it had to: others need not wait for the end of its answer.
    pub fn first_output(&mut self, now: Moment) {
        self.standing.speed().observe(now.since(self.begun), now);
        if self.pass.as_ref().is_some_and(Pass::is_probe) {
            self.succeed(now);
        }
    }

    /// The answer is complete.
    pub fn succeeded(mut self, now: Moment) {
        self.succeed(now);
    }

    /// The attempt failed, which is `vote` about its target. A wait in vain counts as an answer that took as long: a silent target is no
    /// quick one.
    pub fn failed(mut self, failure: Failure, vote: Vote, pushback: Option<Duration>, now: Moment) {
        if failure == Failure::FirstByteTimeout {
            self.standing.speed().observe(now.since(self.begun), now);
        }
        if let Some(pass) = self.pass.take() {
            self.standing.tell(pass, vote, pushback, now);
        }
    }

    fn succeed(&mut self, now: Moment) {
        let Some(pass) = self.pass.take() else { return };
        let mut breaker = self.standing.breaker();
        let was_open = pass.is_probe() && breaker.state(now) != State::Closed;
        breaker.succeeded(pass);
        if was_open {
            tracing::info!(provider = %self.standing.provider, model = %self.standing.model, "the target answers again: its breaker closed");
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.standing.outstanding.fetch_sub(1, Ordering::Relaxed);
        if let Some(pass) = self.pass.take() {
            self.standing.breaker().failed(pass, Vote::None, None, self.clock.now());
        }
    }
}

#[cfg(test)]
mod tests;

//! Where a stream may go: the targets that are left, in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::failure::Retry;
use crate::health::Health;
use crate::retry::{Again, RetryPolicy, Situation};

/// One place that can answer: a provider and the model's name there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The provider's name in the configuration; for an answer of the gateway's own, what it is (`cache`, `static`).
    pub provider: Arc<str>,
    /// The model as the provider names it.
    pub model: Arc<str>,
    /// The shell's own number for what it needs to ask this target.
    pub place: usize,
    /// It may be asked when the context was too long for another.
    pub larger_context: bool,
    /// The gateway answers by itself, at once: no deadline is too short for it.
    pub is_local: bool,
}

impl Target {
    /// A provider's model at place 0.
    #[must_use]
    pub fn new(provider: impl Into<Arc<str>>, model: impl Into<Arc<str>>) -> Self {
        Self { provider: provider.into(), model: model.into(), place: 0, larger_context: false, is_local: false }
    }

    /// The same model at the same provider, whatever the request to it says.
    fn is_same_place(&self, other: &Self) -> bool {
        self.provider == other.provider && self.model == other.model
    }
}

/// The targets that are left to try. Who owns it may fall back; [`crate::delivery::Delivery::commit`] takes it away.
///
/// It consists of legs: the targets of the model that was asked for, and then one leg for each step of its degradation chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePlan {
    leg: Leg,
    further: VecDeque<Leg>,
    policy: RetryPolicy,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Leg {
    left: VecDeque<Target>,
    /// Attempts that may still be made.
    attempts: u32,
    /// The target that was asked last, and how often in a row.
    asked: Option<(Target, u32)>,
    /// It is asked once more before any other.
    repeats: bool,
}

impl RoutePlan {
    /// A plan that tries `targets` in this order, by the standard policy.
    #[must_use]
    pub fn new(targets: impl IntoIterator<Item = Target>) -> Self {
        Self::with_policy(RetryPolicy::STANDARD, targets)
    }

    /// A plan that tries `targets` in this order and repeats as `policy` says.
    #[must_use]
    pub fn with_policy(policy: RetryPolicy, targets: impl IntoIterator<Item = Target>) -> Self {
        Self { leg: Leg::new(policy, targets), further: VecDeque::new(), policy }
    }

    /// With `targets` to try once everything before them has failed: the next step of the degradation chain, with attempts of its own.
    #[must_use]
    pub fn then(mut self, targets: impl IntoIterator<Item = Target>) -> Self {
        self.further.push_back(Leg::new(self.policy, targets));
        self
    }

    /// With `target` asked after all others of its model: it has just failed in the middle of an answer.
    #[must_use]
    pub fn putting_off(mut self, target: &Target) -> Self {
        let (last, first): (Vec<_>, Vec<_>) = self.leg.left.drain(..).partition(|left| left.is_same_place(target));
        self.leg.left = first.into_iter().chain(last).collect();
        self
    }

    /// Every target that is left, in order.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        std::iter::once(&self.leg).chain(&self.further).flat_map(|leg| &leg.left)
    }

    /// Takes the next target out of the plan.
    pub(crate) fn take_next(&mut self) -> Option<Target> {
        loop {
            let repeated = self.leg.asked.as_ref().filter(|_| std::mem::take(&mut self.leg.repeats)).map(|(target, _)| target.clone());
            let next = if self.leg.attempts > 0 { repeated.or_else(|| self.leg.left.pop_front()) } else { None };
            if next.is_some() {
                return next;
            }
            self.leg = self.further.pop_front()?;
        }
    }

    /// The targets that are left to be asked and that are no answer of the gateway's own, in order.
    pub fn others(&self) -> impl Iterator<Item = &Target> {
        let leg = Some(&self.leg).filter(|leg| leg.attempts > 0);
        leg.into_iter().chain(&self.further).flat_map(|leg| &leg.left).filter(|target| !target.is_local)
    }

    /// Whether a target is left.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        (self.leg.attempts == 0 || self.leg.left.is_empty()) && self.further.iter().all(|leg| leg.left.is_empty())
    }

    /// An attempt at `target` begins.
    pub(crate) fn asked(&mut self, target: &Target) {
        self.leg.attempts = self.leg.attempts.saturating_sub(1);
        let times = match &self.leg.asked {
            Some((last, times)) if last == target => times + 1,
            _ => 1,
        };
        self.leg.asked = Some((target.clone(), times));
    }

    /// What may follow a failed attempt.
    pub(crate) fn after(&mut self, failed: Failed, health: &mut dyn Health, now: Moment) -> Again {
        if failed.retry == Retry::LargerContext {
            self.leg.left.retain(|target| target.larger_context);
            self.further.clear();
        }
        if failed.retry == Retry::NextTarget {
            self.forget_the_last();
        }
        // A plan of which nobody was asked has nothing to repeat.
        let Some((here, times_here)) = &self.leg.asked else { return Again::Stop };
        let situation = Situation {
            retry: failed.retry,
            attempts_left: self.leg.attempts,
            others: u32::try_from(self.leg.left.len()).unwrap_or(u32::MAX),
            times_here: *times_here,
            goes_on: self.further.iter().any(|leg| !leg.left.is_empty()),
            pushback: failed.pushback,
            time_left: failed.time_left,
            least: failed.least,
        };
        let again = self.policy.after(&situation, here, health, now);
        self.leg.repeats = matches!(again, Again::Same(_));
        match again {
            Again::Stop if failed.retry != Retry::Never && !self.is_used_up() => Again::Degrade,
            again => again,
        }
    }

    /// The target that was asked last is not asked again, whatever other steps of the chain name it too.
    fn forget_the_last(&mut self) {
        let Some((last, _)) = &self.leg.asked else { return };
        for leg in std::iter::once(&mut self.leg.left).chain(self.further.iter_mut().map(|leg| &mut leg.left)) {
            leg.retain(|left| !left.is_same_place(last));
        }
    }
}

/// What a plan has to know of an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) retry: Retry,
    pub(crate) pushback: Option<Duration>,
    /// Until the stream's deadline.
    pub(crate) time_left: Duration,
    /// An attempt with less time than this is of no use.
    pub(crate) least: Duration,
}

impl Leg {
    fn new(policy: RetryPolicy, targets: impl IntoIterator<Item = Target>) -> Self {
        Self { left: targets.into_iter().collect(), attempts: policy.attempts.get(), asked: None, repeats: false }
    }
}

#[cfg(test)]
mod tests;

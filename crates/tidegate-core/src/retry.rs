//! Whether a failed attempt is repeated, where, and after what wait.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::Moment;
use crate::failure::Retry;
use crate::health::Health;
use crate::route::Target;

/// How often and how patiently is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts of one stream at one model, the first included. Default 3 (R13).
    pub attempts: NonZeroU32,
    /// Wait before the first repetition at the same target; each further one doubles it. Default 1 s (R13).
    pub backoff: Duration,
    /// Longest such wait, without the jitter. Default 4 s.
    pub backoff_max: Duration,
    /// Most that chance adds to a wait. Default 1 s.
    pub jitter: Duration,
    /// Longest `Retry-After` that is waited for while another target, or a step of the degradation chain, could answer at once. Default 5 s.
    pub longest_pushback: Duration,
}

impl RetryPolicy {
    /// The defaults.
    pub const STANDARD: Self = Self {
        attempts: NonZeroU32::MIN.saturating_add(2),
        backoff: Duration::from_secs(1),
        backoff_max: Duration::from_secs(4),
        jitter: Duration::from_secs(1),
        longest_pushback: Duration::from_secs(5),
    };
}

/// All that decides what follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// What the failure table allows.
    pub retry: Retry,
    /// Attempts that may still be made at this model.
    pub attempts_left: u32,
    /// Other targets of this model that were not asked yet.
    pub others: u32,
    /// A further step of the degradation chain is left.
    pub goes_on: bool,
    /// How often this target was asked in a row.
    pub times_here: u32,
    /// The provider's `Retry-After`.
    pub pushback: Option<Duration>,
    /// Until the stream's deadline.
    pub time_left: Duration,
    /// An attempt with less time than this is of no use.
    pub least: Duration,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The same target, after this wait.
    Same(Duration),
    /// The next target of the same model, at once.
    Next,
    /// The next step of the degradation chain.
    Degrade,
    /// Nothing: the stream ends with the failure.
    Stop,
}

impl RetryPolicy {
    /// What may follow a failure `here`. Repeating at the same target never uses up the attempts that the other targets would need, and it alone is bounded by
    /// the retry budget: asking a target that has not failed multiplies no outage.
    pub fn after(&self, situation: &Situation, here: &Target, health: &mut dyn Health, now: Moment) -> Again {
        let next = if situation.others > 0 { Again::Next } else { Again::Stop };
        if situation.attempts_left == 0 || situation.retry == Retry::Never {
            return Again::Stop;
        }
        let may_stay = match situation.retry {
            Retry::SameOnceThenNext => situation.times_here < 2,
            Retry::SameThenNext => true,
            // Without a word on how long it is limited, whoever is not limited answers sooner.
            Retry::AfterPushback => situation.pushback.is_some() || situation.others == 0,
            Retry::Never | Retry::NextTarget | Retry::LargerContext => false,
        };
        if !may_stay || situation.attempts_left <= situation.others {
            return next;
        }
        let wait = self.wait(situation, health.chance());
        let is_too_long =
            (situation.others > 0 || situation.goes_on) && situation.pushback.is_some_and(|pushback| pushback > self.longest_pushback);
        let comes_too_late = wait + situation.least > situation.time_left;
        // Its breaker may have just opened: then waiting for it is in vain, and takes nothing of the budget.
        let is_in_vain = !health.could_admit(here, now + wait);
        if is_too_long || comes_too_late || is_in_vain || !health.may_repeat(now) { next } else { Again::Same(wait) }
    }

    /// The wait before the same target is asked again: never shorter than it asked for.
    fn wait(&self, situation: &Situation, chance: f64) -> Duration {
        let doublings = situation.times_here.saturating_sub(1).min(16);
        let backoff = self.backoff.saturating_mul(1 << doublings).min(self.backoff_max);
        situation.pushback.filter(|pushback| !pushback.is_zero()).unwrap_or(backoff) + self.jitter.mul_f64(chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests;

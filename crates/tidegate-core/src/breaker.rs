//! One breaker for each target: whether it may be asked now.
//!
//! Five failures in a row open it; after a cool-down one attempt goes through as the probe, and its outcome decides for all.
//! Beside that a target that answered 429 rests for its `Retry-After`, and afterwards is asked by all again.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::Moment;
use crate::failure::Vote;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures in a row that open it. Default 5 (R15).
    pub failures: NonZeroU32,
    /// Time before an open breaker lets one probe through. Default 30 s (R15).
    pub cooldown: Duration,
}

impl BreakerPolicy {
    /// The defaults.
    pub const STANDARD: Self = Self { failures: NonZeroU32::MIN.saturating_add(4), cooldown: Duration::from_secs(30) };
}

/// Longest rest that a `Retry-After` can ask for: a provider may send any number, and one mistaken answer must not take a target
/// away for a day.
pub const LONGEST_REST: Duration = Duration::from_secs(3600);

/// What a breaker answers to an attempt that wants to start.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may start. Its outcome is told with the pass.
    Go(Pass),
    /// It may not.
    Refused {
        /// Why.
        reason: Refusal,
        /// The earliest moment at which asking again can help.
        until: Moment,
    },
}

/// Why a target is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It failed, and its cool-down is not over.
    Open,
    /// It limits requests, and its `Retry-After` is not over.
    CoolingDown,
    /// It failed, and another attempt is finding out whether it is well again.
    Probing,
}

/// The right to start one attempt. It is given back with the attempt's outcome, to the breaker that gave it.
///
/// Dropping it tells nothing; a probe whose pass is dropped keeps its place until a cool-down has passed.
#[must_use = "the breaker waits for the outcome"]
#[derive(Debug, PartialEq, Eq)]
pub struct Pass {
    /// Its place in the order of everything that happened to the breaker.
    given: u64,
    is_probe: bool,
}

impl Pass {
    /// Whether this attempt finds out for all others whether the target is well again.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.is_probe
    }
}

/// What a breaker is doing, for metrics and `/readyz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Every attempt goes through.
    Closed,
    /// No attempt goes through until the cool-down has passed.
    Open,
    /// One attempt goes through, or is under way, as the probe.
    HalfOpen,
    /// The target rests for its `Retry-After`.
    CoolingDown,
}

impl State {
    /// Its name in metrics and in `/readyz`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::CoolingDown => "cooling_down",
        }
    }
}

/// The breaker of one target.
///
/// Passes and failures are numbered in the order in which they happened, so that "began after it" is exact even within one moment.
#[derive(Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    circuit: Circuit,
    /// The end of the last rest, long gone in most breakers.
    rests_until: Moment,
    /// The number of the last pass or failure.
    events: u64,
    last_failure: u64,
    last_opening: u64,
}

#[derive(Debug)]
enum Circuit {
    /// With this many failures in a row.
    Closed { failures: u32 },
    /// The next probe may go at `until`: the end of the cool-down or, while a probe is under way, the end of its claim to be the only one.
    Open { until: Moment, probe: Option<u64> },
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(policy: BreakerPolicy) -> Self {
        Self { policy, circuit: Circuit::Closed { failures: 0 }, rests_until: Moment::ORIGIN, events: 0, last_failure: 0, last_opening: 0 }
    }

    /// Changes the policy from the next failure and the next cool-down on. One that runs keeps its end.
    pub fn set_policy(&mut self, policy: BreakerPolicy) {
        self.policy = policy;
    }

    /// Whether an attempt may start now. Of all who ask an open breaker after its cool-down, one gets the pass of the probe.
    #[must_use]
    pub fn ask(&mut self, now: Moment) -> Admission {
        if let Some((reason, until)) = self.refusal(now) {
            return Admission::Refused { reason, until };
        }
        let given = self.next_event();
        let is_probe = match &mut self.circuit {
            Circuit::Closed { .. } => false,
            Circuit::Open { until, probe } => {
                *until = now + self.policy.cooldown;
                *probe = Some(given);
                true
            }
        };
        Admission::Go(Pass { given, is_probe })
    }

    /// The attempt got its answer: a probe closes the breaker, and a run of failures ends if the attempt began after the last of them.
    ///
    /// A long stream that began before the outage proves nothing, neither in a closed breaker nor in an open one.
    #[expect(clippy::needless_pass_by_value, reason = "a pass has one outcome: who told it has none left")]
    pub fn succeeded(&mut self, pass: Pass) {
        // No attempt but a probe begins after the opening, so in an open breaker this is a probe, though maybe one that lost its place.
        if pass.given > self.last_failure {
            self.circuit = Circuit::Closed { failures: 0 };
        }
    }

    /// The attempt failed, or ended for a reason that has nothing to do with the target ([`Vote::None`], as when its client left).
    ///
    /// - [`Vote::None`]: a probe gives its place back, and the next who asks is the probe.
    /// - [`Vote::Failure`], [`Vote::OpenNow`]: counted, and a probe opens the breaker for another cool-down. Not so for an attempt that
    ///   began before the last opening: its failure belongs to an outage that was answered already, and must not open the breaker
    ///   again after a probe has closed it.
    /// - [`Vote::CoolDown`]: the target rests for `retry_after`, at most [`LONGEST_REST`]; without one nothing is counted. A probe has
    ///   proved nothing, and the next one goes after that rest, or after another cool-down where no `retry_after` was given.
    #[expect(clippy::needless_pass_by_value, reason = "a pass has one outcome: who told it has none left")]
    pub fn failed(&mut self, pass: Pass, vote: Vote, retry_after: Option<Duration>, now: Moment) {
        match vote {
            Vote::None => self.give_back(&pass, now),
            Vote::CoolDown => {
                let rest = retry_after.map(|asked| asked.min(LONGEST_REST));
                self.rests_until = self.rests_until.max(now + rest.unwrap_or_default());
                self.give_back(&pass, now + rest.unwrap_or(self.policy.cooldown));
            }
            Vote::Failure => self.count(&pass, 1, now),
            Vote::OpenNow => self.count(&pass, u32::MAX, now),
        }
    }

    /// What the breaker is doing. Of an open breaker whose target also rests, that it is open.
    #[must_use]
    pub fn state(&self, now: Moment) -> State {
        match (self.refusal(now), &self.circuit) {
            (Some((Refusal::Open, _)), _) => State::Open,
            (Some((Refusal::CoolingDown, _)), _) => State::CoolingDown,
            (None, Circuit::Closed { .. }) => State::Closed,
            (Some((Refusal::Probing, _)), _) | (None, Circuit::Open { .. }) => State::HalfOpen,
        }
    }

    /// The moment until which every attempt is refused, if no probe's outcome ends that before. `None`: one may start now.
    #[must_use]
    pub fn until(&self, now: Moment) -> Option<Moment> {
        self.refusal(now).map(|(_, until)| until)
    }

    fn refusal(&self, now: Moment) -> Option<(Refusal, Moment)> {
        let (reason, until) = match self.circuit {
            Circuit::Open { until, probe } if now < until => (if probe.is_some() { Refusal::Probing } else { Refusal::Open }, until),
            Circuit::Open { .. } | Circuit::Closed { .. } => (Refusal::CoolingDown, Moment::ORIGIN),
        };
        let until = until.max(self.rests_until);
        (now < until).then_some((reason, until))
    }

    /// If this is the probe, it ends without a proof, and the next one may go at `next`.
    fn give_back(&mut self, pass: &Pass, next: Moment) {
        if let Circuit::Open { until, probe } = &mut self.circuit
            && *probe == Some(pass.given)
        {
            (*until, *probe) = (next, None);
        }
    }

    /// Counts a failure, as if it were `weight` of them.
    fn count(&mut self, pass: &Pass, weight: u32, now: Moment) {
        if pass.given < self.last_opening {
            return;
        }
        let opens = match &mut self.circuit {
            Circuit::Closed { failures } => {
                *failures = failures.saturating_add(weight);
                *failures >= self.policy.failures.get()
            }
            Circuit::Open { probe, .. } if *probe == Some(pass.given) => true,
            // A probe that lost its place: the one that took it decides.
            Circuit::Open { .. } => return,
        };
        self.last_failure = self.next_event();
        if opens {
            self.last_opening = self.last_failure;
            self.circuit = Circuit::Open { until: now + self.policy.cooldown, probe: None };
        }
    }

    fn next_event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }
}

#[cfg(test)]
mod tests;

//! The retry budget: repetitions are a share of recent requests, so that they do not multiply an outage.

use crate::clock::Moment;

/// How many repetitions there may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetPolicy {
    /// Repetitions as a share of recent requests, 0 to 1. Default 0.2.
    pub share: f64,
    /// Repetitions that are allowed beside the share in each ten seconds, so that a lone request still has its retries. Default 10.
    pub floor: u32,
}

impl BudgetPolicy {
    /// The defaults.
    pub const STANDARD: Self = Self { share: 0.2, floor: 10 };
}

/// Seconds that are remembered: the current one and the ten before it.
const SECONDS: usize = 11;

/// The requests and repetitions of the last ten seconds.
///
/// Whenever a repetition is allowed, then in the ten seconds that end at that moment, it included,
/// `repetitions <= floor + share × requests`.
///
/// Counts are kept by whole seconds, and both are rounded to the safe side: repetitions are counted over the current second and the
/// ten before it (more than ten seconds), requests over the current one and the nine before it (less than ten). So a repetition is
/// forgotten one second late at most, and a request one second early.
#[derive(Debug)]
pub struct RetryBudget {
    policy: BudgetPolicy,
    /// By second, the current one first.
    counts: [Counts; SECONDS],
    /// The current second, counted from the origin.
    second: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    requests: u32,
    repetitions: u32,
}

impl RetryBudget {
    /// A budget that nothing was taken from.
    #[must_use]
    pub fn new(policy: BudgetPolicy) -> Self {
        Self { policy, counts: [Counts::default(); SECONDS], second: 0 }
    }

    /// Changes the policy and keeps what was counted.
    pub fn set_policy(&mut self, policy: BudgetPolicy) {
        self.policy = policy;
    }

    /// Counts a client's request, once however many attempts it takes.
    pub fn request(&mut self, now: Moment) {
        let current = self.current(now);
        current.requests = current.requests.saturating_add(1);
    }

    /// Whether an attempt may be a repetition of one that failed. Takes one out of the budget if so.
    #[must_use]
    pub fn may_repeat(&mut self, now: Moment) -> bool {
        self.current(now);
        let requests = self.counts[..SECONDS - 1].iter().fold(0_u32, |sum, counts| sum.saturating_add(counts.requests));
        let repetitions = self.counts.iter().fold(0_u32, |sum, counts| sum.saturating_add(counts.repetitions));
        let allowed = f64::from(self.policy.floor) + self.policy.share * f64::from(requests);
        let may_repeat = f64::from(repetitions) + 1.0 <= allowed;
        if may_repeat {
            self.counts[0].repetitions = self.counts[0].repetitions.saturating_add(1);
        }
        may_repeat
    }

    /// The counts of the second of `now`, after forgetting what is too old. A `now` before the last one counts as the last one.
    fn current(&mut self, now: Moment) -> &mut Counts {
        let second = now.since(Moment::ORIGIN).as_secs();
        let passed = usize::try_from(second.saturating_sub(self.second)).unwrap_or(SECONDS).min(SECONDS);
        self.counts.rotate_right(passed);
        self.counts[..passed].fill(Counts::default());
        self.second = self.second.max(second);
        &mut self.counts[0]
    }
}

#[cfg(test)]
mod tests;

//! Many streams at once, as one gateway has them: each decides for itself, and all share breakers and a retry budget.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use tidegate_core::breaker::{Admission, Breaker, BreakerPolicy, Pass};
use tidegate_core::budget::{BudgetPolicy, RetryBudget};
use tidegate_core::health::Skip;

use super::*;

/// What all streams share, and what was seen of it.
pub(super) struct Crowd {
    policy: BreakerPolicy,
    breakers: HashMap<Arc<str>, Breaker>,
    budget: RetryBudget,
    chance: f64,
    /// When open breakers let a probe through, in order.
    pub(super) probes: Vec<Moment>,
    /// Repetitions that the budget allowed.
    pub(super) allowed: usize,
    /// Repetitions that it refused.
    pub(super) refused: usize,
}

/// The right to the attempt that runs, until its outcome is told: whom it asks, and that breaker's pass.
type Ticket = Option<(Arc<str>, Pass)>;

/// A stream's own place among the others.
struct Seat<'c> {
    crowd: &'c mut Crowd,
    ticket: &'c mut Ticket,
}

impl Crowd {
    pub(super) fn new(policy: BreakerPolicy) -> Self {
        let budget = RetryBudget::new(BudgetPolicy::STANDARD);
        Self { policy, breakers: HashMap::new(), budget, chance: 0.0, probes: Vec::new(), allowed: 0, refused: 0 }
    }

    /// Plays all streams, given in the order of their arrivals, each step at its moment. They come back in that order.
    pub(super) fn play<'s>(&mut self, arrivals: impl IntoIterator<Item = (Moment, Simulation<'s>)>) -> Vec<Simulated> {
        let mut arrivals = arrivals.into_iter().peekable();
        let mut streams: Vec<(Run<'s>, Ticket)> = Vec::new();
        let mut due = BinaryHeap::new();
        loop {
            let next = due.peek().map(|Reverse((at, _))| *at);
            if let Some((at, simulation)) = arrivals.next_if(|(at, _)| next.is_none_or(|next| *at <= next)) {
                self.budget.request(at);
                due.push(Reverse((at, streams.len())));
                streams.push((simulation.begin(at), None));
                continue;
            }
            let Some(Reverse((_, number))) = due.pop() else { break };
            let (run, ticket) = &mut streams[number];
            run.step(&mut Seat { crowd: self, ticket });
            due.extend(run.next_at().map(|at| Reverse((at, number))));
        }
        streams.into_iter().map(|(run, _)| run.end()).collect()
    }

    fn breaker(&mut self, target: &Arc<str>) -> &mut Breaker {
        let policy = self.policy;
        self.breakers.entry(Arc::clone(target)).or_insert_with(|| Breaker::new(policy))
    }
}

impl Health for Seat<'_> {
    fn admit(&mut self, target: &Target, now: Moment) -> Result<(), Skip> {
        match self.crowd.breaker(&target.model).ask(now) {
            Admission::Go(pass) => {
                self.crowd.probes.extend(pass.is_probe().then_some(now));
                *self.ticket = Some((Arc::clone(&target.model), pass));
                Ok(())
            }
            Admission::Refused { reason, until } => Err(Skip::refused(reason, until)),
        }
    }

    fn may_repeat(&mut self, now: Moment) -> bool {
        let may = self.crowd.budget.may_repeat(now);
        let answers = if may { &mut self.crowd.allowed } else { &mut self.crowd.refused };
        *answers += 1;
        may
    }

    /// Spread evenly, and the same in each run.
    fn chance(&mut self) -> f64 {
        self.crowd.chance = (self.crowd.chance + 0.618_033_988).fract();
        self.crowd.chance
    }
}

impl World for Seat<'_> {
    fn first_output(&mut self, now: Moment) {
        if self.ticket.as_ref().is_some_and(|(_, pass)| pass.is_probe()) {
            self.completed(now);
        }
    }

    fn completed(&mut self, _now: Moment) {
        if let Some((target, pass)) = self.ticket.take() {
            self.crowd.breaker(&target).succeeded(pass);
        }
    }

    fn failed(&mut self, failure: Failure, pushback: Option<Duration>, now: Moment) {
        if let Some((target, pass)) = self.ticket.take() {
            self.crowd.breaker(&target).failed(pass, failure.facts().breaker, pushback, now);
        }
    }
}

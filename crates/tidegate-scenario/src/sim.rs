//! A scenario without sockets and without waiting: simulated providers, the gateway's own decisions, a client that reads.
//!
//! It does what the gateway's relay does with a [`Verdict`](tidegate_core::exchange::Verdict), and nothing else: every decision is
//! [`Exchange`]'s, every byte of a provider is read by `tidegate-wire`. The network takes no time unless a [`Way`] says so. At one and the
//! same moment the client leaves first, then the provider speaks, then a limit runs out.
//!
//! [`Simulation::run`] plays one stream to its end. Many streams that share breakers and a retry budget are interleaved by whoever holds
//! their [`Run`]s: each says when it wants to go on, and goes one step at a time.

mod provider;
mod run;
mod view;

use std::time::Duration;

use tidegate_core::Moment;
use tidegate_core::exchange::Exchange;
use tidegate_core::failure::Failure;
use tidegate_core::health::{AllHealthy, Health};
use tidegate_core::limits::{DeliveryMode, Limits, TimeoutProfile};
use tidegate_core::retry::RetryPolicy;
use tidegate_core::route::{RoutePlan, Target};

pub use run::Run;
pub use view::{ClientView, Ending, Piece, Seen};

use crate::script::Scenario;

/// One request to a gateway whose route is the scenario's targets, in their order.
#[derive(Debug, Clone)]
pub struct Simulation<'s> {
    scenario: &'s Scenario,
    /// From these moments on, in order, the targets do as these scenarios say.
    later: Vec<(Moment, &'s Scenario)>,
    mode: DeliveryMode,
    limits: Limits,
    early_head: bool,
    policy: RetryPolicy,
    /// The model's targets, and those of each further step of its degradation chain.
    legs: Vec<Vec<Target>>,
    ways: Vec<(String, Way)>,
    cut_short: Option<(Duration, Failure)>,
    restarts: usize,
    perseveres: bool,
}

/// How long a request is on its way to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Way {
    /// Until a connection is free.
    pub pool: Duration,
    /// From there until the connection is made.
    pub connect: Duration,
    /// From there until the request is sent.
    pub send: Duration,
}

/// What came of it, from both sides.
#[derive(Debug)]
pub struct Simulated {
    /// What the client saw.
    pub view: ClientView,
    /// What the gateway decided and noted: it has ended.
    pub exchange: Exchange,
    /// The streams that it repeats with the client's consent, in order.
    pub before: Vec<Exchange>,
}

/// What a stream shares with others: it asks for leave to make an attempt, and tells what came of it.
pub trait World: Health {
    /// The running attempt showed its first output, maybe to the gateway alone.
    fn first_output(&mut self, _now: Moment) {}

    /// The running attempt's answer is complete.
    fn completed(&mut self, _now: Moment) {}

    /// The running attempt failed, or was given up; `pushback` is the provider's `Retry-After`.
    fn failed(&mut self, _failure: Failure, _pushback: Option<Duration>, _now: Moment) {}
}

impl World for AllHealthy {}

impl<'s> Simulation<'s> {
    /// A patient client, and the limits and retries that hold where nobody configured any.
    ///
    /// A buffered answer has its head held back, as the gateway does without `early_200`.
    #[must_use]
    pub fn new(scenario: &'s Scenario, mode: DeliveryMode) -> Self {
        Self {
            scenario,
            later: Vec::new(),
            mode,
            limits: Limits::with_profile(TimeoutProfile::STANDARD),
            early_head: mode != DeliveryMode::Buffered,
            policy: RetryPolicy::STANDARD,
            legs: vec![scenario.targets.iter().map(|target| Target::new(target.name.as_str(), target.name.as_str())).collect()],
            ways: Vec::new(),
            cut_short: None,
            restarts: 0,
            perseveres: false,
        }
    }

    /// With these limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// With this policy of repeating.
    #[must_use]
    pub fn policy(self, policy: RetryPolicy) -> Self {
        Self { policy, ..self }
    }

    /// With these targets instead of the scenario's in their order: those of the model, then those of each step of its degradation chain.
    /// Their models are names of the scenario.
    #[must_use]
    pub fn legs(self, legs: Vec<Vec<Target>>) -> Self {
        Self { legs, ..self }
    }

    /// With an early status 200 and keepalives, also for a buffered answer.
    #[must_use]
    pub fn early_head(self) -> Self {
        Self { early_head: true, ..self }
    }

    /// With requests to `target` that take this long to get there.
    #[must_use]
    pub fn way_to(mut self, target: &str, way: Way) -> Self {
        self.ways.push((target.to_owned(), way));
        self
    }

    /// With a client that leaves this long after its request arrived.
    #[must_use]
    pub fn client_leaves_after(self, patience: Duration) -> Self {
        self.cut_short_after(patience, Failure::ClientGone)
    }

    /// With an end from outside, this long after the request arrived: the client's, its reading too slowly, or the gateway's own.
    #[must_use]
    pub fn cut_short_after(self, time: Duration, failure: Failure) -> Self {
        Self { cut_short: Some((time, failure)), ..self }
    }

    /// With a client that agreed to have a partial answer begun again, at most this often.
    #[must_use]
    pub fn restarts(self, most: usize) -> Self {
        Self { restarts: most, ..self }
    }

    /// With nobody who waits: when all targets have failed, it begins anew until its deadline.
    #[must_use]
    pub fn perseveres(self) -> Self {
        Self { perseveres: true, ..self }
    }

    /// With targets that do as `scenario` says when they are asked at `from` or later. Called in the order of the moments.
    #[must_use]
    pub fn from_then_on(mut self, from: Moment, scenario: &'s Scenario) -> Self {
        self.later.push((from, scenario));
        self
    }

    /// Plays it to its end, in no time.
    #[must_use]
    pub fn run(self) -> Simulated {
        self.run_with(&mut AllHealthy)
    }

    /// Plays it to its end in a world where `world` says who may be asked.
    #[must_use]
    pub fn run_with(self, world: &mut dyn World) -> Simulated {
        let mut run = self.begin(Moment::ORIGIN);
        while run.next_at().is_some() {
            run.step(world);
        }
        run.end()
    }

    /// The request arrives at `now`; nothing else has happened yet.
    #[must_use]
    pub fn begin(self, now: Moment) -> Run<'s> {
        Run::new(self, now)
    }

    fn plan(&self) -> RoutePlan {
        let mut legs = self.legs.iter().cloned();
        let first = RoutePlan::with_policy(self.policy, legs.next().unwrap_or_default());
        legs.fold(first, RoutePlan::then)
    }

    fn exchange(&self, now: Moment) -> Exchange {
        let exchange = Exchange::new(self.mode, self.limits, self.plan(), now);
        let exchange = if self.perseveres { exchange.persevering(self.plan()) } else { exchange };
        if self.early_head { exchange } else { exchange.without_early_head() }
    }

    /// What the targets do when they are asked at `now`.
    fn scenario_at(&self, now: Moment) -> &'s Scenario {
        self.later.iter().rev().find(|(from, _)| *from <= now).map_or(self.scenario, |(_, scenario)| scenario)
    }

    fn way(&self, target: &Target) -> Way {
        self.ways.iter().find(|(name, _)| **name == *target.model).map(|(_, way)| *way).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;

//! A scenario without sockets and without waiting: simulated providers, the gateway's own decisions, a client that reads.
//!
//! It does what the gateway's relay does with a [`Verdict`], and nothing else: every decision is [`Exchange`]'s, every byte of a provider is
//! read by `tidegate-wire`. The network takes no time. At one and the same moment the client leaves first, then the provider speaks, then a
//! limit runs out.

mod provider;
mod view;

use std::iter::Peekable;
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::Moment;
use tidegate_core::delivery::Head;
use tidegate_core::event::EventFacts;
use tidegate_core::exchange::{AfterFailure, BodyEnd, Due, Exchange, Next, Phase, Verdict};
use tidegate_core::failure::Failure;
use tidegate_core::health::{AllHealthy, Health};
use tidegate_core::limits::{DeliveryMode, Limits, TimeoutProfile};
use tidegate_core::route::{RoutePlan, Target};
use tidegate_wire::openai_chat::{self, Assembler, ChatReader, ErrorContext};
use tidegate_wire::sse::{KEEPALIVE, RawEvent, Scanner};

pub use view::{ClientView, Ending, Piece, Seen};

use crate::script::Scenario;
use provider::{Act, Provider};
use view::Client;

/// One request to a gateway whose route is the scenario's targets, in their order.
#[derive(Debug, Clone)]
pub struct Simulation<'s> {
    scenario: &'s Scenario,
    mode: DeliveryMode,
    limits: Limits,
    early_head: bool,
    leaves: Moment,
}

/// What came of it, from both sides.
#[derive(Debug)]
pub struct Simulated {
    /// What the client saw.
    pub view: ClientView,
    /// What the gateway decided and noted: it has ended.
    pub exchange: Exchange,
}

impl<'s> Simulation<'s> {
    /// A patient client, and the limits that hold where nobody configured any.
    ///
    /// A buffered answer has its head held back, as the gateway does without `early_200`.
    #[must_use]
    pub fn new(scenario: &'s Scenario, mode: DeliveryMode) -> Self {
        let limits = Limits::with_profile(TimeoutProfile::STANDARD);
        Self { scenario, mode, limits, early_head: mode != DeliveryMode::Buffered, leaves: Moment::FAR }
    }

    /// With these limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// With an early status 200 and keepalives, also for a buffered answer.
    #[must_use]
    pub fn early_head(self) -> Self {
        Self { early_head: true, ..self }
    }

    /// With a client that leaves this long after its request arrived.
    #[must_use]
    pub fn client_leaves_after(self, patience: Duration) -> Self {
        Self { leaves: Moment::ORIGIN + patience, ..self }
    }

    /// Plays it to its end, in no time.
    #[must_use]
    pub fn run(self) -> Simulated {
        self.run_with(&mut AllHealthy)
    }

    /// Plays it in a world where `health` says who may be asked.
    #[must_use]
    pub fn run_with(self, health: &mut dyn Health) -> Simulated {
        Run::new(self, health).play()
    }
}

/// A simulation that runs. Its methods are those of the gateway's relay, by name.
struct Run<'s, 'h> {
    setup: Simulation<'s>,
    health: &'h mut dyn Health,
    now: Moment,
    exchange: Exchange,
    attempt: Option<Attempt<'s>>,
    /// The same target is asked again, when the exchange says so.
    waits: bool,
    held: Vec<RawEvent>,
    client: Client,
}

/// One request to a provider.
struct Attempt<'s> {
    provider: Peekable<Provider<'s>>,
    scanner: Scanner,
    reader: ChatReader,
}

impl<'s, 'h> Run<'s, 'h> {
    fn new(setup: Simulation<'s>, health: &'h mut dyn Health) -> Self {
        let targets = setup.scenario.targets.iter().map(|target| Target::new(target.name.as_str(), target.name.as_str()));
        let exchange = Exchange::new(setup.mode, setup.limits, RoutePlan::new(targets), Moment::ORIGIN);
        let exchange = if setup.early_head { exchange } else { exchange.without_early_head() };
        let client = Client::new(setup.mode == DeliveryMode::Buffered);
        Self { setup, health, now: Moment::ORIGIN, exchange, attempt: None, waits: false, held: Vec::new(), client }
    }

    fn play(mut self) -> Simulated {
        while self.exchange.ending().is_none() {
            self.step();
        }
        let ended = self.elapsed();
        Simulated { view: self.client.end(ended), exchange: self.exchange }
    }

    /// Does whatever happens next.
    fn step(&mut self) {
        if self.attempt.is_none() && !self.waits {
            return self.begin_attempt();
        }
        let speaks = self.attempt.as_mut().and_then(|attempt| attempt.provider.peek()).map_or(Moment::FAR, |(at, _)| *at);
        let next = self.setup.leaves.min(speaks).min(self.exchange.wake_at(true));
        self.now = self.now.max(next);
        if self.setup.leaves <= self.now {
            self.exchange.abandoned(Failure::ClientGone, self.now);
            self.client.stop(Ending::Left);
        } else if speaks <= self.now {
            if let Some((_, act)) = self.attempt.as_mut().and_then(|attempt| attempt.provider.next()) {
                self.take_act(act);
            }
        } else {
            self.take_due();
        }
    }

    fn begin_attempt(&mut self) {
        self.waits = false;
        let target = match self.exchange.begin_attempt(self.now, self.health) {
            Next::Ask(target) => target,
            Next::End(ending) => return self.tell(ending),
            Next::Committed => return,
        };
        for phase in [Phase::Connecting, Phase::Connected, Phase::Sent] {
            self.exchange.reached(phase, self.now);
        }
        let asked_before = self.exchange.tally().asked().filter(|attempt| attempt.target == target).count() - 1;
        let Some(script) = self.setup.scenario.script(&target.model, asked_before) else { return self.fail(Failure::Internal, None) };
        self.attempt = Some(Attempt {
            provider: Provider::new(&target.model, script, self.now).peekable(),
            scanner: Scanner::new(usize::MAX),
            reader: ChatReader::new(1, false),
        });
    }

    fn take_act(&mut self, act: Act<'s>) {
        match act {
            Act::Head => {}
            Act::Body(bytes) => self.take_bytes(bytes),
            Act::End(end) => self.body_ended(end),
            Act::Refuse => self.fail(Failure::ConnectFailed, None),
            Act::Answer { status: 200..=299, content_type, body, .. } if content_type.starts_with("text/event-stream") => {
                self.take_bytes(body);
                self.body_ended(BodyEnd::Clean);
            }
            Act::Answer { status: 200..=299, body, .. } => {
                let mut facts = openai_chat::read_whole(&body);
                facts.failure.get_or_insert(Failure::UpstreamMalformed);
                if let Verdict::Fail(failure) = self.exchange.whole_answer(&facts, self.now) {
                    self.fail(failure, None);
                }
            }
            Act::Answer { status, body, retry_after, .. } => self.fail(openai_chat::read_error(status, &body).failure, retry_after),
        }
    }

    fn take_bytes(&mut self, bytes: Bytes) {
        if let Some(attempt) = &mut self.attempt {
            attempt.scanner.push(bytes);
        }
        while let Some(attempt) = &mut self.attempt {
            let Ok(Some(event)) = attempt.scanner.next() else { return };
            let facts = attempt.reader.read(&event);
            self.take_event(event, &facts);
        }
    }

    fn take_event(&mut self, event: RawEvent, facts: &EventFacts) {
        let event = event.without_position();
        match self.exchange.event(facts, self.now) {
            Verdict::Hold => self.held.push(event),
            // One body is put together from everything, usage included.
            Verdict::Swallow if self.setup.mode == DeliveryMode::Buffered => self.held.push(event),
            Verdict::Swallow => {}
            Verdict::Commit | Verdict::Forward => {
                self.held.push(event);
                self.pass_held();
                self.exchange.wrote(self.now);
            }
            Verdict::Finish { write_sentinel } => {
                self.held.push(event);
                self.finish(write_sentinel);
            }
            Verdict::Fail(failure) => self.fail(failure, None),
        }
    }

    fn body_ended(&mut self, end: BodyEnd) {
        let Some(attempt) = &mut self.attempt else { return };
        if let Some(event) = attempt.scanner.finish() {
            let facts = attempt.reader.read(&event);
            self.take_event(event, &facts);
        }
        if self.attempt.is_none() {
            return;
        }
        match self.exchange.body_ended(end, self.now) {
            Verdict::Finish { write_sentinel } => self.finish(write_sentinel),
            Verdict::Fail(failure) => self.fail(failure, None),
            Verdict::Hold | Verdict::Swallow | Verdict::Commit | Verdict::Forward => {}
        }
    }

    fn take_due(&mut self) {
        match self.exchange.due(self.now, true) {
            Due::Nothing => {}
            Due::Head => self.client.head(self.elapsed(), 200),
            Due::Keepalive if self.setup.mode == DeliveryMode::Buffered => self.pass(Bytes::from_static(b"\n")),
            Due::Keepalive => self.pass(Bytes::from_static(KEEPALIVE)),
            Due::Finish => self.finish(true),
            Due::Attempt => self.begin_attempt(),
            Due::JudgeRate => self.judge_rate(),
            Due::Failed(failure) => self.fail(failure, None),
        }
    }

    fn finish(&mut self, write_sentinel: bool) {
        self.attempt = None;
        if self.setup.mode == DeliveryMode::Buffered {
            let mut assembler = Assembler::new();
            self.held.iter().for_each(|event| assembler.add(event));
            return self.pass(assembler.finish());
        }
        self.pass_held();
        if write_sentinel {
            self.pass(openai_chat::done_event());
        }
    }

    fn judge_rate(&mut self) {
        let bytes = self.attempt.as_ref().map_or(0, |attempt| attempt.reader.output_bytes());
        match self.exchange.judge_rate(bytes, self.now, self.health) {
            Verdict::Commit => self.pass_held(),
            Verdict::Fail(failure) => self.fail(failure, None),
            Verdict::Hold | Verdict::Swallow | Verdict::Forward | Verdict::Finish { .. } => {}
        }
    }

    fn fail(&mut self, failure: Failure, pushback: Option<Duration>) {
        self.attempt = None;
        self.held.clear();
        match self.exchange.failed(failure, pushback, self.now, self.health) {
            AfterFailure::TryNext => {}
            AfterFailure::Wait => self.waits = true,
            AfterFailure::End(ending) => self.tell(ending),
        }
    }

    fn tell(&mut self, ending: tidegate_core::delivery::Ending) {
        let failure = ending.failure.unwrap_or(Failure::Internal);
        let context = ErrorContext { partial: ending.is_partial(), ..ErrorContext::default() };
        match ending.head {
            Head::Unsent => {
                let status = failure.facts().status.unwrap_or_default();
                self.client.refuse(self.elapsed(), status, &openai_chat::error_body(failure, &context));
            }
            // One body whose status 200 is out has no place for an error.
            Head::Sent if self.setup.mode == DeliveryMode::Buffered => self.client.stop(Ending::Broken),
            Head::Sent => self.pass(openai_chat::error_event(failure, &context)),
        }
    }

    fn pass_held(&mut self) {
        for event in std::mem::take(&mut self.held) {
            self.pass(event.into_bytes());
        }
    }

    fn pass(&mut self, bytes: Bytes) {
        self.client.take(self.elapsed(), bytes);
    }

    fn elapsed(&self) -> Duration {
        self.now.since(Moment::ORIGIN)
    }
}

#[cfg(test)]
mod tests;

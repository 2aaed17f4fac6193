//! A simulation that runs. Its methods are those of the gateway's relay, by name.

use std::iter::Peekable;
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::Moment;
use tidegate_core::delivery::{self, Head, RestartConsent};
use tidegate_core::event::EventFacts;
use tidegate_core::exchange::{AfterFailure, BodyEnd, Due, Exchange, Next, Phase, Verdict};
use tidegate_core::failure::Failure;
use tidegate_core::limits::{DeliveryMode, Limits, TimeoutProfile};
use tidegate_core::route::Target;
use tidegate_wire::openai_chat::{self, Assembler, ChatReader, ErrorContext};
use tidegate_wire::sse::{KEEPALIVE, RawEvent, Scanner};

use super::provider::{Act, Provider};
use super::view::{Client, Ending};
use super::{Simulated, Simulation, Way, World};

/// One stream of a simulation, between two steps.
pub struct Run<'s> {
    setup: Simulation<'s>,
    arrived: Moment,
    now: Moment,
    exchange: Exchange,
    before: Vec<Exchange>,
    attempt: Option<Attempt<'s>>,
    /// The same target is asked again, when the exchange says so.
    waits: bool,
    held: Vec<RawEvent>,
    client: Client,
}

/// One request to a provider.
struct Attempt<'s> {
    way: Peekable<std::array::IntoIter<(Moment, Phase), 3>>,
    provider: Peekable<Provider<'s>>,
    scanner: Scanner,
    reader: ChatReader,
}

impl<'s> Run<'s> {
    pub(super) fn new(setup: Simulation<'s>, now: Moment) -> Self {
        let exchange = setup.exchange(now);
        let client = Client::new(setup.mode == DeliveryMode::Buffered);
        Self { setup, arrived: now, now, exchange, before: Vec::new(), attempt: None, waits: false, held: Vec::new(), client }
    }

    /// When the next step is due; `None` once the stream has ended.
    pub fn next_at(&mut self) -> Option<Moment> {
        if self.exchange.ending().is_some() {
            return None;
        }
        if self.attempt.is_none() && !self.waits {
            return Some(self.now);
        }
        let next = self.cut_short_at().min(self.upstream_at()).min(self.exchange.wake_at(true));
        Some(next.max(self.now))
    }

    /// Does whatever is due next, at the moment that [`Run::next_at`] names. Nothing is due once the stream has ended.
    pub fn step(&mut self, world: &mut dyn World) {
        let Some(next) = self.next_at() else { return };
        self.now = next;
        if self.attempt.is_none() && !self.waits {
            self.begin_attempt(world);
        } else if self.cut_short_at() <= next {
            self.cut_short(world);
        } else if self.upstream_at() <= next {
            self.take_upstream(world);
        } else {
            self.take_due(world);
        }
    }

    /// What came of it. A stream that has not ended has an ending that nothing explains.
    #[must_use]
    pub fn end(self) -> Simulated {
        let ended = self.elapsed();
        Simulated { view: self.client.end(ended), exchange: self.exchange, before: self.before }
    }

    fn cut_short_at(&self) -> Moment {
        self.setup.cut_short.map_or(Moment::FAR, |(time, _)| self.arrived + time)
    }

    /// When the request gets further, or the provider speaks.
    fn upstream_at(&mut self) -> Moment {
        let Some(attempt) = &mut self.attempt else { return Moment::FAR };
        let gets_further = attempt.way.peek().map(|(at, _)| *at);
        gets_further.or_else(|| attempt.provider.peek().map(|(at, _)| *at)).unwrap_or(Moment::FAR)
    }

    fn begin_attempt(&mut self, world: &mut dyn World) {
        self.waits = false;
        let target = match self.exchange.begin_attempt(self.now, world) {
            Next::Ask(target) => target,
            Next::Wait => {
                self.waits = true;
                return;
            }
            Next::End(ending) => return self.tell(ending),
            Next::Committed => return,
        };
        let asked_before = self.times_asked(&target) - 1;
        let scenario = self.setup.scenario_at(self.now);
        let Some(script) = scenario.script(&target.model, asked_before) else { return self.fail(Failure::Internal, None, world) };
        let Way { pool, connect, send } = self.setup.way(&target);
        let free = self.now + pool;
        let connected = free + connect;
        let sent = connected + send;
        self.attempt = Some(Attempt {
            way: [(free, Phase::Connecting), (connected, Phase::Connected), (sent, Phase::Sent)].into_iter().peekable(),
            provider: Provider::new(&target.model, script, sent).peekable(),
            scanner: Scanner::new(usize::MAX),
            reader: ChatReader::new(1, false),
        });
    }

    fn times_asked(&self, target: &Target) -> usize {
        let exchanges = self.before.iter().chain([&self.exchange]);
        exchanges.flat_map(|exchange| exchange.tally().asked()).filter(|attempt| attempt.target == *target).count()
    }

    fn cut_short(&mut self, world: &mut dyn World) {
        let Some((_, failure)) = self.setup.cut_short else { return };
        match failure {
            Failure::ClientGone | Failure::SlowClient => {
                self.abandon(failure, world);
                self.client.stop(Ending::Left);
            }
            Failure::Cancelled => {
                let ending = self.abandon(failure, world);
                self.tell(ending);
            }
            _ => self.fail(failure, None, world),
        }
    }

    fn abandon(&mut self, failure: Failure, world: &mut dyn World) -> delivery::Ending {
        if self.attempt.take().is_some() {
            world.failed(failure, None, self.now);
        }
        self.exchange.abandoned(failure, self.now)
    }

    fn take_upstream(&mut self, world: &mut dyn World) {
        let Some(attempt) = &mut self.attempt else { return };
        if let Some((_, phase)) = attempt.way.next() {
            self.exchange.reached(phase, self.now);
        } else if let Some((_, act)) = attempt.provider.next() {
            self.take_act(act, world);
        }
    }

    fn take_act(&mut self, act: Act<'s>, world: &mut dyn World) {
        match act {
            Act::Head => {}
            Act::Body(bytes) => self.take_bytes(bytes, world),
            Act::End(end) => self.body_ended(end, world),
            Act::Refuse => self.fail(Failure::ConnectFailed, None, world),
            Act::Answer { status: 200..=299, content_type, body, .. } if content_type.starts_with("text/event-stream") => {
                self.take_bytes(body, world);
                self.body_ended(BodyEnd::Clean, world);
            }
            Act::Answer { status: 200..=299, body, .. } => {
                let mut facts = openai_chat::read_whole(&body);
                facts.failure.get_or_insert(Failure::UpstreamMalformed);
                if let Verdict::Fail(failure) = self.exchange.whole_answer(&facts, self.now) {
                    self.fail(failure, None, world);
                }
            }
            Act::Answer { status, body, retry_after, .. } => self.fail(openai_chat::read_error(status, &body).failure, retry_after, world),
        }
    }

    fn take_bytes(&mut self, bytes: Bytes, world: &mut dyn World) {
        if let Some(attempt) = &mut self.attempt {
            attempt.scanner.push(bytes);
        }
        while let Some(attempt) = &mut self.attempt {
            let Ok(Some(event)) = attempt.scanner.next() else { return };
            let facts = attempt.reader.read(&event);
            self.take_event(event, &facts, world);
        }
    }

    fn take_event(&mut self, event: RawEvent, facts: &EventFacts, world: &mut dyn World) {
        let event = event.without_position();
        let has_shown = self.exchange.tally().attempts.last().is_some_and(|attempt| attempt.first_output.is_some());
        if facts.has_output && !has_shown {
            world.first_output(self.now);
        }
        match self.exchange.event(facts, self.now) {
            Verdict::Hold => {
                self.held.push(event);
                if facts.has_output && self.setup.mode == DeliveryMode::Stream && self.exchange.is_quick_enough(self.output_bytes()) {
                    self.judge_rate(world);
                }
            }
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
                self.finish(write_sentinel, world);
            }
            Verdict::Fail(failure) => self.fail(failure, None, world),
        }
    }

    fn body_ended(&mut self, end: BodyEnd, world: &mut dyn World) {
        let Some(attempt) = &mut self.attempt else { return };
        if let Some(event) = attempt.scanner.finish() {
            let facts = attempt.reader.read(&event);
            self.take_event(event, &facts, world);
        }
        if self.attempt.is_none() {
            return;
        }
        match self.exchange.body_ended(end, self.now) {
            Verdict::Finish { write_sentinel } => self.finish(write_sentinel, world),
            Verdict::Fail(failure) => self.fail(failure, None, world),
            Verdict::Hold | Verdict::Swallow | Verdict::Commit | Verdict::Forward => {}
        }
    }

    fn take_due(&mut self, world: &mut dyn World) {
        match self.exchange.due(self.now, true) {
            Due::Nothing => {}
            Due::Head => self.client.head(self.elapsed(), 200),
            Due::Keepalive if self.setup.mode == DeliveryMode::Buffered => self.pass(Bytes::from_static(b"\n")),
            Due::Keepalive => self.pass(Bytes::from_static(KEEPALIVE)),
            Due::Finish => self.finish(true, world),
            Due::Attempt => self.begin_attempt(world),
            Due::JudgeRate => self.judge_rate(world),
            // A simulated refusal comes whole.
            Due::JudgeRefusal => {}
            Due::Failed(failure) => self.fail(failure, None, world),
        }
    }

    fn finish(&mut self, write_sentinel: bool, world: &mut dyn World) {
        self.attempt = None;
        world.completed(self.now);
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

    fn judge_rate(&mut self, world: &mut dyn World) {
        match self.exchange.judge_rate(self.output_bytes(), self.now, world) {
            Verdict::Commit => self.pass_held(),
            Verdict::Fail(failure) => self.fail(failure, None, world),
            Verdict::Hold | Verdict::Swallow | Verdict::Forward | Verdict::Finish { .. } => {}
        }
    }

    fn output_bytes(&self) -> u64 {
        self.attempt.as_ref().map_or(0, |attempt| attempt.reader.output_bytes())
    }

    fn fail(&mut self, failure: Failure, pushback: Option<Duration>, world: &mut dyn World) {
        self.held.clear();
        if self.attempt.take().is_some() {
            world.failed(failure, pushback, self.now);
        }
        match self.exchange.failed(failure, pushback, self.now, world) {
            AfterFailure::TryNext => {}
            AfterFailure::Wait => self.waits = true,
            AfterFailure::End(ending) => self.ended(ending),
        }
    }

    /// Begins again what broke off, or tells that it did.
    fn ended(&mut self, ending: delivery::Ending) {
        let time_left = self.exchange.time_left(self.now);
        let may_restart = self.setup.mode == DeliveryMode::Stream && self.before.len() < self.setup.restarts;
        match RestartConsent::after(ending, may_restart) {
            Some(consent) if time_left >= self.setup.limits.least => self.restart(consent, ending, time_left),
            _ => self.tell(ending),
        }
    }

    fn restart(&mut self, consent: RestartConsent, ending: delivery::Ending, time_left: Duration) {
        let profile = TimeoutProfile { total: time_left, ..self.setup.limits.profile };
        let failed = self.exchange.tally().asked().next_back().map(|attempt| &attempt.target);
        let plan = failed.map_or_else(|| self.setup.plan(), |target| self.setup.plan().putting_off(target));
        let exchange = Exchange::restarted(consent, Limits { profile, ..self.setup.limits }, plan, self.now);
        self.before.push(std::mem::replace(&mut self.exchange, exchange));
        let [from, to] = [self.before.len(), self.before.len() + 1].map(|n| n.to_string());
        self.pass(openai_chat::restart_event(&from, &to, ending.failure.map_or("", Failure::code)));
    }

    fn tell(&mut self, ending: delivery::Ending) {
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
        self.now.since(self.arrived)
    }
}

//! The decisions of one stream, from its first attempt to its ending.
//!
//! The shell tells an [`Exchange`] what happened and when; the exchange answers what to do. It performs nothing itself, so an hour of a
//! stream's life is simulated in a millisecond, and the simulator and the gateway cannot disagree.
//!
//! The order of a stream's life, and of the calls: [`Exchange::begin_attempt`], [`Exchange::reached`] for each [`Phase`],
//! [`Exchange::event`] for each provider event, [`Exchange::body_ended`]; at any time [`Exchange::due`] when [`Exchange::wake_at`] has
//! come, [`Exchange::failed`], and [`Exchange::abandoned`]. What all streams know together (breakers, the retry budget) comes in as
//! [`Health`].
//!
//! The file is long because every transition of a stream stands in it: split by state, none could be read without the others.

use std::time::Duration;

use crate::clock::Moment;
use crate::delivery::{Committed, Delivery, Ending, Head, Pending, RestartConsent};
use crate::event::{EventFacts, EventKind};
use crate::failure::{Blame, Failure, Retry};
use crate::health::{Health, Skip, SkipReason};
use crate::limits::{DeliveryMode, Limits, RateGuard, TimeoutProfile};
use crate::record::{AttemptOutcome, Decision};
use crate::retry::Again;
use crate::route::{Failed, RoutePlan, Target};
use crate::tally::{AttemptTally, Fate, Tally};
use crate::timers::{TimeoutKind, TimerTable};

/// How long a provider gets to say why it refused. It comes in the same packet as a rule.
const REFUSAL: Duration = Duration::from_secs(2);
/// How long a stream that perseveres leaves everybody alone once all have failed it.
const PAUSE: Duration = Duration::from_secs(10);

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A connection is free, or may be made: TCP and TLS begin.
    Connecting,
    /// The connection is there: the request is being sent.
    Connected,
    /// The provider has the whole request.
    Sent,
}

/// What to do with an event, or with the end of the provider's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Keep it back, in order, until a later verdict.
    Hold,
    /// It was for the gateway alone: drop it.
    Swallow,
    /// The line is crossed: everything held, then this, goes to the client.
    Commit,
    /// It goes to the client as it came.
    Forward,
    /// The answer is complete: everything held and this go to the client, then its body ends.
    Finish {
        /// The dialect's end marker is missing and has to be written by the gateway.
        write_sentinel: bool,
    },
    /// The attempt failed: ask [`Exchange::failed`] what follows. The event itself goes nowhere.
    Fail(Failure),
}

/// How the provider's body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEnd {
    /// The HTTP body ended as its framing announced.
    Clean,
    /// The connection broke, or the framing did.
    Broken,
}

/// What has come due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing: wait until [`Exchange::wake_at`].
    Nothing,
    /// Send the head with status 200 now; failures are in-band from here.
    Head,
    /// Send a keepalive at the next event boundary.
    Keepalive,
    /// The end is proved and its marker did not come: finish as for [`Verdict::Finish`].
    Finish,
    /// The wait before a repetition is over: call [`Exchange::begin_attempt`].
    Attempt,
    /// The answer's rate was measured long enough: call [`Exchange::judge_rate`].
    JudgeRate,
    /// The reason of a refusal was awaited long enough: judge it by what is there.
    JudgeRefusal,
    /// A limit ran out: ask [`Exchange::failed`] what follows.
    Failed(Failure),
}

/// What comes before the first output.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask this target.
    Ask(Target),
    /// Nobody can be asked now: wait until [`Due::Attempt`].
    Wait,
    /// Output was shown, so nobody else may be asked.
    Committed,
    /// The stream is over: nobody is left to ask.
    End(Ending),
}

/// What follows a failed attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// Begin the next attempt; what was held of this one is dropped.
    TryNext,
    /// The same target is asked again, when [`Due::Attempt`] says so; what was held is dropped.
    Wait,
    /// The stream is over.
    End(Ending),
}

/// The decisions of one stream.
#[derive(Debug)]
pub struct Exchange {
    mode: DeliveryMode,
    limits: Limits,
    timers: TimerTable,
    line: Line,
    /// The end of the running attempt's answer is proved.
    proved: bool,
    /// The provider was asked to stream.
    awaits_events: bool,
    /// The last byte went to the client, or the head did.
    last_write: Moment,
    head_due: Option<Moment>,
    /// Until when the providers asked to be left alone.
    pushback_until: Option<Moment>,
    /// The whole plan, for a stream that waits for better times when all of it has failed.
    perseveres: Option<Box<RoutePlan>>,
    tally: Tally,
}

/// On which side of the commit line the stream is.
#[derive(Debug)]
enum Line {
    Before(Delivery<Pending>),
    Behind(Delivery<Committed>),
    Over(Ending),
    /// Only while a transition consumes the state.
    Crossing,
}

impl Exchange {
    /// A stream that arrived at `arrived` and may use the targets of `plan`.
    #[must_use]
    pub fn new(mode: DeliveryMode, limits: Limits, plan: RoutePlan, arrived: Moment) -> Self {
        let mut timers = TimerTable::default();
        timers.set(TimeoutKind::Total, arrived + limits.profile.total);
        Self {
            mode,
            limits,
            timers,
            line: Line::Before(Delivery::new(plan)),
            proved: false,
            awaits_events: true,
            last_write: arrived,
            head_due: Some(arrived + limits.head_after),
            pushback_until: None,
            perseveres: None,
            tally: Tally::new(arrived),
        }
    }

    /// A stream that begins again at `now` what broke off in another, for a client that agreed to it and whose head is out.
    #[must_use]
    pub fn restarted(consent: RestartConsent, limits: Limits, plan: RoutePlan, now: Moment) -> Self {
        let mut exchange = Self::new(DeliveryMode::Stream, limits, RoutePlan::new([]), now);
        exchange.line = Line::Before(Delivery::restarted(consent, plan));
        exchange.tally.head = Some(now);
        exchange
    }

    /// Nobody waits for this stream: when its whole plan, which is `plan`, has failed, it waits and begins with it anew, until its deadline.
    #[must_use]
    pub fn persevering(mut self, plan: RoutePlan) -> Self {
        self.perseveres = Some(Box::new(plan));
        self
    }

    /// Keeps the head back until the stream has ended: for a whole answer whose client must read a real status.
    #[must_use]
    pub fn without_early_head(mut self) -> Self {
        self.head_due = None;
        self
    }

    /// The provider is asked for one whole body. That has no events to be late, and its head comes when it is done: the stream's own limit
    /// bounds the wait, or half of it where another target is left.
    #[must_use]
    pub fn for_whole_answer(mut self) -> Self {
        self.awaits_events = false;
        self
    }

    /// What was noted so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// For the shell to note what only it knows (statuses, request ids, what the socket took).
    pub fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// How the stream ended, once it has.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        match &self.line {
            Line::Over(ending) => Some(*ending),
            _ => None,
        }
    }

    /// Whether output may have been shown.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        match &self.line {
            Line::Behind(_) => true,
            Line::Over(ending) => ending.is_partial() || ending.failure.is_none(),
            Line::Before(_) | Line::Crossing => false,
        }
    }

    /// Whether somebody else than the target of the running attempt may still answer.
    #[must_use]
    pub fn may_fall_back(&self) -> bool {
        matches!(&self.line, Line::Before(delivery) if delivery.has_target())
    }

    /// Whether the status line is out.
    #[must_use]
    pub fn head(&self) -> Head {
        match &self.line {
            Line::Before(delivery) => delivery.head(),
            Line::Behind(delivery) => delivery.head(),
            Line::Over(ending) => ending.head,
            Line::Crossing => Head::Sent,
        }
    }

    /// Finds whom to ask next and starts that attempt's clock. Targets that `health` refuses, or that the deadline leaves no time for, are
    /// noted as skipped.
    pub fn begin_attempt(&mut self, now: Moment, health: &mut dyn Health) -> Next {
        while let Line::Before(delivery) = &mut self.line {
            let Some(target) = delivery.next_target() else { break };
            match self.hindrance(&target, now, health) {
                None => {
                    self.start(&target, now);
                    return Next::Ask(target);
                }
                Some(skip) => self.skip(target, skip, now),
            }
        }
        if matches!(self.line, Line::Behind(_)) {
            return Next::Committed;
        }
        let failure = self.tally.last_failure().unwrap_or_else(|| self.why_nobody());
        if self.waits_for_better_times(failure, now) {
            return Next::Wait;
        }
        Next::End(self.end(|line| line.fail(failure)))
    }

    /// The running attempt has limits of its own, where they differ from the stream's. The stream's total stays.
    pub fn limit_attempt(&mut self, profile: TimeoutProfile, pool_wait: Duration, send_body: Duration, now: Moment) {
        let total = self.limits.profile.total;
        self.limits = Limits { profile: TimeoutProfile { total, ..profile }, pool_wait, send_body, ..self.limits };
        self.timers.set(TimeoutKind::PoolWait, now + pool_wait);
    }

    /// The running attempt has come this far; its next limit starts.
    pub fn reached(&mut self, phase: Phase, now: Moment) {
        self.timers.stop_attempt();
        match phase {
            Phase::Connecting => self.timers.set(TimeoutKind::Connect, now + self.limits.profile.connect),
            Phase::Connected => {
                self.timers.set(TimeoutKind::SendBody, now + self.limits.send_body);
                if let Some(attempt) = self.tally.attempt() {
                    attempt.connected = Some(now);
                }
            }
            Phase::Sent if self.awaits_events => self.timers.set(TimeoutKind::FirstByte, now + self.limits.profile.first_byte),
            // Nothing of a whole answer comes before all of it. Where somebody else could answer too, a silent target gets half of what is
            // left, so that the other half is worth something.
            Phase::Sent if self.may_fall_back() => {
                let wait = self.limits.profile.first_byte.max(self.time_left(now) / 2);
                self.timers.set(TimeoutKind::FirstByte, now + wait);
            }
            Phase::Sent => {}
        }
    }

    /// The running attempt's request had to be sent once more, since the connection broke under it: that was a repetition, and the provider
    /// may have had both.
    pub fn sent_again(&mut self) {
        if let (Line::Before(delivery), Some(attempt)) = (&mut self.line, self.tally.attempts.last()) {
            delivery.asked(&attempt.target);
        }
    }

    /// The provider refused the request. Its status says most of why; the rest of its words has a moment to come.
    pub fn refused(&mut self, now: Moment) {
        self.timers.stop_attempt();
        self.timers.set(TimeoutKind::Refusal, now + REFUSAL);
    }

    /// Decides on one provider event.
    ///
    /// Comments and empty deltas prove that the connection lives, not that the answer makes progress, so they leave the idle limit alone.
    pub fn event(&mut self, facts: &EventFacts, now: Moment) -> Verdict {
        let is_first = self.tally.first_event.is_none();
        self.tally.event(facts, now);
        if let Some(failure) = facts.failure {
            // The answer is whole already: half an event behind its proof takes nothing away from it.
            return if self.proved && failure == Failure::UpstreamCut { Verdict::Swallow } else { Verdict::Fail(failure) };
        }
        if facts.is_last {
            return self.finish(now, false);
        }
        if !self.proved {
            self.note_progress(facts, is_first, now);
        }
        if facts.for_gateway_only {
            return Verdict::Swallow;
        }
        self.pass_on(facts, now)
    }

    /// The provider's body ended: complete if the end was proved, a cut otherwise.
    pub fn body_ended(&mut self, end: BodyEnd, now: Moment) -> Verdict {
        match (self.proved, end) {
            (true, _) => self.finish(now, true),
            (false, BodyEnd::Clean | BodyEnd::Broken) => Verdict::Fail(Failure::UpstreamCut),
        }
    }

    /// A whole answer was read and checked: it goes to the client at once.
    pub fn whole_answer(&mut self, facts: &EventFacts, now: Moment) -> Verdict {
        self.tally.event(facts, now);
        match facts.failure {
            Some(failure) => Verdict::Fail(failure),
            None => {
                self.proved = true;
                self.finish(now, false)
            }
        }
    }

    /// The running attempt failed. Before the line the plan may hold a repetition or another target; behind it the stream ends incomplete.
    ///
    /// `pushback` is the provider's `Retry-After`.
    pub fn failed(&mut self, failure: Failure, pushback: Option<Duration>, now: Moment, health: &mut dyn Health) -> AfterFailure {
        if let Some(pushback) = pushback {
            self.note_pushback(now + pushback, now);
        }
        let again = self.again_after(failure, pushback, now, health);
        self.note_failed(failure, again, now);
        match again {
            Again::Same(wait) => {
                self.timers.set(TimeoutKind::Backoff, now + wait);
                AfterFailure::Wait
            }
            Again::Next | Again::Degrade => AfterFailure::TryNext,
            Again::Stop if self.waits_for_better_times(failure, now) => AfterFailure::Wait,
            Again::Stop => AfterFailure::End(self.end(|line| line.fail(failure))),
        }
    }

    fn again_after(&mut self, failure: Failure, pushback: Option<Duration>, now: Moment, health: &mut dyn Health) -> Again {
        let time_left = self.time_left(now);
        let Line::Before(delivery) = &mut self.line else { return Again::Stop };
        let failed = Failed { retry: failure.facts().retry, pushback, time_left, least: self.limits.least };
        delivery.after_failure(failed, health, now)
    }

    fn note_failed(&mut self, failure: Failure, again: Again, now: Moment) {
        let decision = match again {
            Again::Same(_) => Decision::RetrySame,
            Again::Next => Decision::NextTarget,
            Again::Degrade => Decision::Degrade,
            Again::Stop => Decision::Fail,
        };
        let outcome = if matches!(failure, Failure::ClientGone | Failure::SlowClient | Failure::Cancelled) {
            AttemptOutcome::Cancelled
        } else {
            AttemptOutcome::Failed
        };
        let reason = self.reason(failure, again);
        self.tally.end_attempt(now, Fate { outcome, failure: Some(failure), decision, reason });
        self.proved = false;
        self.timers.stop_attempt();
    }

    /// The client is gone, reads too slowly, or asked to stop.
    pub fn abandoned(&mut self, failure: Failure, now: Moment) -> Ending {
        self.note_failed(failure, Again::Stop, now);
        self.end(|line| line.fail(failure))
    }

    /// Whether an answer whose rate is measured gave `bytes` of text already, which is enough for the whole window: nothing is left to wait for.
    #[must_use]
    pub fn is_quick_enough(&self, bytes: u64) -> bool {
        self.limits.rate_guard.is_some_and(|guard| !guard.is_too_slow(bytes))
    }

    /// Decides on an answer that gave `bytes` of text while its rate was measured: it is committed, or another target takes over.
    ///
    /// Where nobody else could be asked, or not in time, it is committed however slow it is: a slow answer is better than none, and than
    /// one of the gateway's own.
    pub fn judge_rate(&mut self, bytes: u64, now: Moment, health: &dyn Health) -> Verdict {
        self.timers.stop(TimeoutKind::RateWindow);
        let is_slow = self.limits.rate_guard.is_some_and(|guard| guard.is_too_slow(bytes));
        let has_time = self.time_left(now) >= self.limits.least;
        let could_go_on = |delivery: &Delivery<Pending>| has_time && delivery.others().any(|target| health.could_admit(target, now));
        match &self.line {
            Line::Before(delivery) if is_slow && could_go_on(delivery) => Verdict::Fail(Failure::TooSlow),
            Line::Before(_) => {
                self.tally.output_handed_over(now);
                self.commit(now);
                Verdict::Commit
            }
            Line::Behind(_) | Line::Over(_) | Line::Crossing => Verdict::Forward,
        }
    }

    /// What has come due at `now`. Call it again until it says [`Due::Nothing`].
    ///
    /// `client_takes`: nothing waits to be written to the client. To one that is behind, a keepalive would only add to the pile.
    pub fn due(&mut self, now: Moment, client_takes: bool) -> Due {
        match self.timers.expired(now) {
            // The answer is whole: the total that runs out during the tail ends the wait and fails nothing.
            Some(_) if self.proved => {
                self.finish(now, true);
                return Due::Finish;
            }
            Some(TimeoutKind::Backoff) => {
                self.timers.stop(TimeoutKind::Backoff);
                return Due::Attempt;
            }
            Some(TimeoutKind::RateWindow) => return Due::JudgeRate,
            Some(TimeoutKind::Refusal) => return Due::JudgeRefusal,
            Some(kind) => return Due::Failed(kind.failure().unwrap_or(Failure::Internal)),
            None => {}
        }
        match self.head() {
            Head::Unsent if self.head_due.is_some_and(|due| due <= now) => {
                self.head_sent(now);
                Due::Head
            }
            Head::Sent if client_takes && self.keepalive_at() <= now => {
                self.tally.events.keepalive += 1;
                self.last_write = now;
                Due::Keepalive
            }
            Head::Unsent | Head::Sent => Due::Nothing,
        }
    }

    /// When [`Exchange::due`] has to be asked at the latest. An event moves it later, save the one that proves the end.
    #[must_use]
    pub fn wake_at(&self, client_takes: bool) -> Moment {
        let limit = self.timers.next().map_or(Moment::FAR, |(until, _)| until);
        let client = match self.head() {
            Head::Unsent => self.head_due.unwrap_or(Moment::FAR),
            Head::Sent if client_takes => self.keepalive_at(),
            Head::Sent => Moment::FAR,
        };
        limit.min(client)
    }

    /// Bytes went to the client: the next keepalive waits a whole interval again.
    pub fn wrote(&mut self, now: Moment) {
        self.last_write = now;
    }

    /// How long nothing had been written to the client at `now`.
    #[must_use]
    pub fn silence_towards_client(&self, now: Moment) -> Duration {
        now.since(self.last_write)
    }

    /// How long the client shall wait before it comes back, as far as the providers told.
    #[must_use]
    pub fn pushback(&self, now: Moment) -> Option<Duration> {
        self.pushback_until.map(|until| until.since(now))
    }

    /// Until the stream's deadline.
    #[must_use]
    pub fn time_left(&self, now: Moment) -> Duration {
        (self.tally.arrived + self.limits.profile.total).since(now)
    }

    /// For a stream that perseveres: whether the whole plan is tried once more, after a pause.
    fn waits_for_better_times(&mut self, failure: Failure, now: Moment) -> bool {
        let facts = failure.facts();
        let helps = facts.blame == Blame::Upstream && facts.client_may_retry;
        let at = self.pushback_until.unwrap_or(now).max(now + PAUSE);
        let in_time = at.since(now) + self.limits.least < self.time_left(now);
        let (Line::Before(delivery), Some(plan)) = (&mut self.line, &self.perseveres) else { return false };
        if !helps || !in_time {
            return false;
        }
        delivery.renew((**plan).clone());
        self.pushback_until = None;
        self.timers.set(TimeoutKind::Backoff, at);
        true
    }

    fn hindrance(&self, target: &Target, now: Moment, health: &mut dyn Health) -> Option<Skip> {
        let is_first = self.tally.asked().next().is_none();
        if !is_first && !target.is_local && self.time_left(now) < self.limits.least {
            return Some(Skip { reason: SkipReason::DeadlineTooShort, until: None });
        }
        health.admit(target, now).err()
    }

    fn start(&mut self, target: &Target, now: Moment) {
        if let Line::Before(delivery) = &mut self.line {
            delivery.asked(target);
        }
        self.timers.stop_attempt();
        self.timers.set(TimeoutKind::PoolWait, now + self.limits.pool_wait);
        self.tally.begin_attempt(target.clone(), now);
    }

    fn skip(&mut self, target: Target, skip: Skip, now: Moment) {
        if let Some(until) = skip.until {
            self.note_pushback(until, now);
        }
        self.tally.skip(target, skip.reason, now);
    }

    /// The client may come back as soon as one of the pauses is over. One that was waited for is no longer news.
    fn note_pushback(&mut self, until: Moment, now: Moment) {
        let soonest = self.pushback_until.filter(|known| *known > now).map_or(until, |known| known.min(until));
        self.pushback_until = Some(soonest);
    }

    /// Why no target was asked at all.
    fn why_nobody(&self) -> Failure {
        let rests = |attempt: &AttemptTally| attempt.skipped == Some(SkipReason::CoolingDown);
        if self.tally.attempts.iter().any(rests) { Failure::UpstreamRateLimited } else { Failure::RoutesUnavailable }
    }

    fn keepalive_at(&self) -> Moment {
        self.last_write + self.limits.keepalive
    }

    fn head_sent(&mut self, now: Moment) {
        if let Line::Before(delivery) = &mut self.line {
            delivery.send_head();
        }
        self.tally.head.get_or_insert(now);
        self.last_write = now;
    }

    /// Moves the limits that wait for the next event, or for the end marker once nothing else is awaited.
    fn note_progress(&mut self, facts: &EventFacts, is_first: bool, now: Moment) {
        let is_progress = match facts.kind {
            EventKind::Output | EventKind::Completion | EventKind::Usage => true,
            EventKind::Lifecycle => is_first,
            EventKind::Error | EventKind::Sentinel | EventKind::Other => false,
        };
        if facts.proves_end {
            // Counted once, from the proof: whatever still comes must not put the end off.
            self.proved = true;
            self.timers.stop_attempt();
            self.timers.set(TimeoutKind::Tail, now + self.limits.tail);
        } else if is_progress {
            self.timers.stop(TimeoutKind::FirstByte);
            self.timers.set(TimeoutKind::Idle, now + self.limits.profile.idle);
        }
    }

    /// Holds, commits or forwards an event that is meant for the client.
    fn pass_on(&mut self, facts: &EventFacts, now: Moment) -> Verdict {
        let is_behind = matches!(self.line, Line::Behind(_));
        let crosses = self.mode == DeliveryMode::Stream && facts.has_output;
        if !is_behind && (!crosses || self.measures_rate(now)) {
            return Verdict::Hold;
        }
        if facts.has_output {
            self.tally.output_handed_over(now);
        }
        if is_behind {
            return Verdict::Forward;
        }
        self.commit(now);
        Verdict::Commit
    }

    /// Whether the first output is held back because the answer's rate is measured. The first call starts the measurement.
    fn measures_rate(&mut self, now: Moment) -> bool {
        let Some(RateGuard { window, .. }) = self.limits.rate_guard else { return false };
        let Line::Before(delivery) = &self.line else { return false };
        if delivery.others().next().is_none() {
            return false;
        }
        if !self.timers.runs(TimeoutKind::RateWindow) {
            self.timers.set(TimeoutKind::RateWindow, now + window);
        }
        true
    }

    /// The one place where the line is crossed.
    fn commit(&mut self, now: Moment) {
        self.tally.head.get_or_insert(now);
        self.last_write = now;
        self.line = match std::mem::replace(&mut self.line, Line::Crossing) {
            Line::Before(delivery) => Line::Behind(delivery.commit()),
            line => line,
        };
    }

    fn finish(&mut self, now: Moment, write_sentinel: bool) -> Verdict {
        let holds_output =
            !matches!(self.line, Line::Behind(_)) && self.tally.attempts.last().is_some_and(|attempt| attempt.first_output.is_some());
        if holds_output {
            self.tally.output_handed_over(now);
        }
        self.commit(now);
        let reason = if write_sentinel { "the end was proved without its marker" } else { "complete" };
        let fate = Fate { outcome: AttemptOutcome::Used, failure: None, decision: Decision::Deliver, reason: reason.to_owned() };
        self.tally.end_attempt(now, fate);
        self.end(|line| match line {
            Line::Behind(delivery) => delivery.complete(),
            line => line.fail(Failure::Internal),
        });
        Verdict::Finish { write_sentinel }
    }

    fn end(&mut self, how: impl FnOnce(Line) -> Ending) -> Ending {
        let ending = how(std::mem::replace(&mut self.line, Line::Crossing));
        self.timers = TimerTable::default();
        self.line = Line::Over(ending);
        ending
    }

    fn reason(&self, failure: Failure, again: Again) -> String {
        let message = failure.facts().message;
        let side = if matches!(self.line, Line::Behind(_)) { "after output" } else { "before output" };
        let then = match again {
            Again::Same(wait) => return format!("{message} {side}: the same target again after {} ms", wait.as_millis()),
            Again::Next => "the next target may answer",
            Again::Degrade => "the next step of the degradation chain may answer",
            Again::Stop if matches!(self.line, Line::Behind(_)) => "nothing may follow output",
            Again::Stop if failure.facts().retry == Retry::Never => "fails closed",
            Again::Stop => "no attempt left",
        };
        format!("{message} {side}: {then}")
    }
}

impl Line {
    fn fail(self, failure: Failure) -> Ending {
        match self {
            Self::Before(delivery) => delivery.fail(failure),
            Self::Behind(delivery) => delivery.fail(failure),
            Self::Over(ending) => ending,
            Self::Crossing => {
                Ending { status: crate::record::Status::FailedAfterOutput, failure: Some(Failure::Internal), head: Head::Sent }
            }
        }
    }
}

#[cfg(test)]
mod tests;

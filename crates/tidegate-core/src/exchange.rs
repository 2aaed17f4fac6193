//! The decisions of one stream, from its first attempt to its ending.
//!
//! The shell tells an [`Exchange`] what happened and when; the exchange answers what to do. It performs nothing itself, so an hour of a
//! stream's life is simulated in a millisecond, and the simulator and the gateway cannot disagree.
//!
//! The order of a stream's life, and of the calls: [`Exchange::begin_attempt`], [`Exchange::reached`] for each [`Phase`],
//! [`Exchange::event`] for each provider event, [`Exchange::body_ended`]; at any time [`Exchange::due`] when [`Exchange::wake_at`] has
//! come, [`Exchange::failed`], and [`Exchange::abandoned`].
//!
//! The file is long because every transition of a stream stands in it: split by state, none could be read without the others.

use std::time::Duration;

use crate::clock::Moment;
use crate::delivery::{Committed, Delivery, Ending, Head, Pending};
use crate::event::{EventFacts, EventKind};
use crate::failure::{Failure, Retry};
use crate::limits::{DeliveryMode, Limits};
use crate::record::{AttemptOutcome, Decision};
use crate::route::{RoutePlan, Target};
use crate::tally::{Fate, Tally};
use crate::timers::{TimeoutKind, TimerTable};

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
    /// A limit ran out: ask [`Exchange::failed`] what follows.
    Failed(Failure),
}

/// What follows a failed attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// Begin the next attempt; what was held of this one is dropped.
    TryNext,
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
            tally: Tally::new(arrived),
        }
    }

    /// Keeps the head back until the stream has ended: for a whole answer whose client must read a real status.
    #[must_use]
    pub fn without_early_head(mut self) -> Self {
        self.head_due = None;
        self
    }

    /// The provider is asked for one whole body. That has no events to be late, and its head comes when it is done: only the stream's own
    /// limit bounds the wait.
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

    /// Takes the next target and starts its clock. `None` when no target is left, or none may be asked any more.
    pub fn begin_attempt(&mut self, now: Moment) -> Option<Target> {
        let Line::Before(delivery) = &mut self.line else { return None };
        let target = delivery.next_target()?;
        self.timers.stop_attempt();
        self.timers.set(TimeoutKind::PoolWait, now + self.limits.pool_wait);
        self.tally.begin_attempt(target.clone(), now);
        Some(target)
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
            Phase::Sent => {}
        }
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

    /// The running attempt failed. Before the line the plan may hold another target; behind it the stream ends incomplete.
    pub fn failed(&mut self, failure: Failure, now: Moment) -> AfterFailure {
        let may_try = failure.facts().retry != Retry::Never;
        let next = match &self.line {
            Line::Before(delivery) if may_try && delivery.has_target() => Decision::NextTarget,
            _ => Decision::Fail,
        };
        let outcome = if matches!(failure, Failure::ClientGone | Failure::SlowClient | Failure::Cancelled) {
            AttemptOutcome::Cancelled
        } else {
            AttemptOutcome::Failed
        };
        let reason = self.reason(failure, next);
        self.tally.end_attempt(now, Fate { outcome, failure: Some(failure), decision: next, reason });
        if next == Decision::NextTarget {
            self.proved = false;
            self.timers.stop_attempt();
            return AfterFailure::TryNext;
        }
        AfterFailure::End(self.end(|line| line.fail(failure)))
    }

    /// The client is gone, reads too slowly, or asked to stop.
    pub fn abandoned(&mut self, failure: Failure, now: Moment) -> Ending {
        match self.failed(failure, now) {
            AfterFailure::End(ending) => ending,
            AfterFailure::TryNext => self.end(|line| line.fail(failure)),
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
        if !is_behind && !crosses {
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
        if self.mode != DeliveryMode::Stream && self.tally.attempts.last().is_some_and(|attempt| attempt.first_output.is_some()) {
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

    fn reason(&self, failure: Failure, next: Decision) -> String {
        let side = if matches!(self.line, Line::Behind(_)) { "after output" } else { "before output" };
        let then = match next {
            Decision::NextTarget => "the next target may answer",
            _ if matches!(self.line, Line::Behind(_)) => "nothing may follow output",
            _ if failure.facts().retry == Retry::Never => "fails closed",
            _ => "no target left",
        };
        format!("{} {side}: {then}", failure.facts().message)
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

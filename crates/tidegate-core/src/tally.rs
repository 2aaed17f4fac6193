//! What is noted on the way: a few moments and counters, filled without allocating.

use std::time::Duration;

use crate::clock::Moment;
use crate::event::{EventCounts, EventFacts, EventKind, Usage};
use crate::failure::Failure;
use crate::health::SkipReason;
use crate::record::{AttemptOutcome, Decision};
use crate::route::Target;

/// What happened to one stream so far.
#[derive(Debug)]
pub struct Tally {
    /// Arrival; everything in the record counts from here.
    pub arrived: Moment,
    /// The status line went out.
    pub head: Option<Moment>,
    /// The first provider event of the attempt that is used.
    pub first_event: Option<Moment>,
    /// The first output was handed to the client's side.
    pub first_output: Option<Moment>,
    /// The last output was handed to the client's side.
    pub last_output: Option<Moment>,
    /// Longest silence between two provider events.
    pub max_gap: Option<Duration>,
    /// Events by type.
    pub events: EventCounts,
    /// Every attempt, in order.
    pub attempts: Vec<AttemptTally>,
    last_event: Option<Moment>,
}

/// What happened to one attempt so far.
#[derive(Debug)]
pub struct AttemptTally {
    /// Whom it asks.
    pub target: Target,
    /// It began.
    pub started: Moment,
    /// The connection was there.
    pub connected: Option<Moment>,
    /// The provider's status line came, with this status.
    pub http_status: Option<u16>,
    /// The provider's request id.
    pub upstream_request_id: Option<Box<str>>,
    /// Its first event.
    pub first_event: Option<Moment>,
    /// Its first output.
    pub first_output: Option<Moment>,
    /// It was over.
    pub ended: Option<Moment>,
    /// Usage that it reported.
    pub usage: Option<Usage>,
    /// What became of it and what was done next.
    pub fate: Option<Fate>,
    /// Why it was never asked.
    pub skipped: Option<SkipReason>,
}

impl AttemptTally {
    fn of(target: Target, now: Moment) -> Self {
        Self {
            target,
            started: now,
            connected: None,
            http_status: None,
            upstream_request_id: None,
            first_event: None,
            first_output: None,
            ended: None,
            usage: None,
            fate: None,
            skipped: None,
        }
    }
}

/// What became of an attempt, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// Used, failed, skipped or cancelled.
    pub outcome: AttemptOutcome,
    /// What went wrong.
    pub failure: Option<Failure>,
    /// What the gateway did next.
    pub decision: Decision,
    /// Why, for the operator.
    pub reason: String,
}

impl Tally {
    /// Nothing but the arrival.
    #[must_use]
    pub fn new(arrived: Moment) -> Self {
        Self {
            arrived,
            head: None,
            first_event: None,
            first_output: None,
            last_output: None,
            max_gap: None,
            events: EventCounts::default(),
            attempts: Vec::new(),
            last_event: None,
        }
    }

    /// An attempt begins. What was noted of an earlier attempt's events is not the answer's and is forgotten.
    pub fn begin_attempt(&mut self, target: Target, now: Moment) {
        let keepalive = self.events.keepalive;
        self.events = EventCounts { keepalive, ..EventCounts::default() };
        self.first_event = None;
        self.last_event = None;
        self.max_gap = None;
        self.attempts.push(AttemptTally::of(target, now));
    }

    /// A target is passed over.
    pub fn skip(&mut self, target: Target, reason: SkipReason, now: Moment) {
        let fate =
            Fate { outcome: AttemptOutcome::Skipped, failure: None, decision: Decision::NextTarget, reason: reason.text().to_owned() };
        self.attempts.push(AttemptTally { ended: Some(now), fate: Some(fate), skipped: Some(reason), ..AttemptTally::of(target, now) });
    }

    /// The attempts that were made, in order.
    pub fn asked(&self) -> impl DoubleEndedIterator<Item = &AttemptTally> {
        self.attempts.iter().filter(|attempt| attempt.skipped.is_none())
    }

    /// What went wrong with the attempt that was made last.
    #[must_use]
    pub fn last_failure(&self) -> Option<Failure> {
        self.asked().next_back()?.fate.as_ref()?.failure
    }

    /// The attempt that runs, or ran last.
    pub fn attempt(&mut self) -> Option<&mut AttemptTally> {
        self.attempts.iter_mut().rfind(|attempt| attempt.skipped.is_none())
    }

    /// A provider event came.
    pub fn event(&mut self, facts: &EventFacts, now: Moment) {
        self.events.count(facts.kind);
        if matches!(facts.kind, EventKind::Sentinel | EventKind::Other) {
            return;
        }
        if let Some(last) = self.last_event {
            self.max_gap = Some(self.max_gap.unwrap_or_default().max(now.since(last)));
        }
        self.last_event = Some(now);
        self.first_event.get_or_insert(now);
        let Some(attempt) = self.attempts.last_mut() else { return };
        attempt.first_event.get_or_insert(now);
        if facts.has_output {
            attempt.first_output.get_or_insert(now);
        }
        if facts.usage.is_some() {
            attempt.usage = facts.usage;
        }
    }

    /// Output was handed to the client's side.
    pub fn output_handed_over(&mut self, now: Moment) {
        self.first_output.get_or_insert(now);
        self.last_output = Some(now);
    }

    /// The running attempt is over. Its first fate stays.
    pub fn end_attempt(&mut self, now: Moment, fate: Fate) {
        if let Some(attempt) = self.attempts.last_mut().filter(|attempt| attempt.fate.is_none()) {
            attempt.ended = Some(now);
            attempt.fate = Some(fate);
        }
    }
}

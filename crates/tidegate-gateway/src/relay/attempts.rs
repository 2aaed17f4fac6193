//! The pump on the near side of the line: whom it asks, what it does when they fail, and how a stream ends that nobody answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tidegate_core::Moment;
use tidegate_core::delivery::{Ending, Head, RestartConsent};
use tidegate_core::exchange::{AfterFailure, Next, Verdict};
use tidegate_core::failure::{Failure, Vote};
use tidegate_core::limits::DeliveryMode;
use tidegate_core::route::Target;
use tidegate_wire::names::place;
use tidegate_wire::openai_chat::{self, Assembler, Notice};
use tidegate_wire::sse::RawEvent;
use tokio::time::Instant;

use super::pump::{Pump, Source};
use super::reading::Reading;
use crate::attempt::open::{self, Steps};
use crate::deliver::{background, refuse};
use crate::route::cache::{CacheKey, MAX_ANSWER};
use crate::route::outlook::Outlook;
use crate::route::places::Place;
use crate::serve;

/// Most often that one request's answer begins again, with the client's consent.
const MAX_RESTARTS: u32 = 2;

/// What is told when another model takes over.
const DEGRADED: Notice<'static> = Notice { code: "degraded", message: "taking longer than usual, trying a faster model" };
/// What is told when the gateway answers by itself.
const OWN_ANSWER: Notice<'static> = Notice { code: "degraded", message: "no model answered in time; this answer was prepared earlier" };

impl Pump {
    /// Asks whoever may be asked next.
    pub(super) fn begin_attempt(&mut self) {
        let now = self.gateway.clock.now();
        let mut outlook = Outlook::of(&self.gateway, self.errand.prospects.as_deref());
        let next = self.live.exchange.begin_attempt(now, &mut outlook);
        let Outlook { ticket, cached, .. } = outlook;
        self.ticket = ticket;
        self.source = Source::Rest;
        match next {
            Next::Ask(target) => self.ask(&target, cached, now),
            Next::Wait => self.source = Source::Waiting,
            Next::End(ending) => self.tell(ending),
            Next::Committed => {}
        }
    }

    fn ask(&mut self, target: &Target, cached: Option<Bytes>, now: Moment) {
        let Some(prospects) = self.errand.prospects.as_deref() else { return self.fail(Failure::Internal) };
        self.cache_as = None;
        self.provider_headers = None;
        // What was to be said of another attempt is true no longer.
        self.notice = None;
        match prospects.places.get(target.place) {
            Some(Place::Provider(place)) => {
                let call = Arc::new(prospects.call(place, &target.model, self.live.exchange.time_left(now)));
                let (provider, key) = (Arc::clone(&place.provider), prospects.cache_key);
                self.live.exchange.limit_attempt(place.profile, place.pool_wait, place.send_body, now);
                let is_degraded = place.is_degraded;
                self.key = call.key;
                self.asked = Some(call.body.clone());
                let steps = Arc::new(Steps::default());
                self.source =
                    Source::Opening { future: Box::pin(open::open(Arc::clone(&provider), call, Arc::clone(&steps))), steps, seen: 0 };
                self.provider = Some(provider);
                self.cache_as = key.filter(|_| !is_degraded).map(Recorder::new);
                if is_degraded {
                    self.notify(DEGRADED);
                }
            }
            Some(Place::Cached(_)) => {
                self.notify(OWN_ANSWER);
                self.answer_oneself(cached.map(|answer| openai_chat::marked(&answer, "cached")), now);
            }
            Some(Place::Static(text)) => {
                let id = self.live.identity.id.to_string();
                let created = self.live.identity.created_unix_millis / 1000;
                let answer = openai_chat::text_answer(&id, place::STATIC, created, text, "static");
                self.notify(OWN_ANSWER);
                self.answer_oneself(Some(answer), now);
            }
            Some(Place::Notify) => {
                let (gateway, order) = (Arc::clone(&self.gateway), Arc::clone(&prospects.order));
                let from = self.live.identity.id;
                self.source = Source::Deferring(Box::pin(background::start(gateway, order, Some(from))));
            }
            None => self.fail(Failure::Internal),
        }
    }

    /// The job that will make the answer has begun, and the client is told where it will be.
    pub(super) fn deferred(&mut self, job: Result<background::Job, Failure>) {
        let now = self.gateway.clock.now();
        let job = match job {
            Ok(job) => job,
            Err(failure) => return self.fail(failure),
        };
        self.live.identity.restarted_as = Some(job.id);
        let says_200 = self.mode != DeliveryMode::Buffered || self.live.exchange.head() == Head::Sent;
        if says_200 {
            let created = self.live.identity.created_unix_millis / 1000;
            let text = format!("This answer takes longer than usual. It will be at {} when it is ready.", job.url());
            let answer = openai_chat::text_answer(&job.id.to_string(), place::NOTIFY, created, &text, "deferred");
            return self.answer_oneself(Some(answer), now);
        }
        self.status = StatusCode::ACCEPTED;
        self.assembler = None;
        self.errand.expectation.streamed = false;
        self.source = Source::Rest;
        let facts = self.read_whole(&openai_chat::text_answer("", place::NOTIFY, 0, "", "deferred"));
        let _finished = self.live.exchange.whole_answer(&facts, now);
        self.ready.push(job.acknowledgement(), 0);
    }

    /// The gateway has the whole answer itself: it is read like any other, all at once.
    fn answer_oneself(&mut self, answer: Option<Bytes>, now: Moment) {
        let Some(answer) = answer else { return self.fail(Failure::Internal) };
        self.live.exchange.reached(tidegate_core::exchange::Phase::Sent, now);
        let bytes = if self.errand.expectation.streamed { openai_chat::replay(&answer) } else { Some(answer) };
        let Some(bytes) = bytes else { return self.fail(Failure::Internal) };
        self.source = Source::Answering { body: None, reading: Reading::of_own(self.errand.expectation) };
        self.absorb(bytes);
    }

    /// The attempt failed. Dropping its source cancels it; what was held of it is forgotten.
    pub(super) fn fail(&mut self, failure: Failure) {
        let now = self.gateway.clock.now();
        self.note_uncounted(None);
        self.source = Source::Rest;
        self.held.clear();
        self.cache_as = None;
        if self.assembler.is_some() {
            self.assembler = Some(Box::default());
        }
        let pushback = self.detail.retry_after.take().filter(|pushback| !self.is_limited_by_key(failure, *pushback));
        if let Some(ticket) = self.ticket.take() {
            ticket.failed(failure, self.vote(failure), pushback, now);
        }
        let mut outlook = Outlook::of(&self.gateway, self.errand.prospects.as_deref());
        match self.live.exchange.failed(failure, pushback, now, &mut outlook) {
            AfterFailure::TryNext => {}
            AfterFailure::Wait => self.source = Source::Waiting,
            AfterFailure::End(ending) => self.ended(ending, now),
        }
    }

    /// Whether a limit is that of one key, while others of the provider are free: the key rests then, and its target does not.
    fn is_limited_by_key(&self, failure: Failure, pushback: Duration) -> bool {
        let (Some(provider), Some(key), Failure::UpstreamRateLimited) = (&self.provider, self.key, failure) else { return false };
        let now = Instant::now();
        provider.keys.awake(now) > 1 && provider.keys.limited(key, pushback, now)
    }

    /// What the failure says about the health of its target. One refused key says little about a provider that has others.
    fn vote(&self, failure: Failure) -> Vote {
        let has_other_keys = || self.provider.as_ref().is_some_and(|provider| provider.keys.awake(Instant::now()) > 0);
        if failure == Failure::UpstreamCredentials && has_other_keys() { Vote::None } else { failure.facts().breaker }
    }

    fn ended(&mut self, ending: Ending, now: Moment) {
        let Some(prospects) = self.errand.prospects.as_deref() else { return self.tell(ending) };
        let order = Arc::clone(&prospects.order);
        let is_bounded = self.restarts < MAX_RESTARTS && !self.meter.has_to_end();
        let may_restart = order.wishes.allows_restart && self.mode == DeliveryMode::Stream && is_bounded;
        let time_left = self.live.exchange.time_left(now);
        match RestartConsent::after(ending, may_restart) {
            Some(consent) if order.setup.config.deadline.policy.is_useful(time_left) => {
                self.restarts += 1;
                let future = serve::restart(Arc::clone(&self.gateway), order, self.live.as_ref(), consent, time_left);
                self.source = Source::Restarting(Box::pin(future));
            }
            _ => self.tell(ending),
        }
    }

    /// The answer begins again: the client is told that what it has is void, and the old stream is settled.
    pub(super) fn restarted(&mut self, begun: Result<serve::Begun, Failure>) {
        self.source = Source::Rest;
        let begun = match begun {
            Ok(begun) => begun,
            Err(failure) => {
                tracing::warn!(stream = %self.live.identity.id, code = failure.code(), "the answer cannot begin again");
                let Some(ending) = self.live.exchange.ending() else { return };
                return self.tell(ending);
            }
        };
        let (from, to) = (self.live.identity.id, begun.live.identity.id);
        let code = self.live.exchange.ending().and_then(|ending| ending.failure).map_or("", Failure::code);
        let event = openai_chat::restart_event(&from.to_string(), &to.to_string(), code);
        let mut old = std::mem::replace(&mut self.live, begun.live);
        old.identity.restarted_as = Some(to);
        self.meter.settle_and_go_on(old);
        self.errand.prospects = Some(begun.prospects);
        self.ready.push(event, 0);
    }

    /// The stream is over: where the head is out, its failure is told in-band.
    pub(super) fn tell(&mut self, ending: Ending) {
        self.errand.prospects = None;
        let failure = ending.failure.unwrap_or(Failure::Internal);
        if ending.head == Head::Sent && self.mode != DeliveryMode::Buffered {
            let event = refuse::in_band(self, failure, ending.is_partial());
            self.ready.push(event, 0);
        }
    }

    /// The answer's rate was measured: what was held goes out, or another target takes over.
    pub(super) fn judge_rate(&mut self, now: Moment) {
        self.judge(self.output_bytes(), now);
    }

    /// What is held of the answer goes out, whatever its rate.
    pub(super) fn commit_held(&mut self, now: Moment) {
        self.judge(u64::MAX, now);
    }

    fn judge(&mut self, bytes: u64, now: Moment) {
        let outlook = Outlook::of(&self.gateway, self.errand.prospects.as_deref());
        match self.live.exchange.judge_rate(bytes, now, &outlook) {
            Verdict::Commit => self.committed(),
            Verdict::Fail(failure) => self.fail(failure),
            Verdict::Hold | Verdict::Swallow | Verdict::Forward | Verdict::Finish { .. } => {}
        }
    }

    /// Bytes of text that the running attempt has shown so far.
    pub(super) fn output_bytes(&self) -> u64 {
        match &self.source {
            Source::Answering { reading: Reading::Events(events), .. } => events.output_bytes(),
            _ => 0,
        }
    }

    /// The line is crossed: what was held goes out, and nobody else will be asked, unless the client agreed to begin again.
    pub(super) fn committed(&mut self) {
        self.release_held();
        let keeps = |prospects: &super::prospects::Prospects| prospects.order.wishes.allows_restart;
        if !self.errand.prospects.as_deref().is_some_and(keeps) {
            self.errand.prospects = None;
        }
    }

    /// What waited for the answer to be chosen goes to the client, the notice first.
    pub(super) fn release_held(&mut self) {
        self.ready.extend(self.notice.take());
        self.ready.append(&mut self.held);
    }

    /// Tells the user something, as soon as the head is out. A body that is no stream has no place for it.
    fn notify(&mut self, notice: Notice<'static>) {
        if self.mode == DeliveryMode::Buffered || self.told == Some(notice) {
            return;
        }
        let as_event = self.errand.prospects.as_deref().is_some_and(|prospects| prospects.order.wishes.notice_events);
        let bytes = openai_chat::notice(notice, as_event);
        if self.live.exchange.head() == Head::Sent {
            self.told = Some(notice);
            self.ready.push(bytes, 0);
        } else {
            self.notice = Some(bytes);
        }
    }
}

/// Gathers an answer that may serve again.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) key: CacheKey,
    pub(super) answer: Box<Assembler>,
    bytes: usize,
}

impl Recorder {
    fn new(key: CacheKey) -> Self {
        Self { key, answer: Box::default(), bytes: 0 }
    }

    /// Adds an event. False when the answer has become larger than any that is kept.
    pub(super) fn add(&mut self, event: &RawEvent) -> bool {
        self.bytes += event.bytes().len();
        self.answer.add(event);
        // The envelope of each event is in it too, which is most of it.
        self.bytes <= 16 * MAX_ANSWER
    }
}

//! The pump: provider events in, pieces for the client out, polled by the client's own connection.
//!
//! There is no task, channel or buffer between a provider's socket and the client's: whoever wants the next piece reads the provider. A client
//! that reads slowly is asked less often, so its provider is read less often; that is all there is to back-pressure.
//!
//! The file is long because it is the one place where the shell and the exchange meet: each method is one thing that can happen to a stream.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use tidegate_config::OnMalformed;
use tidegate_core::Moment;
use tidegate_core::event::{EventFacts, EventKind};
use tidegate_core::exchange::{BodyEnd, Due, Verdict};
use tidegate_core::failure::Failure;
use tidegate_core::limits::DeliveryMode;
use tidegate_wire::openai_chat::{self, Assembler, Notice, ProviderError};
use tidegate_wire::sse::{KEEPALIVE, RawEvent};

use super::attempts::Recorder;
use super::drainage::Rest;
use super::held::{Piece, Pieces};
use super::prospects::Prospects;
use super::reading::{self, Expectation, Reading};
use crate::arrive::meter::Meter;
use crate::attempt::keys::KeyIndex;
use crate::attempt::open::{Answer, Body, OpenError, Steps};
use crate::attempt::provider::Provider;
use crate::attempt::pushback::pushback;
use crate::clock::Alarm;
use crate::deliver::background::Job;
use crate::gateway::Gateway;
use crate::header_name;
use crate::record::live::Live;
use crate::record::spend::{Shown, Uncounted};
use crate::route::standing::Ticket;
use crate::serve::Begun;
use crate::tasks::Tasks;

/// Most that is held back before the first output of a streamed answer: roles and pings are small.
const MAX_HELD_LIFECYCLE: usize = 256 * 1024;
/// Most that is held back of an answer that is delivered whole.
const MAX_HELD_ANSWER: usize = 32 * 1024 * 1024;

/// What the pump gives.
#[derive(Debug)]
pub enum Step {
    /// The head goes out now, before any piece.
    Head,
    /// Bytes for the client. The first piece sends the head too.
    Piece(Piece),
    /// The stream has ended; [`Pump::live`] knows how.
    End,
}

/// What an attempt needs beyond its target.
#[derive(Debug)]
pub struct Errand {
    /// Whom may be asked, and what. `None` once nobody may.
    pub prospects: Option<Box<Prospects>>,
    /// How an answer is read.
    pub expectation: Expectation,
    /// What becomes of an event that cannot be read.
    pub on_malformed: OnMalformed,
}

/// What is known about a failure beyond its row.
#[derive(Debug, Default)]
pub struct Detail {
    /// The provider's words, where they are the client's business.
    pub provider: Option<ProviderError>,
    /// The provider's pushback.
    pub retry_after: Option<Duration>,
}

/// One stream between its provider and its client. Dropping it cancels the provider's request and settles the record.
#[derive(Debug)]
pub struct Pump {
    pub(super) live: Box<Live>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) meter: Arc<Meter>,
    pub(super) mode: DeliveryMode,
    pub(super) errand: Errand,
    pub(super) source: Source,
    /// The attempt's place at its target.
    pub(super) ticket: Option<Ticket>,
    /// Whom it asks.
    pub(super) provider: Option<Arc<Provider>>,
    /// What it was asked, until its usage is known.
    pub(super) asked: Option<Bytes>,
    /// With which of the provider's keys.
    pub(super) key: Option<KeyIndex>,
    pub(super) held: Pieces,
    pub(super) ready: Pieces,
    pub(super) assembler: Option<Box<Assembler>>,
    /// Gathers an answer that may serve again.
    pub(super) cache_as: Option<Recorder>,
    /// What the user is told once the head is out.
    pub(super) notice: Option<Bytes>,
    /// What the user was told last.
    pub(super) told: Option<Notice<'static>>,
    pub(super) status: StatusCode,
    pub(super) restarts: u32,
    pub(super) detail: Box<Detail>,
    /// Headers of the running attempt's answer, or of the last one's.
    pub(super) provider_headers: Option<Box<HeaderMap>>,
    alarm: Alarm,
}

/// Where the answer comes from.
#[expect(clippy::large_enum_variant, reason = "there is one for each stream, and nearly all of a stream's life it is the large one")]
pub(super) enum Source {
    /// No attempt runs.
    Rest,
    /// The same target is asked again when its wait is over.
    Waiting,
    /// An attempt is on its way to the head of an answer.
    Opening { future: Pin<Box<dyn Future<Output = Result<Answer, OpenError>> + Send>>, steps: Arc<Steps>, seen: usize },
    /// An answer is being read. Without a body it is the gateway's own, and all of it was read.
    Answering { body: Option<Body>, reading: Reading },
    /// The answer is going to be made in the background.
    Deferring(Pin<Box<dyn Future<Output = Result<Job, Failure>> + Send>>),
    /// A partial answer is going to begin again.
    Restarting(Pin<Box<dyn Future<Output = Result<Begun, Failure>> + Send>>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rest => "Rest",
            Self::Waiting => "Waiting",
            Self::Opening { .. } => "Opening",
            Self::Answering { .. } => "Answering",
            Self::Deferring(_) => "Deferring",
            Self::Restarting(_) => "Restarting",
        })
    }
}

impl Pump {
    /// A pump that has not asked anyone yet.
    #[must_use]
    pub fn new(live: Box<Live>, gateway: Arc<Gateway>, meter: Arc<Meter>, errand: Errand) -> Self {
        let mode = live.identity.delivery;
        let assembles = mode == DeliveryMode::Buffered && errand.expectation.streamed;
        Self {
            live,
            gateway,
            meter,
            mode,
            errand,
            source: Source::Rest,
            ticket: None,
            provider: None,
            asked: None,
            key: None,
            held: Pieces::default(),
            ready: Pieces::default(),
            assembler: assembles.then(Box::default),
            cache_as: None,
            notice: None,
            told: None,
            status: StatusCode::OK,
            restarts: 0,
            detail: Box::default(),
            provider_headers: None,
            alarm: Alarm::default(),
        }
    }

    /// The stream's decisions and identity.
    #[must_use]
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// What is known about a failure beyond its row.
    #[must_use]
    pub fn detail(&self) -> &Detail {
        &self.detail
    }

    /// How long the client shall wait before it comes back, as far as the providers told.
    #[must_use]
    pub fn pushback(&self) -> Option<Duration> {
        self.live.exchange.pushback(self.gateway.clock.now())
    }

    /// The status of a whole answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Headers of the provider's answer that are the client's business.
    #[must_use]
    pub fn provider_headers(&self) -> Option<&HeaderMap> {
        self.provider_headers.as_deref()
    }

    /// Frees what only the head needed.
    pub fn forget_provider_headers(&mut self) {
        self.provider_headers = None;
    }

    /// Whether the stream has ended and every piece was taken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.has_ended() && self.ready.bytes() == 0
    }

    /// Whether nothing follows any more. A partial answer that is about to begin again has not ended.
    fn has_ended(&self) -> bool {
        self.live.exchange.ending().is_some() && !matches!(self.source, Source::Restarting(_))
    }

    /// Takes the parts that outlive the client.
    #[must_use]
    pub fn into_parts(mut self) -> (Box<Live>, Option<Rest>) {
        self.note_uncounted(None);
        let rest = match self.source {
            Source::Answering { body: Some(body), reading } => Some(Rest::Answering { body, reading }),
            Source::Opening { future: answer, steps, .. } if steps.is_sent() => {
                Some(Rest::Unanswered { answer, expectation: self.errand.expectation })
            }
            _ => None,
        };
        (self.live, rest)
    }

    /// The next step. While `client_takes` is false (bytes still wait for the client), the provider is not read.
    pub fn poll_step(&mut self, cx: &mut Context<'_>, client_takes: bool) -> Poll<Step> {
        loop {
            if let Some(piece) = self.ready.pop() {
                return Poll::Ready(Step::Piece(piece));
            }
            if self.has_ended() {
                return Poll::Ready(Step::End);
            }
            if self.is_restarted(cx) {
                continue;
            }
            if self.meter.has_to_end() {
                self.fail(Failure::GatewayDraining);
                continue;
            }
            if client_takes && self.poll_source(cx).is_ready() {
                continue;
            }
            let now = self.gateway.clock.now();
            match self.live.exchange.due(now, client_takes) {
                Due::Nothing => {}
                Due::Head => {
                    self.ready.extend(self.notice.take());
                    return Poll::Ready(Step::Head);
                }
                Due::Keepalive => {
                    self.ready.push(self.keepalive(), 0);
                    continue;
                }
                Due::Finish => {
                    self.finish(true);
                    continue;
                }
                // The provider was not read while the client was behind: what lies in its socket is progress, and only an empty one is silence.
                Due::Failed(Failure::IdleTimeout) if !client_takes && self.poll_source(cx).is_ready() => continue,
                Due::Attempt => {
                    self.begin_attempt();
                    continue;
                }
                Due::JudgeRate => {
                    self.judge_rate(now);
                    continue;
                }
                Due::JudgeRefusal => {
                    self.body_ended(BodyEnd::Broken);
                    continue;
                }
                Due::Failed(failure) => {
                    self.fail(failure);
                    continue;
                }
            }
            let wake = self.live.exchange.wake_at(client_takes);
            if self.alarm.poll(cx, self.gateway.clock, wake, now).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Moves the attempt on by one step. Ready when something may have changed.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.source {
            Source::Rest => self.begin_attempt(),
            Source::Waiting | Source::Restarting(_) => return Poll::Pending,
            Source::Deferring(future) => match future.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(job) => self.deferred(job),
            },
            Source::Opening { future, steps, seen } => {
                let result = future.as_mut().poll(cx);
                // One look at the clock for all of them, and none where nothing was reached.
                let mut now = None;
                for phase in steps.beyond(*seen) {
                    *seen += 1;
                    self.live.exchange.reached(phase, *now.get_or_insert_with(|| self.gateway.clock.now()));
                }
                if steps.take_sent_again() {
                    self.live.exchange.sent_again();
                }
                match result {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(answer)) => self.answered(answer),
                    Poll::Ready(Err(error)) => {
                        tracing::warn!(stream = %self.live.identity.id, provider = self.provider_name(), code = error.failure.code(), detail = error.detail, "attempt failed");
                        self.fail(error.failure);
                    }
                }
            }
            Source::Answering { body: None, .. } => self.body_ended(BodyEnd::Clean),
            Source::Answering { body: Some(body), .. } => match body.poll_data(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(data))) => self.absorb(data),
                Poll::Ready(None) => self.body_ended(BodyEnd::Clean),
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(stream = %self.live.identity.id, %error, "the provider's body broke off");
                    self.body_ended(BodyEnd::Broken);
                }
            },
        }
        Poll::Ready(())
    }

    /// Goes on with an answer that begins again, once the client took everything of the one that broke off: its record has to say so.
    fn is_restarted(&mut self, cx: &mut Context<'_>) -> bool {
        let Source::Restarting(future) = &mut self.source else { return false };
        if !self.meter.is_flushed_or_wakes(cx) {
            return false;
        }
        let Poll::Ready(begun) = future.as_mut().poll(cx) else { return false };
        self.restarted(begun);
        true
    }

    fn provider_name(&self) -> &str {
        self.provider.as_deref().map_or("", |provider| &provider.name)
    }

    fn answered(&mut self, answer: Answer) {
        let Answer { head, body } = answer;
        if let Some(attempt) = self.live.exchange.tally_mut().attempt() {
            attempt.http_status = Some(head.status);
            attempt.upstream_request_id = text(&head.headers, &header_name::REQUEST_ID).map(|id| bounded(id, 128));
        }
        self.detail.retry_after = pushback(&head.headers, self.gateway.clock.unix_millis());
        let reading = Reading::of(&head, self.errand.expectation);
        if matches!(reading, Reading::Refusal { .. }) {
            self.live.exchange.refused(self.gateway.clock.now());
        }
        self.provider_headers = Some(Box::new(head.headers));
        self.source = Source::Answering { body: Some(body), reading };
    }

    /// Takes what one read brought. All events of one packet are decided on at the same moment.
    pub(super) fn absorb(&mut self, data: Bytes) {
        let now = self.gateway.clock.now();
        let Source::Answering { reading, .. } = &mut self.source else { return };
        match reading {
            Reading::Events(events) => {
                events.push(data);
                self.take_events(now);
            }
            Reading::Whole(body) => {
                if let Err(failure) = reading::gather(body, &data) {
                    self.fail(failure);
                }
            }
            Reading::Refusal { body, .. } => {
                if reading::gather_refusal(body, &data) {
                    self.body_ended(BodyEnd::Broken);
                }
            }
        }
    }

    fn take_events(&mut self, now: Moment) {
        while let Source::Answering { reading: Reading::Events(events), .. } = &mut self.source {
            match events.take_next() {
                Ok(Some((event, facts))) => self.take_event(event, facts, now),
                Ok(None) => return,
                Err(_) => self.fail(Failure::UpstreamMalformed),
            }
        }
    }

    fn take_event(&mut self, event: RawEvent, mut facts: EventFacts, now: Moment) {
        // A provider's own `id:` lines would make our keepalives fatal to some SDKs (protocols of SSE clients: an id is kept for every
        // later blank line); positions are the gateway's to give.
        let event = event.without_position();
        if facts.failure == Some(Failure::UpstreamMalformed) && self.errand.on_malformed == OnMalformed::Skip {
            facts = EventFacts { for_gateway_only: true, ..EventFacts::of(EventKind::Other) };
        }
        let has_output = facts.has_output;
        if let Some(recorder) = &mut self.cache_as
            && !recorder.add(&event)
        {
            self.cache_as = None;
        }
        if has_output
            && self.live.exchange.tally().attempts.last().is_some_and(|attempt| attempt.first_output.is_none())
            && let Some(ticket) = &mut self.ticket
        {
            ticket.first_output(now);
        }
        let verdict = self.live.exchange.event(&facts, now);
        match verdict {
            Verdict::Hold | Verdict::Forward | Verdict::Commit => self.pass(event, has_output, verdict, now),
            Verdict::Swallow => {
                if let Some(assembler) = &mut self.assembler {
                    assembler.add(&event);
                }
            }
            Verdict::Finish { write_sentinel } => {
                self.held.push_event(event, has_output);
                self.finish(write_sentinel);
            }
            Verdict::Fail(failure) => {
                if facts.kind == EventKind::Error {
                    self.detail.provider = Some(openai_chat::read_error_event(self.masked(&event.data()).as_bytes()));
                }
                self.fail(failure);
            }
        }
    }

    fn pass(&mut self, event: RawEvent, has_output: bool, verdict: Verdict, now: Moment) {
        if verdict == Verdict::Hold {
            return self.hold(event, has_output, now);
        }
        if verdict == Verdict::Commit {
            self.committed();
        }
        self.ready.push_event(event, has_output);
        self.live.exchange.wrote(now);
    }

    fn hold(&mut self, event: RawEvent, has_output: bool, now: Moment) {
        if let Some(assembler) = &mut self.assembler {
            assembler.add(&event);
        }
        self.held.push_event(event, has_output);
        // Output is held back from a stream only while its rate is measured.
        if has_output && self.mode == DeliveryMode::Stream && self.live.exchange.is_quick_enough(self.output_bytes()) {
            return self.judge_rate(now);
        }
        let most = if self.mode == DeliveryMode::Stream { MAX_HELD_LIFECYCLE } else { MAX_HELD_ANSWER };
        if self.held.bytes() <= most {
            return;
        }
        if self.mode == DeliveryMode::Stream && self.held.has_output() {
            // A picture, say: so much of an answer is not slow, whatever its text.
            return self.commit_held(now);
        }
        self.fail(Failure::UpstreamMalformed);
    }

    fn body_ended(&mut self, end: BodyEnd) {
        let now = self.gateway.clock.now();
        let source = std::mem::replace(&mut self.source, Source::Rest);
        let Source::Answering { body, reading } = source else { return };
        match reading {
            Reading::Events(mut events) => {
                let last = events.last();
                self.source = Source::Answering { body, reading: Reading::Events(events) };
                if let Some((event, facts)) = last {
                    self.take_event(event, facts, now);
                }
                if self.live.exchange.ending().is_none() && matches!(self.source, Source::Answering { .. }) {
                    self.act(end, now);
                }
            }
            Reading::Whole(whole) if end == BodyEnd::Clean => {
                let whole = whole.freeze();
                let facts = self.read_whole(&whole);
                match self.live.exchange.whole_answer(&facts, now) {
                    Verdict::Fail(failure) => self.fail(failure),
                    _ => {
                        self.note_uncounted(Some(&whole));
                        if let Some(ticket) = &mut self.ticket {
                            ticket.first_output(now);
                        }
                        self.succeeded(Some(&whole), now);
                        self.ready.push(whole, u64::from(facts.has_output));
                    }
                }
                release(body, &self.gateway.tasks);
            }
            Reading::Whole(_) => self.fail(Failure::UpstreamCut),
            Reading::Refusal { status, body: text } => {
                release(body, &self.gateway.tasks);
                let refusal = reading::refusal(status, self.masked(&text).as_bytes());
                let failure = refusal.failure;
                if failure == Failure::UpstreamCredentials {
                    self.key_refused(status);
                }
                self.detail.provider = Some(refusal);
                self.fail(failure);
            }
        }
    }

    /// What the provider said, without the secrets that it repeats.
    fn masked(&self, said: &[u8]) -> String {
        match self.provider.as_deref() {
            Some(provider) => provider.masked(said),
            None => String::from_utf8_lossy(said).into_owned(),
        }
    }

    /// Lets a refused key rest, and tells the operator.
    fn key_refused(&self, status: u16) {
        let Some(provider) = self.provider.as_deref() else { return };
        let now = tokio::time::Instant::now();
        if provider.keys.refused(self.key, now) {
            let (key, others, provider) = (self.key.map(KeyIndex::number), provider.keys.awake(now), &provider.name);
            tracing::error!(%provider, status, key, others, "the provider refuses the gateway's key: set another; those that are left serve meanwhile");
        }
    }

    /// A body that is no event stream answers a request for one only when it is an error.
    pub(super) fn read_whole(&self, whole: &[u8]) -> EventFacts {
        let mut facts = openai_chat::read_whole(whole);
        if self.errand.expectation.streamed && facts.failure.is_none() {
            facts.failure = Some(Failure::UpstreamMalformed);
        }
        facts
    }

    fn act(&mut self, end: BodyEnd, now: Moment) {
        match self.live.exchange.body_ended(end, now) {
            Verdict::Finish { write_sentinel } => self.finish(write_sentinel),
            Verdict::Fail(failure) => self.fail(failure),
            Verdict::Hold | Verdict::Swallow | Verdict::Commit | Verdict::Forward => {}
        }
    }

    /// The answer is complete: what is held goes out, the end marker where it is missing, and the connection goes back.
    fn finish(&mut self, write_sentinel: bool) {
        let now = self.gateway.clock.now();
        match self.assembler.take() {
            Some(assembler) => {
                let outputs = self.live.exchange.tally().events.output;
                self.held.clear();
                let answer = assembler.finish();
                self.succeeded(Some(&answer), now);
                self.ready.push(answer, outputs);
            }
            None => {
                self.succeeded(None, now);
                self.release_held();
                if write_sentinel {
                    self.ready.push(openai_chat::done_event(), 0);
                }
            }
        }
        if let Source::Answering { body, .. } = std::mem::replace(&mut self.source, Source::Rest) {
            release(body, &self.gateway.tasks);
        }
    }

    /// The attempt is over, or is left to itself: if it was answered and its usage was not told, it will be estimated.
    pub(super) fn note_uncounted(&mut self, whole: Option<&Bytes>) {
        let Some(asked) = self.asked.take() else { return };
        let attempts = &self.live.exchange.tally().attempts;
        let Some(last) = attempts.last().filter(|last| last.usage.is_none()) else { return };
        if !last.http_status.is_some_and(|status| (200..300).contains(&status)) {
            return;
        }
        let shown = match (whole, &self.source) {
            (Some(whole), _) => Shown::Body(whole.clone()),
            (None, Source::Answering { reading: Reading::Events(events), .. }) => Shown::Piece(events.output_sample()),
            (None, _) => Shown::Piece(None),
        };
        let attempt = attempts.len() - 1;
        self.live.uncounted.push(Uncounted { attempt, asked, shown });
    }

    /// The attempt's answer is complete. `whole` is all of it, where that is at hand.
    fn succeeded(&mut self, whole: Option<&Bytes>, now: Moment) {
        self.note_uncounted(None);
        self.errand.prospects = None;
        if let Some(ticket) = self.ticket.take() {
            ticket.succeeded(now);
        }
        if let Some(Recorder { key, answer, .. }) = self.cache_as.take() {
            let answer = whole.cloned().unwrap_or_else(|| answer.finish());
            if openai_chat::may_serve_again(&answer) {
                self.gateway.cache.put(key, answer, now);
            }
        }
    }

    fn keepalive(&self) -> Bytes {
        match self.mode {
            // Leading whitespace before a JSON body, which every parser skips.
            DeliveryMode::Buffered => Bytes::from_static(b"\n"),
            DeliveryMode::Stream | DeliveryMode::Coherent => Bytes::from_static(KEEPALIVE),
        }
    }
}

fn release(body: Option<Body>, tasks: &Tasks) {
    if let Some(body) = body {
        body.release(tasks);
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// At most `most` characters of a header's text, in which a tab is the only control character.
fn bounded(text: &str, most: usize) -> Box<str> {
    text.get(..most).unwrap_or(text).replace('\t', "").into()
}

//! A stream that has a place in the ledger, until its record is handed over.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::Moment;
use tidegate_core::delivery::Ending;
use tidegate_core::exchange::Exchange;
use tidegate_core::failure::{Blame, Failure};
use tidegate_core::id::{RequestId, StreamId};
use tidegate_core::limits::DeliveryMode;
use tidegate_core::record::{AttemptOutcome, AttemptRecord, Decision, Delivered, DisconnectSource, Status, StreamRecord};
use tidegate_core::tally::AttemptTally;
use tidegate_ledger::Entry;
use tidegate_ledger::spend::PriceTable;
use tidegate_wire::names::value;

use super::hint;
use super::spend::{self, Settlement, Uncounted};
use crate::admit::Caller;
use crate::admit::permit::Permit;
use crate::clock;
use crate::gateway::Gateway;
use crate::relay::prospects::TaskOf;

/// Which stream it is.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// The stream's id.
    pub id: StreamId,
    /// How the answer is handed over.
    pub delivery: DeliveryMode,
    /// Arrival by the calendar.
    pub created_unix_millis: u64,
    /// The stream that goes on from it.
    pub restarted_as: Option<StreamId>,
}

/// Who asked for what: all that the record says of a stream before anything was asked of a provider.
#[derive(Debug)]
pub struct Beginning<'a> {
    /// Which stream it is.
    pub identity: Identity,
    /// The gateway's own request id.
    pub request_id: RequestId,
    /// The client's request id.
    pub client_request_id: Option<String>,
    /// W3C trace id.
    pub trace_id: Option<String>,
    /// Whose key it was.
    pub caller: &'a Caller,
    /// The task of a session that it is.
    pub task: Option<TaskOf>,
    /// The model as the client named it.
    pub requested_model: &'a str,
    /// The time that the stream was given.
    pub deadline: Duration,
    /// Nobody waits for it: the answer is kept for whoever fetches it.
    pub in_background: bool,
    /// How often the client's SDK sent the same request before.
    pub client_retry_count: Option<u32>,
    /// Whom it might ask, where there was a choice.
    pub plan: Vec<String>,
    /// The stream that it goes on from.
    pub restarted_from: Option<StreamId>,
}

/// Whether the client's socket took the last bytes of a stream that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It did.
    Taken,
    /// The connection was lost before.
    Lost,
    /// It was given up before, because the client took nothing for too long.
    GivenUp,
}

/// What a stream holds for as long as it runs.
#[derive(Debug)]
pub struct Held {
    /// Its place in the ledger, with a durable open row.
    pub entry: Entry,
    /// What that row says.
    pub opening: Box<StreamRecord>,
    /// The right to run.
    pub permit: Arc<Permit>,
    /// What models cost, by the settings that it began with.
    pub prices: Arc<PriceTable>,
}

/// A running stream's decisions, its place in the ledger and its permit, in one value: whichever way it is dropped, the record is written
/// and the permit returned.
#[derive(Debug)]
pub struct Live {
    /// The stream's decisions and what was noted.
    pub exchange: Exchange,
    /// Which stream it is.
    pub identity: Identity,
    /// What the client's socket took, where it left while the provider is still read.
    pub delivered: Delivered,
    /// When the client left, where its record is written later.
    pub left_at: Option<Moment>,
    /// Attempts whose usage nobody told.
    pub uncounted: Vec<Uncounted>,
    gateway: Arc<Gateway>,
    /// `None` once the record is handed over.
    place: Option<(Entry, Box<StreamRecord>)>,
    permit: Arc<Permit>,
    prices: Arc<PriceTable>,
}

impl Live {
    /// A stream whose open row is durable.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, identity: Identity, exchange: Exchange, held: Held) -> Self {
        gateway.metrics.stream_opened();
        let Held { entry, opening, permit, prices } = held;
        let (delivered, left_at, uncounted) = (Delivered::default(), None, Vec::new());
        Self { exchange, identity, delivered, left_at, uncounted, gateway, place: Some((entry, opening)), permit, prices }
    }

    /// What its open row says; `None` once the record is handed over.
    #[must_use]
    pub fn opening(&self) -> Option<&StreamRecord> {
        self.place.as_ref().map(|(_, opening)| &**opening)
    }

    /// The stream's permit, for another that goes on in its place.
    #[must_use]
    pub fn permit(&self) -> Arc<Permit> {
        Arc::clone(&self.permit)
    }

    /// Hands the record over. Neither waits nor fails.
    ///
    /// A completion that the client's socket never took is not a completion: with [`Receipt::Lost`] the record says that it left.
    pub fn settle(mut self: Box<Self>, delivered: Delivered, receipt: Receipt) {
        self.write_record(delivered, receipt);
    }

    /// What the record is going to say if the client takes so much, and the end: all of it but the estimates of what nobody counted. `None`
    /// before the end.
    #[must_use]
    pub fn draft(&self, delivered: Delivered) -> Option<StreamRecord> {
        let (ending, opening) = (self.exchange.ending()?, self.opening()?.clone());
        let mut record = self.record(opening, ending, delivered, Receipt::Taken, self.gateway.clock.now());
        spend::price(&mut record, &self.prices);
        Some(record)
    }

    /// Resolves once the record is in the database; `false`: it never will be.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only watches.
    pub fn written(&mut self) -> impl Future<Output = bool> + Send + use<> {
        let written = self.place.as_mut().map(|(entry, _)| entry.written());
        async move {
            match written {
                Some(written) => written.await,
                None => false,
            }
        }
    }

    /// The client is gone before the end, or was given up.
    pub fn abandon(&mut self, failure: Failure, now: Moment) {
        if self.exchange.ending().is_none() {
            self.exchange.abandoned(failure, now);
        }
    }

    fn write_record(&mut self, delivered: Delivered, receipt: Receipt) {
        let Some((entry, opening)) = self.place.take() else { return };
        let now = self.left_at.unwrap_or_else(|| self.gateway.clock.now());
        self.abandon(Failure::ClientGone, now);
        let Some(ending) = self.exchange.ending() else { return };
        let record = self.record(*opening, ending, delivered, receipt, now);
        let settlement = Settlement { record, entry, prices: Arc::clone(&self.prices), gateway: Arc::clone(&self.gateway) };
        settlement.settle(std::mem::take(&mut self.uncounted));
    }

    fn record(&self, opening: StreamRecord, ending: Ending, delivered: Delivered, receipt: Receipt, now: Moment) -> StreamRecord {
        let tally = self.exchange.tally();
        let (status, failure) = told(ending, receipt, delivered);
        let cut = failure.map(|failure| self.disconnect(failure, now));
        let after = |moment: Option<Moment>| moment.map(|moment| moment.millis_since(tally.arrived));
        let last = tally.asked().next_back();
        StreamRecord {
            status: Some(status),
            code: failure.map(|failure| failure.code().to_owned()),
            partial: matches!(status, Status::FailedAfterOutput | Status::CancelledAfterOutput),
            disconnect_source: cut.as_ref().and_then(|cut| cut.0),
            disconnect_hint: cut.and_then(|cut| cut.1),
            selected_model: last.map(|attempt| attempt.target.model.as_ref().to_owned()),
            provider: last.map(|attempt| attempt.target.provider.as_ref().to_owned()),
            time_to_head_ms: after(tally.head),
            time_to_first_event_ms: after(tally.first_event),
            time_to_first_output_ms: after(tally.first_output),
            time_to_last_output_ms: after(tally.last_output),
            completed_ms: Some(now.millis_since(tally.arrived)),
            max_gap_ms: tally.max_gap.map(|gap| u64::try_from(gap.as_millis()).unwrap_or(u64::MAX)),
            events: tally.events,
            delivered,
            attempts: (1..).zip(&tally.attempts).map(|(n, attempt)| attempt_record(n, attempt, tally.arrived, now)).collect(),
            restarted_as: self.identity.restarted_as.map(|id| id.to_string()),
            ..opening
        }
    }

    /// Who cut the stream short, and why we think so.
    fn disconnect(&self, failure: Failure, now: Moment) -> (Option<DisconnectSource>, Option<String>) {
        let source = match failure {
            Failure::ClientGone => {
                let age = now.since(self.exchange.tally().arrived);
                return match hint::of_cut(age, self.exchange.silence_towards_client(now)) {
                    Some(hint) => (Some(DisconnectSource::ClientProxy), Some(hint)),
                    None => (Some(DisconnectSource::Client), None),
                };
            }
            Failure::SlowClient | Failure::Cancelled => DisconnectSource::Client,
            Failure::GatewayDraining => DisconnectSource::GatewayShutdown,
            Failure::ConnectTimeout
            | Failure::SendTimeout
            | Failure::FirstByteTimeout
            | Failure::IdleTimeout
            | Failure::DeadlineExceeded
            | Failure::PoolExhausted => DisconnectSource::GatewayTimeout,
            _ if failure.facts().blame == Blame::Upstream => DisconnectSource::Provider,
            _ => return (None, None),
        };
        (Some(source), None)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Only a stream whose owner vanished comes here unsettled: the request was cancelled before its head went out, or its provider was
        // read on for nobody.
        self.write_record(self.delivered, Receipt::Lost);
    }
}

/// The ending as the client saw it.
fn told(ending: Ending, receipt: Receipt, delivered: Delivered) -> (Status, Option<Failure>) {
    let cancelled = if delivered.output_events > 0 { Status::CancelledAfterOutput } else { Status::CancelledBeforeOutput };
    match (ending.status, receipt) {
        (Status::Completed, Receipt::Lost) => (cancelled, Some(Failure::ClientGone)),
        (Status::Completed, Receipt::GivenUp) => (cancelled, Some(Failure::SlowClient)),
        // The line was crossed, and nothing of it reached the socket.
        (Status::CancelledAfterOutput, _) if delivered.output_events == 0 => (Status::CancelledBeforeOutput, ending.failure),
        (Status::FailedAfterOutput, _) if delivered.output_events == 0 => (Status::FailedBeforeOutput, ending.failure),
        (status, _) => (status, ending.failure),
    }
}

impl Beginning<'_> {
    /// The stream's record so far.
    #[must_use]
    pub fn record(self) -> StreamRecord {
        let Identity { id, delivery, created_unix_millis, restarted_as: _ } = self.identity;
        StreamRecord {
            parent_request_id: self.request_id.to_string(),
            client_request_id: self.client_request_id,
            trace_id: self.trace_id,
            session_id: self.task.map(|task| task.session.to_string()),
            task_id: self.task.map(|task| task.task.to_string()),
            endpoint_family: if self.task.is_some() { "session" } else { "chat_completions" }.to_owned(),
            delivery: if self.in_background { value::BACKGROUND } else { delivery.name() }.to_owned(),
            requested_model: self.requested_model.to_owned(),
            key_id: self.caller.key_id(),
            team: self.caller.team(),
            environment: self.caller.environment(),
            created_at: clock::timestamp(created_unix_millis),
            deadline_ms: u64::try_from(self.deadline.as_millis()).ok(),
            restarted_from: self.restarted_from.map(|id| id.to_string()),
            client_retry_count: self.client_retry_count,
            plan: self.plan,
            ..StreamRecord::blank(id.to_string())
        }
    }
}

fn attempt_record(n: u32, attempt: &AttemptTally, arrived: Moment, now: Moment) -> AttemptRecord {
    let after = |moment: Moment| moment.millis_since(arrived);
    let fate = attempt.fate.as_ref();
    AttemptRecord {
        n,
        provider: attempt.target.provider.as_ref().to_owned(),
        model: attempt.target.model.as_ref().to_owned(),
        outcome: fate.map_or(AttemptOutcome::Cancelled, |fate| fate.outcome),
        code: fate.and_then(|fate| fate.failure).map(|failure| failure.code().to_owned()),
        http_status: attempt.http_status,
        upstream_request_id: attempt.upstream_request_id.as_deref().map(str::to_owned),
        started_ms: after(attempt.started),
        connect_ms: attempt.connected.map(after),
        first_event_ms: attempt.first_event.map(after),
        first_output_ms: attempt.first_output.map(after),
        ended_ms: Some(after(attempt.ended.unwrap_or(now))),
        decision: fate.map_or(Decision::Fail, |fate| fate.decision),
        decision_reason: fate.map_or_else(String::new, |fate| fate.reason.clone()),
        usage: attempt.skipped.is_none().then(|| attempt.usage.unwrap_or_default()),
        cost_usd: None,
    }
}

/// One line for each stream that failed. Those that completed or whose client left are in the ledger and the metrics, and in the log at
/// `debug`: a proxy that restarts takes thousands of clients with it at once.
pub(super) fn log_ending(record: &StreamRecord) {
    let status = record.status.map_or("", Status::name);
    let code = record.code.as_deref().unwrap_or_default();
    let provider = record.provider.as_deref().unwrap_or_default();
    let (stream, model, ms) = (&record.id, &record.requested_model, record.completed_ms);
    match record.status {
        Some(Status::Completed) => tracing::debug!(%stream, status, model, provider, ms, "stream ended"),
        Some(Status::FailedBeforeOutput | Status::FailedAfterOutput) => {
            tracing::warn!(%stream, status, code, model, provider, ms, "stream failed");
        }
        _ => tracing::debug!(%stream, status, code, model, provider, ms, "stream ended early"),
    }
}

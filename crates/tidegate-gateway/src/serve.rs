//! The path of a stream, on one page.
//!
//! A stream **arrives**, is **admitted**, **routed**, **attempted**, **relayed**, **delivered** and **recorded**. Each word is a folder;
//! what happens between the folders happens here. The order is the promise: nothing is paid for before its record is durable, and nothing
//! is shown before it is known from whom.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use tidegate_config::{Model, OnMalformed};
use tidegate_core::Moment;
use tidegate_core::delivery::RestartConsent;
use tidegate_core::exchange::Exchange;
use tidegate_core::failure::Failure;
use tidegate_core::id::StreamId;
use tidegate_core::limits::{DeliveryMode, Limits, TimeoutProfile};
use tidegate_core::route::Target;
use tidegate_ledger::Opening;
use tidegate_wire::openai_chat::ChatRequest;

use crate::admit::auth;
use crate::admit::permit::Permit;
use crate::arrive::body;
use crate::arrive::headers::{Given, Read, Wishes};
use crate::arrive::meter::Meter;
use crate::deliver::answer::Response;
use crate::deliver::{background, open, refuse};
use crate::drain::Stage;
use crate::gateway::Gateway;
use crate::record::live::{Beginning, Held, Identity, Live};
use crate::relay::prospects::{Order, Prospects};
use crate::relay::pump::{Errand, Pump};
use crate::relay::reading::Expectation;
use crate::route::cache::CacheKey;
use crate::route::{self, Routed};

/// A refusal before a stream exists: the failure, and what to say beyond its row.
#[derive(Debug)]
pub struct Refusal {
    failure: Failure,
    message: Option<String>,
    param: Option<&'static str>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, message: None, param: None }
    }
}

/// Serves one chat completion, streamed or whole.
///
/// # Cancel safety
///
/// Dropping it means that the client left: what was begun is cancelled and recorded.
pub async fn serve_chat(gateway: Arc<Gateway>, meter: Arc<Meter>, request: Request<Incoming>) -> Response {
    let given = Given::of(request.headers());
    let (asked_as, wishes) = (given.request_id(), Wishes::of(&given));
    match serve_stream(&gateway, &meter, request, wishes).await {
        Ok(response) => response,
        Err(refusal) => {
            meter.answered();
            gateway.metrics.refused(refusal.failure);
            let id = asked_as.unwrap_or_else(|| gateway.new_request_id().to_string());
            refuse::with_request_id(refuse::early(refusal.failure, refusal.message.as_deref(), refusal.param), &id)
        }
    }
}

async fn serve_stream(gateway: &Arc<Gateway>, meter: &Arc<Meter>, request: Request<Incoming>, wishes: Read) -> Result<Response, Refusal> {
    // Arrived: bytes become a request, within limits of size and time.
    let arrived = gateway.clock.now();
    let setup = gateway.setup();
    let (head, incoming) = request.into_parts();
    let caller = auth::caller(&head.headers, &gateway.keys.load())?;
    let wishes = wishes.map_err(|(failure, message)| Refusal { failure, message: Some(message.to_owned()), param: None })?;
    let bad_address = |message| Refusal { failure: Failure::InvalidRequest, message: Some(message), param: None };
    gateway.background.check_address(wishes.notify_url.as_deref()).map_err(bad_address)?;

    // Admitted: one permit, held until the record is handed over.
    if gateway.drain.stage() != Stage::Serving {
        return Err(Failure::GatewayDraining.into());
    }
    let permit = gateway.permits.admit(setup.config.server.max_streams).ok_or(Failure::GatewayOverloaded)?;
    let bytes = body::read(incoming, setup.config.server.max_body, setup.config.server.body_timeout).await?;
    drop(head);
    let chat = ChatRequest::parse(bytes).map_err(|fault| Refusal {
        failure: Failure::InvalidRequest,
        message: Some(fault.message),
        param: fault.param,
    })?;
    let model = route::find(&setup, chat.model())?;
    if !caller.may_use(chat.model()) {
        return Err(Failure::ModelNotAllowed.into());
    }
    let (on_disconnect, on_malformed) = (model.on_disconnect, model.on_malformed);
    let terms = Terms::of(&chat, &wishes, model, Some(arrived));
    let request_id = gateway.new_request_id();
    let in_background = wishes.background || (model.background && wishes.delivery.is_none());
    let order = Arc::new(Order { setup: Arc::clone(&setup), request_id, chat, caller, wishes, arrived, task: None });
    if in_background {
        let response = background::accept(gateway, order, permit).await?;
        meter.answered();
        return Ok(response);
    }

    // Routed, recorded; then attempted, relayed, delivered: pumped by the client's own connection from here on.
    let begun = begin(gateway, &order, Arc::new(permit), terms).await?;
    drop(order);
    let pump = begun.into_pump(Arc::clone(gateway), Arc::clone(meter), on_malformed);
    Ok(open::open(pump, Arc::clone(gateway), Arc::clone(meter), on_disconnect).await)
}

/// On which terms a stream is made.
#[derive(Debug)]
pub struct Terms {
    /// How the answer is handed over.
    mode: DeliveryMode,
    /// Providers are asked to stream.
    streams: bool,
    /// A failure before output may be told in-band.
    early_head: bool,
    /// When its time began, where that is not when it begins itself.
    arrived: Option<Moment>,
    /// How much it has, where that is not for the profile to say.
    time: Option<Duration>,
    /// Nobody waits for it.
    in_background: bool,
    /// The stream that it goes on from.
    from: Option<StreamId>,
    /// That stream's client agreed to begin again, and this target failed it.
    restart: Option<(RestartConsent, Target)>,
}

impl Terms {
    fn of(chat: &ChatRequest, wishes: &Wishes, model: &Model, arrived: Option<Moment>) -> Self {
        let mode = delivery(wishes, model, chat.stream());
        let streams = chat.stream() || wishes.delivery.unwrap_or(model.delivery) != DeliveryMode::Stream;
        let early_head = mode != DeliveryMode::Buffered || model.early_200;
        Self { mode, streams, early_head, arrived, time: None, in_background: false, from: None, restart: None }
    }

    /// Of a prompt of a session: events as they come, unless its model holds answers back until they are whole.
    #[must_use]
    pub fn in_session(order: &Order, model: &Model) -> Self {
        Self::of(&order.chat, &order.wishes, model, Some(order.arrived))
    }

    /// Of an answer that is made in the background, in its own time. Providers are asked to stream, so that a silent one is noticed.
    #[must_use]
    pub fn in_background(order: &Order, model: &Model, from: Option<StreamId>) -> Self {
        let own = order.setup.config.notify.deadline;
        let arrived = from.is_none().then_some(order.arrived);
        Self {
            mode: DeliveryMode::Buffered,
            streams: true,
            early_head: false,
            time: Some(own),
            in_background: true,
            from,
            ..Self::of(&order.chat, &order.wishes, model, arrived)
        }
    }
}

/// A stream that has its plan and its place in the ledger.
#[derive(Debug)]
pub struct Begun {
    /// Its decisions, its identity and its place in the ledger.
    pub live: Box<Live>,
    /// Whom it may ask.
    pub prospects: Box<Prospects>,
}

impl Begun {
    /// The pump that will make its answer.
    #[must_use]
    pub fn into_pump(self, gateway: Arc<Gateway>, meter: Arc<Meter>, on_malformed: OnMalformed) -> Pump {
        let chat = &self.prospects.order.chat;
        let expectation = Expectation { streamed: self.prospects.streams, choices: chat.choices(), client_wants_usage: chat.wants_usage() };
        Pump::new(self.live, gateway, meter, Errand { prospects: Some(self.prospects), expectation, on_malformed })
    }
}

/// Routed: whom it may ask, and in what time. Recorded first: the open row is durable before anyone is asked for anything that costs.
///
/// # Errors
///
/// `model_not_found`, `ledger_unavailable`.
///
/// # Cancel safety
///
/// Dropped before it is done, nobody was asked, and an open row that was written is closed.
pub async fn begin(gateway: &Arc<Gateway>, order: &Arc<Order>, permit: Arc<Permit>, terms: Terms) -> Result<Begun, Failure> {
    let (setup, chat, wishes) = (&order.setup, &order.chat, &order.wishes);
    let model = route::find(setup, chat.model())?;
    let Routed { plan, places, limits } = route::plan(gateway, setup, model, chat, &order.caller, terms.in_background)?;
    let plan = match &terms.restart {
        Some((_, failed)) => plan.putting_off(failed),
        None => plan,
    };
    let limits = limits_of(&limits, order, &terms);
    let (id, created_unix_millis) = (gateway.new_stream_id(), gateway.clock.unix_millis());
    let identity = Identity { id, delivery: terms.mode, created_unix_millis, restarted_as: None };
    let beginning = Beginning {
        identity,
        request_id: order.request_id,
        client_request_id: wishes.client_request_id.clone(),
        trace_id: wishes.trace_id(),
        caller: &order.caller,
        task: order.task,
        requested_model: chat.model(),
        deadline: limits.profile.total,
        in_background: terms.in_background,
        client_retry_count: wishes.retry_count,
        plan: route::names(&plan),
        restarted_from: terms.from,
    };
    let opening = Opening { id, created_unix_ms: created_unix_millis, record: Box::new(beginning.record()) };
    let arrived = terms.arrived.unwrap_or_else(|| gateway.clock.now());
    let whole_plan = terms.in_background.then(|| plan.clone());
    let mut exchange = match terms.restart {
        Some((consent, _)) => Exchange::restarted(consent, limits, plan, arrived),
        None => Exchange::new(terms.mode, limits, plan, arrived),
    };
    if let Some(plan) = whole_plan {
        exchange = exchange.persevering(plan);
    }
    if !terms.streams {
        exchange = exchange.for_whole_answer();
    }
    if !terms.early_head {
        exchange = exchange.without_early_head();
    }
    if terms.from.is_none() {
        gateway.retry_budget().request(arrived);
    }
    let entry = gateway.ledger.begin(&opening).await.map_err(|error| {
        tracing::error!(%error, "the ledger cannot take a stream");
        Failure::LedgerUnavailable
    })?;
    let caches = places.iter().any(|place| matches!(place, route::places::Place::Cached(_)));
    let cache_key = if caches { CacheKey::of(chat, &order.caller) } else { None };
    let held = Held { entry, opening: opening.record, permit, prices: Arc::clone(&setup.prices) };
    let live = Box::new(Live::new(Arc::clone(gateway), identity, exchange, held));
    let prospects = Box::new(Prospects { order: Arc::clone(order), places, cache_key, streams: terms.streams });
    Ok(Begun { live, prospects })
}

/// Begins again an answer that broke off after output, as a new stream that is linked to the old one, in the time that is left.
pub fn restart(
    gateway: Arc<Gateway>,
    order: Arc<Order>,
    old: &Live,
    consent: RestartConsent,
    time_left: Duration,
) -> impl Future<Output = Result<Begun, Failure>> + Send + use<> {
    let (from, permit) = (old.identity.id, old.permit());
    let failed = old.exchange.tally().asked().next_back().map(|attempt| attempt.target.clone());
    async move {
        let model = route::find(&order.setup, order.chat.model())?;
        let base = Terms::of(&order.chat, &order.wishes, model, None);
        let restart = failed.map(|failed| (consent, failed));
        let terms = Terms { time: Some(time_left), from: Some(from), restart, ..base };
        begin(&gateway, &order, permit, terms).await
    }
}

/// The model's limits, bounded by the caller's deadline and fitted to the client's patience.
fn limits_of(base: &Limits, order: &Order, terms: &Terms) -> Limits {
    let policy = order.setup.config.deadline.policy;
    let total = terms.time.unwrap_or_else(|| policy.time_for(order.wishes.deadline, base.profile.total));
    let profile = TimeoutProfile { total, ..base.profile };
    if order.task.is_some() {
        // A session has no head to wait with, and keeps itself alive.
        return Limits { profile, head_after: Duration::ZERO, keepalive: total, ..*base };
    }
    Limits { profile, keepalive: order.wishes.keepalive(base.keepalive), head_after: order.wishes.head_after(base.head_after), ..*base }
}

/// How the answer is handed over. A client that did not ask for a stream gets one body; one that did never gets a body that is no stream
/// (its SDK would read it as an empty answer), unless its own header asks for it.
fn delivery(wishes: &Wishes, model: &Model, asks_for_stream: bool) -> DeliveryMode {
    match (wishes.delivery, asks_for_stream) {
        (_, false) => DeliveryMode::Buffered,
        (Some(asked), true) => asked,
        (None, true) if model.delivery == DeliveryMode::Buffered => DeliveryMode::Coherent,
        (None, true) => model.delivery,
    }
}

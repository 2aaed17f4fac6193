//! The path of a stream, on one page.
//!
//! A stream **arrives**, is **admitted**, **routed**, **attempted**, **relayed**, **delivered** and **recorded**. Each word is a folder;
//! what happens between the folders happens here. The order is the promise: nothing is paid for before its record is durable, and nothing
//! is shown before it is known from whom.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Request};
use hyper::body::Incoming;
use tidegate_config::Model;
use tidegate_core::exchange::Exchange;
use tidegate_core::failure::Failure;
use tidegate_core::limits::{DeliveryMode, Limits};
use tidegate_ledger::Opening;
use tidegate_wire::names::{header, path, value};
use tidegate_wire::openai_chat::ChatRequest;

use crate::admit::auth;
use crate::arrive::body;
use crate::arrive::headers::{self, Wishes};
use crate::arrive::meter::Meter;
use crate::attempt::open::Call;
use crate::deliver::answer::Response;
use crate::deliver::{open, refuse};
use crate::drain::Stage;
use crate::gateway::Gateway;
use crate::record::live::{Identity, Live};
use crate::relay::pump::{Errand, Pump};
use crate::relay::reading::Expectation;
use crate::route;

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
    let asked_as = headers::request_id(request.headers());
    match serve_stream(&gateway, &meter, request).await {
        Ok(response) => response,
        Err(refusal) => {
            meter.answered();
            gateway.metrics.refused(refusal.failure);
            let id = asked_as.unwrap_or_else(|| gateway.new_request_id().to_string());
            refuse::with_request_id(refuse::early(refusal.failure, refusal.message.as_deref(), refusal.param), &id)
        }
    }
}

async fn serve_stream(gateway: &Arc<Gateway>, meter: &Arc<Meter>, request: Request<Incoming>) -> Result<Response, Refusal> {
    // Arrived: bytes become a request, within limits of size and time.
    let arrived = gateway.clock.now();
    let setup = gateway.setup();
    let (head, incoming) = request.into_parts();
    let caller = auth::caller(&head.headers, &gateway.keys.load())?;
    let wishes =
        Wishes::of(&head.headers).map_err(|(failure, message)| Refusal { failure, message: Some(message.to_owned()), param: None })?;

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

    // Routed: which target may answer, and in what time.
    let routed = route::find(&setup, chat.model())?;
    if !caller.may_use(chat.model()) {
        return Err(Failure::ModelNotAllowed.into());
    }
    let mode = delivery(&wishes, routed.model, chat.stream());
    let base = setup.config.limits_for(routed.model, routed.settings(&setup.config)?, chat.model(), chat.asks_for_thinking());
    let limits = Limits { keepalive: wishes.keepalive(base.keepalive), head_after: wishes.head_after(base.head_after), ..base };
    let streams = chat.stream() || wishes.delivery.unwrap_or(routed.model.delivery) != DeliveryMode::Stream;
    let mut exchange = Exchange::new(mode, limits, routed.plan(), arrived);
    if !streams {
        exchange = exchange.for_whole_answer();
    }
    if mode == DeliveryMode::Buffered && !routed.model.early_200 {
        exchange = exchange.without_early_head();
    }

    // Recorded first: the open row is durable before anyone is asked for anything that costs.
    let identity = Identity {
        id: gateway.new_stream_id(),
        request_id: gateway.new_request_id(),
        client_request_id: wishes.client_request_id.clone(),
        trace_id: wishes.trace_id(),
        caller,
        endpoint_family: "chat_completions",
        delivery: mode,
        requested_model: chat.model().to_owned(),
        created_unix_millis: gateway.clock.unix_millis(),
        deadline: limits.profile.total,
    };
    let opening = Opening { id: identity.id, created_unix_ms: identity.created_unix_millis, record: identity.opening() };
    let entry = gateway.ledger.begin(opening).await.map_err(|error| {
        tracing::error!(%error, "the ledger cannot take a stream");
        Failure::LedgerUnavailable
    })?;
    let live = Live::new(Arc::clone(gateway), identity, exchange, entry, permit);

    // Attempted, relayed, delivered: pumped by the client's own connection from here on.
    let errand = Errand {
        provider: Arc::clone(routed.provider),
        call: Arc::new(call(&chat, &routed.upstream_model, streams, &wishes)),
        expectation: Expectation { streamed: streams, choices: chat.choices(), client_wants_usage: chat.wants_usage() },
        on_malformed: routed.model.on_malformed,
    };
    let on_disconnect = routed.model.on_disconnect;
    let pump = Pump::new(Box::new(live), Arc::clone(gateway), Arc::clone(meter), errand);
    Ok(open::open(pump, Arc::clone(gateway), Arc::clone(meter), on_disconnect).await)
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

fn call(chat: &ChatRequest, model: &str, streams: bool, wishes: &Wishes) -> Call {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(value::JSON));
    let accept = if streams { value::EVENT_STREAM } else { value::JSON };
    headers.insert(http::header::ACCEPT, HeaderValue::from_static(accept));
    headers.insert(http::header::USER_AGENT, HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION"))));
    if let Some(trace) = wishes.traceparent.as_deref().and_then(|trace| HeaderValue::from_str(trace).ok()) {
        headers.insert(header::TRACEPARENT, trace);
    }
    Call { endpoint: path::UPSTREAM_CHAT_COMPLETIONS, headers, body: chat.upstream_body(model, streams) }
}

//! Which path is answered by whom.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use tidegate_core::breaker::State;
use tidegate_core::failure::Failure;
use tidegate_core::id::StreamId;
use tidegate_core::record::StreamRecord;
use tidegate_queue::{Depth, Queue};
use tidegate_wire::names::{path, session as names, value};
use tidegate_wire::openai_chat;

use super::meter::Meter;
use crate::admit::auth;
use crate::deliver::answer::{AnswerBody, Response};
use crate::deliver::refuse;
use crate::drain::Stage;
use crate::gateway::{Gateway, Role};
use crate::record::metrics::Present;
use crate::route::standing::Snapshot;
use crate::serve;
use crate::session::{self, handshake, tickets};

/// What a caller with too many unused tickets reads.
const TOO_MANY_TICKETS: &str = "too many tickets wait to be used; ask for one when a page is about to connect";

/// Answers one request.
///
/// # Cancel safety
///
/// Dropping it means that the client left.
pub async fn answer(gateway: Arc<Gateway>, meter: Arc<Meter>, request: Request<Incoming>) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let response = match request.uri().path() {
        other if gateway.role == Role::Worker && ![path::HEALTHZ, path::READYZ, path::METRICS].contains(&other) => {
            refuse::early(Failure::NotFound, Some("this is a worker: clients connect to a gateway"), None)
        }
        path::CHAT_COMPLETIONS if request.method() == Method::POST => return serve::serve_chat(gateway, meter, request).await,
        path::CHAT_COMPLETIONS => wrong_method("POST"),
        path::HEALTHZ if is_read => json(StatusCode::OK, r#"{"status":"ok"}"#),
        path::READYZ if is_read => ready(&gateway),
        path::METRICS if is_read => metrics(&gateway).await,
        path::MODELS if is_read => models(&gateway, &request),
        other if is_read && other.starts_with(path::STREAMS) => stream(&gateway, &request).await,
        path::SESSIONS => session::open(&gateway, request),
        path::ROOT if handshake::asks_for_websocket(request.headers()) => session::open(&gateway, request),
        path::SESSION_TICKETS if request.method() == Method::POST => ticket(&gateway, &request),
        path::SESSION_TICKETS => wrong_method("POST"),
        path::HEALTHZ | path::READYZ | path::METRICS | path::MODELS => wrong_method("GET"),
        other => refuse::early(Failure::NotFound, Some(&not_found(other)), None),
    };
    meter.answered();
    response
}

fn ready(gateway: &Gateway) -> Response {
    let (status, word) = match gateway.drain.stage() {
        Stage::Serving => (StatusCode::OK, "ready"),
        Stage::Draining | Stage::Ending => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    json(status, serde_json::json!({"status": word, "targets": resting_targets(gateway)}).to_string())
}

/// The targets that are not asked at the moment, and for how long. They do not make the gateway unready: others may answer.
fn resting_targets(gateway: &Gateway) -> Vec<serde_json::Value> {
    let targets = gateway.standings.snapshot(gateway.clock.now());
    let resting = targets.iter().filter(|target| target.state != State::Closed);
    let told = |target: &Snapshot| {
        let rests_ms = target.rests_for.and_then(|rest| u64::try_from(rest.as_millis()).ok());
        serde_json::json!({
            "provider": *target.provider, "model": *target.model, "breaker": target.state.name(), "rests_ms": rests_ms,
        })
    };
    resting.map(told).collect()
}

async fn metrics(gateway: &Gateway) -> Response {
    let now = tokio::time::Instant::now();
    for provider in gateway.setup().providers.values() {
        let serving = provider.keys.awake(now);
        gateway.metrics.provider_keys(&provider.name, serving, provider.keys.count() - serving);
    }
    let sessions = &gateway.sessions;
    let depth = match &gateway.queue {
        None => Some(Depth { waiting: sessions.pool.waiting() as u64, running: sessions.pool.running() as u64 }),
        Some(queue) => queue.depth().await.ok(),
    };
    let present = Present {
        queue_up: gateway.queue.as_ref().is_none_or(Queue::is_available),
        depth,
        open_streams: gateway.permits.running(),
        ledger_pending: gateway.ledger.pending(),
        activities: gateway.tasks.running(),
        sessions: sessions.permits.running(),
        tasks_waiting: sessions.places.taken(),
        tasks_running: sessions.pool.running(),
        pool_size: sessions.pool.size(),
        pool_waiting: sessions.pool.waiting(),
    };
    let text = gateway.metrics.encode(present, &gateway.standings.snapshot(gateway.clock.now()));
    let mut response = Response::new(AnswerBody::plain(text));
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn models(gateway: &Gateway, request: &Request<Incoming>) -> Response {
    let caller = match auth::caller(request.headers(), &gateway.keys.load()) {
        Ok(caller) => caller,
        Err(failure) => return refuse::early(failure, None, None),
    };
    let setup = gateway.setup();
    let names = setup.config.models.iter().filter(|model| !model.is_pattern()).map(|model| model.name.as_str());
    let names = names.filter(|name| caller.may_use(name));
    let mut response = Response::new(AnswerBody::plain(openai_chat::models_body(names, 0)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(value::JSON));
    response
}

/// A stream's record, for its own key or an admin. To anyone else it does not exist.
async fn stream(gateway: &Gateway, request: &Request<Incoming>) -> Response {
    let caller = match auth::caller(request.headers(), &gateway.keys.load()) {
        Ok(caller) => caller,
        Err(failure) => return refuse::early(failure, None, None),
    };
    let unknown = || refuse::early(Failure::NotFound, Some("no stream of this id is recorded"), None);
    let Some(id) = request.uri().path().strip_prefix(path::STREAMS).and_then(StreamId::parse) else { return unknown() };
    match gateway.ledger.stream(id).await {
        Ok(Some(record)) if caller.may_read(record.key_id.as_deref()) => match described(gateway, id, &record).await {
            Ok(text) => json(StatusCode::OK, text),
            Err(failure) => refuse::early(failure, None, None),
        },
        Ok(_) => unknown(),
        Err(error) => {
            tracing::error!(%error, "the ledger cannot be read");
            refuse::early(Failure::LedgerUnavailable, None, None)
        }
    }
}

/// The record, and the answer of a stream that was made in the background.
async fn described(gateway: &Gateway, id: StreamId, record: &StreamRecord) -> Result<String, Failure> {
    let mut text = serde_json::to_string(record).map_err(|_| Failure::Internal)?;
    if record.delivery != value::BACKGROUND || record.status.is_none() {
        return Ok(text);
    }
    let result = gateway.background.result(id).await.map_err(|error| {
        tracing::error!(%error, "a background answer cannot be read");
        Failure::LedgerUnavailable
    })?;
    if let Some(result) = result.as_deref().and_then(|result| std::str::from_utf8(result).ok()) {
        // A record is an object and a result is JSON, as the gateway wrote both.
        text.pop();
        text.push_str(",\"result\":");
        text.push_str(result);
        text.push('}');
    }
    Ok(text)
}

/// A one-time ticket for the caller, with which a page can open a session. It is worth nothing at another gateway.
fn ticket(gateway: &Gateway, request: &Request<Incoming>) -> Response {
    if gateway.drain.stage() != Stage::Serving {
        return refuse::early(Failure::GatewayDraining, None, None);
    }
    let issued = auth::caller(request.headers(), &gateway.keys.load()).map_err(|failure| (failure, None)).and_then(|caller| {
        gateway.sessions.tickets.issue(&caller, gateway.clock.now()).map_err(|failure| (failure, Some(TOO_MANY_TICKETS)))
    });
    let ticket = match issued {
        Ok(ticket) => ticket,
        Err((failure, message)) => return refuse::early(failure, message, None),
    };
    let expires_in_ms = u64::try_from(tickets::VALID_FOR.as_millis()).unwrap_or(u64::MAX);
    let body = serde_json::json!({names::TICKET: ticket, names::TICKET_EXPIRES_IN_MS: expires_in_ms});
    let mut response = json(StatusCode::OK, body.to_string());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(value::NO_STORE));
    response
}

fn json(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response {
    let mut response = Response::new(AnswerBody::plain(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(value::JSON));
    response
}

fn wrong_method(allowed: &'static str) -> Response {
    let message = format!("this path is only for {allowed}");
    let mut response = refuse::early(Failure::NotFound, Some(&message), None);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Names the likely mistake: a base URL without or with one `/v1` too many.
fn not_found(asked: &str) -> String {
    if asked.ends_with("/chat/completions") {
        return "there is nothing at this path; the SDK's base URL has to end in /v1, once".to_owned();
    }
    "there is nothing at this path".to_owned()
}

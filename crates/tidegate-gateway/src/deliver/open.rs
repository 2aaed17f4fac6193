//! From a pump to an HTTP answer: the head is held back until it is known which one it has to be.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header as http_header};
use tidegate_config::OnDisconnect;
use tidegate_core::failure::Failure;
use tidegate_core::limits::DeliveryMode;
use tidegate_wire::names::{header, value};

use super::answer::{AnswerBody, Response, StreamBody};
use super::background::Job;
use super::refuse;
use crate::arrive::meter::Meter;
use crate::gateway::Gateway;
use crate::header_name;
use crate::relay::held::Piece;
use crate::relay::pump::{Pump, Step};

/// Pumps until the head is decided: status 200 with the first output or after the commit time, an HTTP error before either.
///
/// # Cancel safety
///
/// Dropping it means that the client left: the provider's request is cancelled, or read on where the model says so, and the record settled.
pub async fn open(pump: Pump, gateway: Arc<Gateway>, meter: Arc<Meter>, on_disconnect: OnDisconnect) -> Response {
    let mode = pump.live().identity.delivery;
    let mut body = Opening { pump: Some(Box::new(pump)), gateway: Arc::clone(&gateway), meter: Arc::clone(&meter), on_disconnect };
    let step = poll_fn(|cx| body.poll_step(cx)).await;
    let Some(mut pump) = body.pump.take() else { return refuse::early(Failure::Internal, None, None) };
    let first = match step {
        Step::Head => None,
        Step::Piece(piece) if mode == DeliveryMode::Buffered => return whole(*pump, piece, meter),
        Step::Piece(piece) => Some(piece),
        Step::End => return failed(*pump, meter),
    };
    let mut headers = stream_headers(&pump);
    pump.forget_provider_headers();
    let mut stream = StreamBody::new(pump, first, meter, gateway, on_disconnect);
    if mode == DeliveryMode::Buffered {
        headers.insert(http_header::CONTENT_TYPE, HeaderValue::from_static(value::JSON));
        stream = stream.breaking_on_failure();
    }
    let mut response = Response::new(AnswerBody::Stream(Box::new(stream)));
    *response.headers_mut() = headers;
    response
}

/// Owns the pump while the head is undecided. Dropped with it, the client left.
struct Opening {
    pump: Option<Box<Pump>>,
    gateway: Arc<Gateway>,
    meter: Arc<Meter>,
    on_disconnect: OnDisconnect,
}

impl Opening {
    fn poll_step(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Step> {
        match &mut self.pump {
            Some(pump) => pump.poll_step(cx, true),
            None => std::task::Poll::Ready(Step::End),
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(pump) = self.pump.take() {
            // A body that nobody took a byte of: it knows what follows when the client leaves.
            drop(StreamBody::new(pump, None, Arc::clone(&self.meter), Arc::clone(&self.gateway), self.on_disconnect));
        }
    }
}

fn whole(pump: Pump, piece: Piece, meter: Arc<Meter>) -> Response {
    let mut headers = identity_headers(&pump);
    headers.insert(http_header::CONTENT_TYPE, HeaderValue::from_static(value::JSON));
    let status = pump.status();
    if let Some(job) = pump.live().identity.restarted_as.filter(|_| status == StatusCode::ACCEPTED)
        && let Ok(url) = HeaderValue::try_from(Job { id: job }.url())
    {
        headers.insert(http_header::LOCATION, url);
    }
    let (live, _) = pump.into_parts();
    if let Some(id) = live.identity.restarted_as
        && let Ok(url) = HeaderValue::try_from(Job { id }.url())
    {
        headers.insert(http_header::LOCATION, url);
    }
    let mut response = Response::new(AnswerBody::last_of(live, meter, piece));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn failed(pump: Pump, meter: Arc<Meter>) -> Response {
    let failure = pump.live().exchange.ending().and_then(|ending| ending.failure).unwrap_or(Failure::Internal);
    let retry_after = refuse::wait_for(failure, pump.pushback());
    let bytes: Bytes = refuse::body_of(&pump, failure);
    let headers = identity_headers(&pump);
    let (live, _) = pump.into_parts();
    let body = AnswerBody::last_of(live, meter, Piece { bytes, output_events: 0 });
    let mut response = refuse::answer(failure, body, retry_after);
    response.headers_mut().extend(headers);
    response
}

fn stream_headers(pump: &Pump) -> HeaderMap {
    let mut headers = identity_headers(pump);
    headers.insert(http_header::CONTENT_TYPE, HeaderValue::from_static(value::EVENT_STREAM_UTF8));
    headers.insert(http_header::CACHE_CONTROL, HeaderValue::from_static(value::STREAM_CACHE_CONTROL));
    headers.insert(http_header::CONNECTION, HeaderValue::from_static("keep-alive"));
    headers.insert(header::ACCEL_BUFFERING, HeaderValue::from_static(value::NO_BUFFERING));
    headers
}

/// Which stream it is, who answers, and what the provider says that is the client's business. A head that goes out before the answer names
/// nobody who may be replaced yet, and counts no attempts.
fn identity_headers(pump: &Pump) -> HeaderMap {
    let live = pump.live();
    let exchange = &live.exchange;
    let is_early = exchange.ending().is_none() && !exchange.is_committed();
    // Those of a whole answer. A table for more would be twice as large, and memory of its size is not at hand.
    let mut headers = HeaderMap::with_capacity(6);
    if let Some(theirs) = pump.provider_headers().filter(|_| !exchange.may_fall_back()) {
        for (name, value) in theirs.iter().filter(|(name, _)| is_clients_business(name)) {
            headers.append(name, value.clone());
        }
    }
    let mut set = |name: &HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    if let Some(opening) = live.opening() {
        set(&header_name::REQUEST_ID, opening.client_request_id.as_deref().unwrap_or(&opening.parent_request_id));
        set(&header_name::STREAM_ID, &opening.id);
    }
    if !is_early {
        set(&header_name::ATTEMPTS, &exchange.tally().asked().count().to_string());
    }
    if let Some(attempt) = exchange.tally().asked().next_back().filter(|_| !exchange.may_fall_back()) {
        set(&header_name::PROVIDER, &attempt.target.provider);
        set(&header_name::MODEL, &attempt.target.model);
    }
    headers
}

/// The allow-list of provider headers. Everything else (cookies, servers, the provider's own framing) stays here.
fn is_clients_business(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-ratelimit-") || name == header::OPENAI_PROCESSING_MS || name == "openai-version"
}

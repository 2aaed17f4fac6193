//! Every failure that a client reads, in the client's own protocol.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header as http_header};
use tidegate_core::failure::Failure;
use tidegate_wire::names::{header, value};
use tidegate_wire::openai_chat::{self, AttemptSummary, ErrorContext};

use super::answer::{AnswerBody, Response};
use crate::relay::pump::Pump;

/// `Retry-After` where waiting helps and nobody said how long: short, because the gateway's own shortages are.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Clients ignore a pushback beyond a minute, or obey one of days: neither helps.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// A refusal before there is a stream.
#[must_use]
pub fn early(failure: Failure, message: Option<&str>, param: Option<&str>) -> Response {
    let retry_after = wait_for(failure, None);
    let context = ErrorContext { message, param, retry_after, ..ErrorContext::default() };
    answer(failure, AnswerBody::plain(openai_chat::error_body(failure, &context)), retry_after)
}

/// What is said to a client whose request's head did not arrive in time; it is written to the socket as it is.
#[must_use]
pub fn request_timeout() -> Vec<u8> {
    let body = openai_chat::error_body(Failure::RequestTimeout, &ErrorContext::default());
    let (kind, length) = (value::JSON, body.len());
    let head = format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{}: false\r\nconnection: close\r\n\r\n",
        header::SHOULD_RETRY
    );
    [head.as_bytes(), &body].concat()
}

/// The same answer, with the id by which both sides know the request.
#[must_use]
pub fn with_request_id(mut response: Response, id: &str) -> Response {
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert(header::REQUEST_ID, id);
    }
    response
}

/// The error event of a stream whose head is out.
#[must_use]
pub fn in_band(pump: &Pump, failure: Failure, partial: bool) -> Bytes {
    with_context(pump, failure, partial, |context| openai_chat::error_event(failure, context))
}

/// The body of the error answer of a stream whose head is unsent.
#[must_use]
pub fn body_of(pump: &Pump, failure: Failure) -> Bytes {
    with_context(pump, failure, false, |context| openai_chat::error_body(failure, context))
}

/// The status, and the headers that tell an SDK whether and when to come back.
#[must_use]
pub fn answer(failure: Failure, body: AnswerBody, retry_after: Option<Duration>) -> Response {
    let facts = failure.facts();
    let mut response = Response::new(body);
    *response.status_mut() = facts.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(http_header::CONTENT_TYPE, HeaderValue::from_static(value::JSON));
    if !facts.client_may_retry {
        headers.insert(header::SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if let Some(wait) = retry_after {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        if let (Ok(seconds), Ok(millis)) =
            (HeaderValue::from_str(&seconds.to_string()), HeaderValue::from_str(&wait.as_millis().to_string()))
        {
            headers.insert(http_header::RETRY_AFTER, seconds);
            headers.insert(header::RETRY_AFTER_MS, millis);
        }
    }
    if failure == Failure::InvalidApiKey {
        headers.insert(http_header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// How long the client shall wait before it comes back. `None` where it shall not, or need not wait.
#[must_use]
pub fn wait_for(failure: Failure, pushback: Option<Duration>) -> Option<Duration> {
    let facts = failure.facts();
    let helps = facts.client_may_retry && matches!(facts.status, Some(429 | 503));
    helps.then(|| pushback.unwrap_or(DEFAULT_RETRY_AFTER).clamp(DEFAULT_RETRY_AFTER, LONGEST_RETRY_AFTER))
}

fn with_context(pump: &Pump, failure: Failure, partial: bool, write: impl FnOnce(&ErrorContext<'_>) -> Bytes) -> Bytes {
    let stream_id = pump.live().identity.id.to_string();
    let tally = pump.live().exchange.tally();
    let attempts: Vec<AttemptSummary<'_>> = (1..)
        .zip(&tally.attempts)
        .filter(|(_, attempt)| attempt.skipped.is_none())
        .map(|(n, attempt)| {
            let failure = attempt.fate.as_ref().and_then(|fate| fate.failure);
            AttemptSummary { n, provider: &attempt.target.provider, code: failure.map(Failure::code) }
        })
        .collect();
    let detail = pump.detail();
    let theirs = detail.provider.as_ref().filter(|theirs| theirs.failure == failure);
    write(&ErrorContext {
        stream_id: Some(&stream_id),
        partial,
        retry_after: wait_for(failure, pump.pushback()),
        attempts: &attempts,
        message: theirs.and_then(|theirs| theirs.message.as_deref()),
        param: theirs.and_then(|theirs| theirs.param.as_deref()),
        provider_code: theirs.and_then(|theirs| theirs.code.as_deref()),
    })
}

#[cfg(test)]
mod tests;

//! The gateway's own words at the end of a stream: errors in OpenAI's shape, and the end marker.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tidegate_core::failure::{Blame, Failure};

use crate::names::DONE;
use crate::sse::write_event;

/// One attempt, as an error tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AttemptSummary<'a> {
    /// 1, 2, …
    pub n: u32,
    /// The provider's name in the configuration.
    pub provider: &'a str,
    /// The failure's code; `None` if it did not fail.
    pub code: Option<&'a str>,
}

/// What an error says besides its row of the failure table.
#[derive(Debug, Clone, Copy, Default)]
pub struct ErrorContext<'a> {
    /// The stream's id; `None` before there is a stream.
    pub stream_id: Option<&'a str>,
    /// The client has seen output.
    pub partial: bool,
    /// When it may come back.
    pub retry_after: Option<Duration>,
    /// The attempts made, in order.
    pub attempts: &'a [AttemptSummary<'a>],
    /// Replaces the table's text.
    pub message: Option<&'a str>,
    /// The member of the request that is to blame.
    pub param: Option<&'a str>,
    /// The provider's own code. Written only where the client is to blame: elsewhere it is the operator's business.
    pub provider_code: Option<&'a str>,
}

/// The JSON of an error answer (contract.md, "Errors").
#[must_use]
pub fn error_body(failure: Failure, context: &ErrorContext<'_>) -> Bytes {
    json(failure, context).into()
}

/// An error inside a stream: the one form that every SDK takes for an error (protocols.md, 6.4). It is one `data` line and no `event` line.
#[must_use]
pub fn error_event(failure: Failure, context: &ErrorContext<'_>) -> Bytes {
    let mut out = Vec::new();
    write_event(&mut out, None, &json(failure, context));
    out.into()
}

/// The event that ends a stream.
#[must_use]
pub fn done_event() -> Bytes {
    let mut out = Vec::new();
    write_event(&mut out, None, DONE.as_bytes());
    out.into()
}

fn json(failure: Failure, context: &ErrorContext<'_>) -> Vec<u8> {
    let facts = failure.facts();
    let body = Body {
        error: Error {
            message: context.message.unwrap_or(facts.message),
            kind: facts.openai_type,
            code: facts.code,
            param: context.param,
            tidegate: Details {
                stream_id: context.stream_id,
                partial: context.partial,
                retryable: facts.client_may_retry,
                retry_after_ms: context.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
                provider_code: context.provider_code.filter(|_| facts.blame == Blame::Client),
                attempts: context.attempts,
            },
        },
    };
    serde_json::to_vec(&body).expect("text, numbers and lists are JSON")
}

#[derive(Serialize)]
struct Body<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    code: &'a str,
    param: Option<&'a str>,
    tidegate: Details<'a>,
}

#[derive(Serialize)]
struct Details<'a> {
    stream_id: Option<&'a str>,
    partial: bool,
    retryable: bool,
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_code: Option<&'a str>,
    attempts: &'a [AttemptSummary<'a>],
}

#[cfg(test)]
mod tests;

//! What a provider is asked.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header as http_header};
use tidegate_wire::names::{path, value};
use tidegate_wire::openai_chat::ChatRequest;
use tokio::time::Instant;

use super::keys::{KeyIndex, Keys};
use crate::header_name;

/// One request to a provider.
#[derive(Debug)]
pub struct Call {
    /// Path behind the provider's base address.
    pub endpoint: &'static str,
    /// Headers of this request, beside the provider's own.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The JSON body.
    pub body: Bytes,
    /// The provider's key that is among the headers.
    pub key: Option<KeyIndex>,
}

/// What is the same for every attempt of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Manner<'a> {
    /// The provider is asked to stream.
    pub streams: bool,
    /// The client's W3C trace context.
    pub traceparent: Option<&'a str>,
    /// The header that tells the provider how much time is left.
    pub deadline_header: Option<&'a HeaderName>,
}

impl Call {
    /// Asks `model` for the answer to `chat`, no longer than `max_tokens`, with `time_left` until the stream's deadline.
    #[must_use]
    pub fn chat(
        chat: &ChatRequest,
        model: &str,
        max_tokens: Option<NonZeroU32>,
        time_left: Duration,
        keys: &Keys,
        manner: Manner<'_>,
    ) -> Self {
        let key = keys.take(Instant::now());
        let accept = if manner.streams { value::EVENT_STREAM } else { value::JSON };
        let deadline = manner.deadline_header.map(|name| (name, u64::try_from(time_left.as_millis()).unwrap_or(u64::MAX).into()));
        let trace = manner.traceparent.and_then(|trace| HeaderValue::from_str(trace).ok());
        let always = [
            (http_header::CONTENT_TYPE, HeaderValue::from_static(value::JSON)),
            (http_header::ACCEPT, HeaderValue::from_static(accept)),
            (http_header::USER_AGENT, HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION")))),
        ];
        let sometimes = [
            key.map(|(_, authorization)| (http_header::AUTHORIZATION, authorization.clone())),
            trace.map(|trace| (header_name::TRACEPARENT.clone(), trace)),
            deadline.map(|(name, millis)| (name.clone(), millis)),
        ];
        let max_tokens = max_tokens.map(|most| u64::from(most.get()));
        Self {
            endpoint: path::UPSTREAM_CHAT_COMPLETIONS,
            headers: always.into_iter().chain(sometimes.into_iter().flatten()).collect(),
            body: chat.upstream_body(model, manner.streams, max_tokens),
            key: key.map(|(index, _)| index),
        }
    }
}

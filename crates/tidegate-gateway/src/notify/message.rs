//! What a webhook says.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tidegate_core::id::StreamId;
use tidegate_core::record::Status;
use tidegate_ledger::outbox::Message;
use tidegate_wire::names;
use url::Url;

use super::schedule;
use crate::clock;

/// Largest body. Receivers count on small ones: what is larger is fetched (Standard Webhooks, "Payload size").
const MAX_BODY: usize = 20_000;

/// A background stream has ended.
#[derive(Debug, Clone)]
pub struct Notification {
    /// Which.
    pub stream_id: StreamId,
    /// How.
    pub status: Status,
    /// What went wrong, by its name in `docs/failures.md`.
    pub code: Option<String>,
    /// The answer, a JSON text. It goes along where it is small enough; otherwise the receiver fetches it.
    pub result: Option<Bytes>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    stream_id: String,
    status: &'static str,
    code: Option<&'a str>,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
}

impl Notification {
    /// The message that tells `url` of it, now.
    ///
    /// Its id is made from the stream's: a stream ends once, so told twice it is still one message.
    pub(super) fn message(&self, url: &Url, now_unix_ms: u64) -> Message {
        let stream = self.stream_id.to_string();
        let kept_ms = u64::try_from(schedule::KEPT.as_millis()).unwrap_or(u64::MAX);
        Message {
            id: stream.replacen("strm_", "msg_", 1),
            host: url.host_str().unwrap_or_default().to_owned(),
            url: url.to_string(),
            body: self.body(&stream, now_unix_ms),
            expires_unix_ms: now_unix_ms.saturating_add(kept_ms),
            attempts: 0,
        }
    }

    fn body(&self, stream: &str, now_unix_ms: u64) -> String {
        let result = self.result.as_deref().filter(|result| result.len() < MAX_BODY).and_then(|result| serde_json::from_slice(result).ok());
        let with = self.body_with(result, stream, now_unix_ms);
        if with.len() <= MAX_BODY { with } else { self.body_with(None, stream, now_unix_ms) }
    }

    fn body_with(&self, result: Option<&RawValue>, stream: &str, now_unix_ms: u64) -> String {
        let body = Body {
            r#type: if self.status == Status::Completed { "stream.completed" } else { "stream.failed" },
            timestamp: clock::timestamp(now_unix_ms),
            data: Data {
                stream_id: stream.to_owned(),
                status: self.status.name(),
                code: self.code.as_deref(),
                url: format!("{}{stream}", names::path::STREAMS),
                result,
            },
        };
        serde_json::to_string(&body).expect("texts and JSON are JSON")
    }
}

#[cfg(test)]
mod tests;

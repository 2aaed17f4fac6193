//! What a client made of an answer.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::raw::{Answer, Event, TransportEnd};

/// Everything that a client saw of one answer, streamed or whole.
#[derive(Debug, Clone)]
pub struct View {
    /// The HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The text of the first choice.
    pub text: String,
    /// Events that showed model output.
    pub output_events: u64,
    /// Comments.
    pub comments: u64,
    /// All events and comments in order.
    pub events: Vec<Event>,
    /// The last finish reason.
    pub finish_reason: Option<String>,
    /// The usage, where one came.
    pub usage: Option<Value>,
    /// The error object: of the answer, or of the error event inside it.
    pub error: Option<Value>,
    /// `[DONE]` came.
    pub done: bool,
    /// A whole answer's body, where it is JSON.
    pub body: Option<Value>,
    /// How the transport ended; `None` when the client left first.
    pub end: Option<TransportEnd>,
}

impl View {
    /// Nothing seen yet but the head.
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        Self {
            status: answer.status,
            headers: answer.headers.clone(),
            text: String::new(),
            output_events: 0,
            comments: 0,
            events: Vec::new(),
            finish_reason: None,
            usage: None,
            error: None,
            done: false,
            body: None,
            end: None,
        }
    }

    /// Reads on until `output_events` have been seen, or to the end.
    ///
    /// # Errors
    ///
    /// Nothing came in time, or what came is not the protocol.
    pub async fn read_on(&mut self, answer: &mut Answer, output_events: u64) -> Result<()> {
        if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            while self.output_events < output_events {
                let Some(event) = answer.event().await? else {
                    self.end = answer.end();
                    break;
                };
                self.take(event)?;
            }
        } else {
            self.take_whole(&answer.bytes().await?)?;
            self.end = answer.end();
        }
        Ok(())
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The gateway's name of the stream; empty where it gave none.
    #[must_use]
    pub fn stream_id(&self) -> &str {
        self.header("x-tidegate-stream-id").unwrap_or_default()
    }

    /// The error's code; empty without an error.
    #[must_use]
    pub fn code(&self) -> &str {
        self.error.as_ref().and_then(|error| error["code"].as_str()).unwrap_or_default()
    }

    /// What the error says of `tidegate.partial`.
    #[must_use]
    pub fn partial(&self) -> Option<bool> {
        self.error.as_ref()?["tidegate"]["partial"].as_bool()
    }

    /// The status that the record must have, judged from this side alone.
    #[must_use]
    pub fn ending(&self) -> &'static str {
        match (self.end, self.output_events > 0) {
            (None, false) => "cancelled_before_output",
            (None, true) => "cancelled_after_output",
            (Some(_), _) if self.completed() => "completed",
            (Some(_), false) => "failed_before_output",
            (Some(_), true) => "failed_after_output",
        }
    }

    /// The protocol's own end came, in a transport that ended as announced, and no error.
    #[must_use]
    pub fn completed(&self) -> bool {
        let terminal = self.done || self.body.as_ref().is_some_and(|body| body["choices"].is_array());
        terminal && self.error.is_none() && matches!(self.end, Some(TransportEnd::Complete | TransportEnd::Closed))
    }

    fn take(&mut self, event: Event) -> Result<()> {
        match event.data.as_deref() {
            None => self.comments += 1,
            Some("[DONE]") => self.done = true,
            Some(data) => {
                let chunk: Value = serde_json::from_str(data).with_context(|| format!("an event that is no JSON: {data}"))?;
                self.take_chunk(&chunk);
            }
        }
        self.events.push(event);
        Ok(())
    }

    fn take_chunk(&mut self, chunk: &Value) {
        let mut output = false;
        for choice in chunk["choices"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let delta = &choice["delta"];
            let shows = |member: &str| match &delta[member] {
                Value::String(text) => !text.is_empty(),
                Value::Array(list) => !list.is_empty(),
                _ => false,
            };
            output |= ["content", "refusal", "reasoning_content", "reasoning", "tool_calls"].into_iter().any(shows);
            if choice["index"] == 0 {
                self.text += delta["content"].as_str().unwrap_or_default();
            }
            self.finish_reason = choice["finish_reason"].as_str().map(str::to_owned).or(self.finish_reason.take());
        }
        self.output_events += u64::from(output);
        self.usage = chunk.get("usage").filter(|usage| usage.is_object()).cloned().or(self.usage.take());
        self.error = chunk.get("error").filter(|error| !error.is_null()).cloned().or(self.error.take());
    }

    fn take_whole(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(bytes).with_context(|| String::from_utf8_lossy(bytes).into_owned())?;
        self.error = body.get("error").filter(|error| !error.is_null()).cloned();
        self.usage = body.get("usage").filter(|usage| usage.is_object()).cloned();
        let choice = &body["choices"][0];
        self.text = choice["message"]["content"].as_str().unwrap_or_default().to_owned();
        self.finish_reason = choice["finish_reason"].as_str().map(str::to_owned);
        self.body = Some(body);
        Ok(())
    }
}

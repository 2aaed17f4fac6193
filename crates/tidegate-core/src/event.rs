//! What the decisions need to know of an event, whatever its dialect.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The type an event is counted under in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Announces or frames the answer without showing any of it: a role, `response.created`, a `ping`.
    Lifecycle,
    /// Something a reader can see or a program can act on: text, a refusal, reasoning, a tool call.
    Output,
    /// Carries usage only.
    Usage,
    /// Ends a choice or the answer.
    Completion,
    /// The provider's own error, inside the stream.
    Error,
    /// The dialect's end marker, which is no event of the answer (`[DONE]`). Not counted.
    Sentinel,
    /// A comment or an event of an unknown type.
    Other,
}

/// What the relay must know of one provider event. Made by `tidegate-wire`, read by [`crate::exchange`].
#[derive(Debug, Clone, PartialEq)]
pub struct EventFacts {
    /// What it is counted as.
    pub kind: EventKind,
    /// It shows model output, which makes it the commit line's business. True for `Output`, and for a `Completion` that carries text.
    pub has_output: bool,
    /// With this event the answer's end is proved (contract.md, "How a stream ends").
    pub proves_end: bool,
    /// Nothing may follow it: the body ends here, whatever the provider still sends.
    pub is_last: bool,
    /// The client did not ask for it (usage that the gateway added): it is read and not passed on.
    pub for_gateway_only: bool,
    /// Usage that it reports.
    pub usage: Option<Usage>,
    /// The provider's error that it reports, or the fault in its form.
    pub failure: Option<Failure>,
}

impl EventFacts {
    /// An event of `kind` with nothing special about it.
    #[must_use]
    pub fn of(kind: EventKind) -> Self {
        Self {
            kind,
            has_output: matches!(kind, EventKind::Output),
            proves_end: false,
            is_last: false,
            for_gateway_only: false,
            usage: None,
            failure: None,
        }
    }
}

/// Tokens of one attempt. A number that is not known is `None`, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer, reasoning included.
    pub output_tokens: Option<u64>,
    /// Prompt tokens that the provider had cached.
    pub cached_input_tokens: Option<u64>,
    /// Answer tokens that were spent on hidden reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Where the numbers come from.
    pub source: UsageSource,
}

/// Where usage numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider's own count.
    Provider,
    /// Our tokenizer's count.
    Estimated,
    /// Nobody counted.
    #[default]
    Unknown,
}

/// How many events of each type an attempt or a stream had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventCounts {
    /// See [`EventKind::Lifecycle`].
    pub lifecycle: u64,
    /// See [`EventKind::Output`].
    pub output: u64,
    /// See [`EventKind::Usage`].
    pub usage: u64,
    /// See [`EventKind::Completion`].
    pub completion: u64,
    /// See [`EventKind::Error`].
    pub error: u64,
    /// See [`EventKind::Other`].
    pub other: u64,
    /// Keepalives that the gateway sent to the client.
    pub keepalive: u64,
}

impl EventCounts {
    /// Counts one provider event. An end marker is no event.
    pub fn count(&mut self, kind: EventKind) {
        match kind {
            EventKind::Lifecycle => self.lifecycle += 1,
            EventKind::Output => self.output += 1,
            EventKind::Usage => self.usage += 1,
            EventKind::Completion => self.completion += 1,
            EventKind::Error => self.error += 1,
            EventKind::Other => self.other += 1,
            EventKind::Sentinel => {}
        }
    }
}

//! What differs between the protocols: how a request is read and how an answer is said.
//!
//! Everything else (time, faults, framing, the journal) is the same for all of them. A new protocol is a [`Voice`] and a reader of
//! requests beside [`chat`].
//!
//! Wire names are spelled out here instead of taken from the gateway's own list: the mock is the other side of the wire, and a name that
//! is wrong in the gateway must not be wrong here too.

pub(crate) mod chat;

use serde_json::{Value, json};

use crate::script::{ErrorForm, Status};

/// One event of an answer, free of any protocol.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event<'e> {
    /// Announces the answer.
    Role,
    Text(&'e str),
    Reasoning(&'e str),
    Refusal(&'e str),
    /// JSON members of an event, chosen by the script.
    Members(&'e str),
    Error(ErrorForm, &'e str),
    Finish(&'e str),
    Usage,
    /// The protocol's end marker.
    Done,
}

/// What a whole answer says, collected while the script was played.
#[derive(Debug, Default)]
pub(crate) struct Said<'s> {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) refusal: String,
    /// JSON members of the events that the script chose itself.
    pub(crate) members: Vec<&'s str>,
    pub(crate) finish: Option<&'s str>,
    /// It was said that the answer is whole: by a finishing event or an end marker.
    pub(crate) proved: bool,
    /// Texts, reasoning and refusals: what the mock counts as tokens.
    pub(crate) tokens: u64,
}

/// How one answer is said.
pub(crate) trait Voice: Send + Sync {
    /// The client wants a stream.
    fn streams(&self) -> bool;
    /// How many answers the client wants at once, at least one.
    fn choices(&self) -> u32;
    /// The client wants the usage event at the end of the stream.
    fn wants_usage(&self) -> bool;
    /// Appends one event as it goes over the wire, lines ended by `\n`.
    fn event(&self, event: &Event<'_>, moment: &EventMoment, out: &mut Vec<u8>);
    /// The body of a whole answer.
    fn whole(&self, said: &Said<'_>) -> Vec<u8>;
}

/// What an event depends on beside its content.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EventMoment {
    /// Which of the answers it belongs to.
    pub(crate) choice: u32,
    /// Tokens said so far.
    pub(crate) tokens: u64,
    /// The time to put into it.
    pub(crate) stamp: Option<u64>,
}

impl Event<'_> {
    /// A reader sees something of it, or a program can act on it.
    pub(crate) fn is_output(&self) -> bool {
        match self {
            Self::Text(_) | Self::Reasoning(_) | Self::Refusal(_) => true,
            Self::Members(members) => chat::members_show_output(members),
            _ => false,
        }
    }

    /// There is one for each of several answers.
    pub(crate) fn is_per_choice(&self) -> bool {
        matches!(self, Self::Role | Self::Text(_) | Self::Reasoning(_) | Self::Refusal(_) | Self::Finish(_))
    }
}

/// The body of an HTTP error, in the form that OpenAI gave and most servers took.
pub(crate) fn error_body(status: &Status, param: Option<&str>) -> Vec<u8> {
    let (kind, usual_code) = usual_error(status.status);
    let code = status.code.as_deref().or(usual_code);
    let message = status.message.clone().unwrap_or_else(|| format!("the mock was told to answer {}", status.status));
    error_json(&message, kind, param, code).to_string().into_bytes()
}

fn error_json(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

/// The `type` and `code` that go with a status (protocols.md, section 2.4).
fn usual_error(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        503 => ("service_unavailable_error", Some("server_is_overloaded")),
        300..=499 => ("invalid_request_error", None),
        _ => ("server_error", None),
    }
}

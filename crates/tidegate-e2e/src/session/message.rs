//! The messages of a session, as a client spells and reads them.

use serde::Deserialize;
use serde_json::{Value, json};

/// What a gateway says. A member that the contract does not know is an error.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the members are the contract's own")]
pub enum Message {
    /// Which session this is.
    Session { session_id: String, resumed: bool, expires_in_ms: u64 },
    /// A prompt was accepted.
    Ack { task_id: String, queue_depth: usize, session_id: String, id: Option<String> },
    /// A prompt found no room.
    RateLimited { queue_depth: usize, retry_after_ms: u64, id: Option<String> },
    /// A waiting task ended without having run.
    Dropped { task_id: String, reason: String },
    /// Something that the user may be told.
    Notice { task_id: String, message: String, queue_position: Option<usize>, eta_ms: Option<u64>, tool_calls: Option<Value> },
    /// A piece of an answer.
    Token { task_id: String, data: String },
    /// An answer is whole.
    Complete { task_id: String, usage: Value, stream_id: String },
    /// A task failed, or a message could not be obeyed.
    Error(Problem),
    /// A sign of life.
    Pong {},
}

/// What an ERROR says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the members are the contract's own")]
pub struct Problem {
    pub task_id: Option<String>,
    pub code: String,
    pub message: String,
    pub partial: bool,
    pub retryable: bool,
    pub retry_after_ms: Option<u64>,
    pub stream_id: Option<String>,
    pub id: Option<String>,
}

impl Message {
    /// The same without the time until it starts, which another gateway may estimate otherwise.
    #[must_use]
    pub(super) fn without_estimate(mut self) -> Self {
        if let Self::Notice { eta_ms, .. } = &mut self {
            *eta_ms = None;
        }
        self
    }

    /// Whether it stands in the row that a resume repeats, and so carries a `seq`.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        match self {
            Self::Session { .. } | Self::Pong {} => false,
            // The queue was gone, and nothing came of what was said.
            Self::Error(problem) => problem.task_id.is_some() || problem.code != "gateway_overloaded",
            _ => true,
        }
    }

    /// The task that it is about. An ERROR about a CANCEL of no task is about none.
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        match self {
            Self::Ack { task_id, .. }
            | Self::Dropped { task_id, .. }
            | Self::Notice { task_id, .. }
            | Self::Token { task_id, .. }
            | Self::Complete { task_id, .. } => Some(task_id),
            Self::Error(problem) if problem.code != "task_not_found" => problem.task_id.as_deref(),
            Self::Session { .. } | Self::RateLimited { .. } | Self::Error(_) | Self::Pong {} => None,
        }
    }

    /// Whether its task is over by it.
    #[must_use]
    pub fn ends_its_task(&self) -> bool {
        self.task().is_some() && matches!(self, Self::Dropped { .. } | Self::Complete { .. } | Self::Error(_))
    }

    /// The stream that it names.
    #[must_use]
    pub fn stream(&self) -> Option<&str> {
        match self {
            Self::Complete { stream_id, .. } => Some(stream_id),
            Self::Error(problem) => problem.stream_id.as_deref(),
            _ => None,
        }
    }

    /// What an ERROR says.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Error(problem) => Some(problem),
            _ => None,
        }
    }

    /// An ERROR's code; empty for everything else.
    #[must_use]
    pub fn code(&self) -> &str {
        self.problem().map_or("", |problem| &problem.code)
    }
}

/// A PROMPT.
#[derive(Debug, Clone)]
pub struct Prompt(Value);

impl Prompt {
    /// A short one for `model`.
    #[must_use]
    pub fn to(model: &str) -> Self {
        Self::of("Say hello.").with("model", model)
    }

    /// With this content, for the gateway's own choice of a model.
    #[must_use]
    pub fn of(content: &str) -> Self {
        Self(json!({"type": "PROMPT", "content": content}))
    }

    /// Sets one member.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0[member] = value.into();
        self
    }

    /// As it is sent.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }
}

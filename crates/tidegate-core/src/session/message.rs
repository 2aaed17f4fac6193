//! What a client and the gateway say to each other, free of any wire form. `tidegate-wire` reads and writes it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Usage;
use crate::failure::Failure;
use crate::id::{SessionId, StreamId, TaskId};

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientMessage {
    /// Answer this.
    Prompt(Prompt),
    /// Stop this task. `None`: the text was no id that a gateway gives.
    Cancel(Option<TaskId>),
    /// Go on with another connection's session, from behind this message.
    Resume {
        /// The session. `None`: the text was no id that a gateway gives.
        session: Option<SessionId>,
        /// The last message that the client has seen, 0 for none.
        last_seq: u64,
    },
    /// Prompts after this one know nothing of those before it.
    Reset,
    /// Are you there?
    Ping,
}

/// A prompt. Clones share its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// What the user says.
    pub content: Arc<str>,
    /// The client's own name for it: sent again under the same name, it is not run again.
    pub id: Option<Arc<str>>,
    /// Which model is asked. `None`: that of the settings.
    pub model: Option<Arc<str>>,
    /// The system prompt from here on. `None`: as before.
    pub system: Option<Arc<str>>,
    /// The longest answer, in tokens.
    pub max_tokens: Option<NonZeroU32>,
}

/// What the gateway says.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Which session this is. Told to clients that can resume one, and to whoever tried to.
    Session {
        /// Its id.
        session: SessionId,
        /// It went on where the client left it. `false`: it is a new one, without history or tasks.
        resumed: bool,
        /// How long it outlives a lost connection.
        expires_in: Duration,
    },
    /// I am here.
    Pong,
    /// An ERROR of no session: it has no number, because nobody can resume what it belongs to.
    Refused(Box<Problem>),
    /// One of the messages that a resume repeats.
    Numbered {
        /// 1, 2, … within the session, without a gap.
        seq: u64,
        /// What it says.
        body: Body,
    },
}

/// What a numbered message says. Clones share their text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// A prompt was accepted.
    Ack(Ack),
    /// A prompt found no room and is forgotten.
    RateLimited {
        /// How many tasks of the session wait.
        queue_depth: usize,
        /// When there may be room.
        retry_after: Duration,
        /// The prompt's own id.
        id: Option<Arc<str>>,
    },
    /// A waiting task ended without having run.
    Dropped {
        /// The task.
        task: TaskId,
        /// Why.
        reason: DropReason,
    },
    /// Something that the user may be told.
    Notice(Box<Notice>),
    /// A piece of the answer.
    Token {
        /// The task.
        task: TaskId,
        /// The text.
        data: Arc<str>,
    },
    /// The answer is whole.
    Complete(Box<Complete>),
    /// A task failed, or a message could not be obeyed.
    Error(Box<Problem>),
}

impl Body {
    /// What it takes in memory, about: what the bound of a replay counts.
    pub(super) fn footprint(&self) -> usize {
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        let more = match self {
            Self::Ack(_) | Self::RateLimited { .. } | Self::Dropped { .. } => 0,
            Self::Notice(notice) => size_of::<Notice>() + notice.message.len() + text(&notice.tool_calls),
            // The text and the counts beside it.
            Self::Token { data, .. } => 2 * size_of::<usize>() + data.len(),
            Self::Complete(_) => size_of::<Complete>(),
            Self::Error(problem) => size_of::<Problem>() + text(&problem.message),
        };
        size_of::<Self>() + more
    }
}

/// A prompt was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The task that it became.
    pub task: TaskId,
    /// How many tasks of the session wait, this one included: 0 if it starts at once.
    pub queue_depth: usize,
    /// The session.
    pub session: SessionId,
    /// The prompt's own id.
    pub id: Option<Arc<str>>,
}

/// Something that the user may be told about a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The task.
    pub task: TaskId,
    /// One sentence.
    pub message: Arc<str>,
    /// Its place among the waiting tasks, from 1.
    pub position: Option<usize>,
    /// When it is expected to start.
    pub eta: Option<Duration>,
    /// The model's tool calls: a JSON list in the form of OpenAI Chat Completions.
    pub tool_calls: Option<Arc<str>>,
}

/// The answer is whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Complete {
    /// The task.
    pub task: TaskId,
    /// What the answer used, as far as it is known.
    pub usage: Option<Usage>,
    /// The stream, whose record tells the rest.
    pub stream: StreamId,
}

/// A task failed, or a message could not be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The task, if it is about one.
    pub task: Option<TaskId>,
    /// The own id of the prompt that it refuses.
    pub id: Option<Arc<str>>,
    /// What went wrong.
    pub code: Code,
    /// Replaces the code's own text.
    pub message: Option<Arc<str>>,
    /// The client has seen a part of the answer.
    pub partial: bool,
    /// When the client may come back.
    pub retry_after: Option<Duration>,
    /// The stream, if there was one.
    pub stream: Option<StreamId>,
}

impl Problem {
    /// A problem that says nothing but its code.
    #[must_use]
    pub fn of(code: Code) -> Self {
        Self { task: None, id: None, code, message: None, partial: false, retry_after: None, stream: None }
    }
}

/// What an ERROR is about: a row of the failure table, or one of the two that only a session has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Code {
    /// A stream's failure, or a refusal in the table's words.
    Failure(Failure),
    /// The message is not one of the protocol's.
    InvalidMessage,
    /// No task of this id runs or waits in this session.
    TaskNotFound,
}

impl Code {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Failure(failure) => failure.code(),
            Self::InvalidMessage => "invalid_message",
            Self::TaskNotFound => "task_not_found",
        }
    }

    /// What the client reads where nothing more is known.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Failure(failure) => failure.facts().message,
            Self::InvalidMessage => "the message is not one of the protocol's",
            Self::TaskNotFound => "no task of this id waits or runs in this session",
        }
    }

    /// Whether the client may send the same again.
    #[must_use]
    pub fn client_may_retry(self) -> bool {
        match self {
            Self::Failure(failure) => failure.facts().client_may_retry,
            Self::InvalidMessage | Self::TaskNotFound => false,
        }
    }
}

/// Why a waiting task was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DropReason {
    /// The client cancelled it.
    Cancelled,
    /// It was the oldest of a full queue, and a newer one came.
    QueueFull,
}

impl DropReason {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::QueueFull => "queue_full",
        }
    }
}

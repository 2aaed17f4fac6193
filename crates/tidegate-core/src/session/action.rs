//! What a session is told, and what it asks to be done.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::history::{TooLong, Turn};
use super::message::{ClientMessage, Message, Prompt};
use super::task::Task;
use crate::event::Usage;
use crate::failure::Failure;
use crate::id::{SessionId, StreamId, TaskId};

/// Something that happened. Every input is legal in every state; one that comes too late changes nothing.
#[derive(Debug, Clone)]
pub enum Input {
    /// The client sent a message.
    Message {
        /// What it says.
        message: ClientMessage,
        /// An id that was never used, for the task that a prompt becomes.
        fresh: TaskId,
    },
    /// The client sent something that is no message. The text says what is wrong and what to send instead, and repeats nothing of it.
    Invalid(Arc<str>),
    /// The client sent a prompt, and there is nowhere to put it. One that was accepted before is answered by its ACK all the same.
    Refuse {
        /// The prompt.
        prompt: Prompt,
        /// Why.
        why: Failure,
    },
    /// A sign of life without a message: a WebSocket pong, or a write that had been waiting for the client went on.
    Heard,
    /// The running task's answer goes on.
    Token {
        /// The task.
        task: TaskId,
        /// The next piece of text.
        data: Arc<str>,
    },
    /// Something that the user may be told about the running task.
    Notice {
        /// The task.
        task: TaskId,
        /// One sentence.
        message: Arc<str>,
        /// The model's tool calls, a JSON list. To be told before the task ends.
        tool_calls: Option<Arc<str>>,
    },
    /// The running task is over. Exactly one follows each [`Action::Start`], also after an [`Action::Cancel`].
    Ended {
        /// The task.
        task: TaskId,
        /// How.
        end: TaskEnd,
    },
    /// The connection broke, or ended without a Close frame.
    SocketLost,
    /// The client sent a Close frame, or broke the protocol so that the gateway has to close: the session is over.
    Closed,
    /// A new connection takes over: it stands in the old one's place already, and its client said RESUME.
    Resumed {
        /// The last message that the client has seen.
        last_seq: u64,
        /// What the new connection's client can do.
        client: Client,
    },
    /// The session that [`Action::Resume`] asked for is unknown, over, or not this client's.
    NotResumed,
    /// Whether there is that session cannot be found out right now: its client has to come back and ask again.
    Unanswered,
    /// The gateway shuts down: what was accepted is finished, nothing more is accepted.
    Drain,
    /// The time for that is over.
    DrainOver,
    /// [`super::Session::wake_at`] has come.
    Tick,
}

/// How a task ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum TaskEnd {
    /// With a whole answer.
    Completed {
        /// What it used.
        usage: Option<Usage>,
        /// Its stream.
        stream: StreamId,
        /// What was said, for the history. `None` if it shall leave no trace there.
        turn: Option<Turn>,
    },
    /// Without one. It leaves no trace in the history: the client, which may ask again, would be heard twice.
    Failed {
        /// Why.
        failure: Failure,
        /// Replaces the failure's own text: what a provider said, or which member of the prompt is to blame.
        message: Option<Arc<str>>,
        /// The client has seen a part of the answer.
        partial: bool,
        /// When it may ask again.
        retry_after: Option<Duration>,
        /// Its stream, if there was one.
        stream: Option<StreamId>,
    },
}

impl From<TooLong> for TaskEnd {
    fn from(fault: TooLong) -> Self {
        let message = Some(fault.to_string().into());
        Self::Failed { failure: Failure::InvalidRequest, message, partial: false, retry_after: None, stream: None }
    }
}

/// What the client on a connection can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Client {
    /// It knows PROMPT, ACK, TOKEN, COMPLETE and ERROR, and perhaps more. Its session ends with its connection.
    Plain,
    /// It negotiated `tidegate.v1`: its session outlives a lost connection.
    Resumable,
}

/// Something to do, in the order of the list.
#[derive(Debug)]
pub enum Action {
    /// Send this to the client. Waiting until its socket takes it slows nobody else's session.
    Send(Message),
    /// Run this task, and tell how it ended by [`Input::Ended`].
    Start(Task),
    /// End this running task for this reason. [`Input::Ended`] still follows; a session that is over ignores it.
    Cancel {
        /// The task.
        task: TaskId,
        /// Why: what its record says.
        why: Failure,
    },
    /// Hand the socket over to this session of the same client, which is told [`Input::Resumed`], and drop the one that asked. If there is
    /// none, tell this one [`Input::NotResumed`], or [`Input::Unanswered`]. Before that, nothing more is read from the socket.
    Resume {
        /// The session. `None`: there is none.
        session: Option<SessionId>,
        /// For [`Input::Resumed`].
        last_seq: u64,
    },
    /// Send a WebSocket ping.
    Ping,
    /// Drop the socket, which is dead; the session waits for another.
    Disconnect,
    /// Drop the session, after a Close frame where the socket is still there. Always the last action.
    End(EndReason),
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Its client closed it.
    Closed,
    /// Its connection broke, and its client cannot resume it.
    ConnectionLost,
    /// Its peer gave no sign of life, and its client cannot resume it.
    PeerDead,
    /// Nobody came back for it in time.
    NotResumed,
    /// Its client asked for another session, and nobody can tell right now whether there is one.
    Unanswered,
    /// Its client came back for more than was kept. The socket goes on: give it a new session, and tell that [`Input::NotResumed`].
    Gap,
    /// Its client said nothing for too long.
    Idle,
    /// The gateway shuts down and every task of it is finished.
    Drained,
}

//! A client of sessions. It reads every message strictly, and remembers all of them: a test says what it wants to have seen.

pub mod hello;
pub mod log;
pub mod message;

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;

pub use hello::Hello;
pub use log::Log;
pub use message::{Message, Problem, Prompt};

use crate::wait::in_time;

/// How a connection came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goodbye {
    /// By a Close frame of this code and reason.
    Closed(u16, String),
    /// Without one.
    Cut,
}

/// A session's client on one connection.
pub struct SessionClient {
    socket: WebSocketStream<TcpStream>,
    log: Log,
    goodbye: Option<Goodbye>,
}

impl SessionClient {
    /// Connects.
    ///
    /// # Errors
    ///
    /// No connection, or the handshake is refused.
    pub async fn open(addr: SocketAddr, hello: &Hello) -> Result<Self> {
        Ok(Self { socket: hello.connect(addr).await?, log: Log::default(), goodbye: None })
    }

    /// Connects and goes on with `session`, of which everything in `log` was seen. Tells whether the session goes on; where not, the client has
    /// a new one, of which nothing was seen.
    ///
    /// # Errors
    ///
    /// As for [`Self::open`], or there is no answer.
    pub async fn resume(addr: SocketAddr, hello: &Hello, session: &str, log: Log) -> Result<(Self, bool)> {
        let mut client = Self { log, ..Self::open(addr, hello).await? };
        client.send(&json!({"type": "RESUME", "sessionId": session, "lastSeq": client.log.last_seq()})).await?;
        let (before, mut greeting) = (pongs(&client.log), None);
        loop {
            let text = client.next_text().await?.with_context(|| format!("{:?} instead of an answer to RESUME", client.goodbye))?;
            let said: Value = serde_json::from_str(&text)?;
            if said["resumed"] == true {
                ensure!(said["sessionId"] == session, "resumed {said}, not {session}");
                client.log.take(&text)?;
                if greeting.is_some() {
                    client.pong(before).await?;
                }
                return Ok((client, true));
            }
            // A new session is told to whoever says nothing for a while, as a busy client does: the answer may still follow.
            match (said["type"].as_str(), greeting.take()) {
                (Some("SESSION"), known) => {
                    if known.is_none() {
                        client.send(&json!({"type": "PING"})).await?;
                    }
                    greeting = Some(text);
                }
                (Some("PONG"), Some(session)) => {
                    client.log = Log::default();
                    client.log.take(&session)?;
                    return Ok((client, false));
                }
                _ => bail!("an answer to RESUME that is none: {text}"),
            }
        }
    }

    /// Asks for a `session` that nobody can look for right now: what the gateway says instead, and how it ends the connection.
    ///
    /// # Errors
    ///
    /// It says nothing, or goes on.
    pub async fn resume_in_vain(addr: SocketAddr, hello: &Hello, session: &str, last_seq: u64) -> Result<(Value, Goodbye)> {
        let mut client = Self::open(addr, hello).await?;
        client.send(&json!({"type": "RESUME", "sessionId": session, "lastSeq": last_seq})).await?;
        let said = client.next_text().await?.context("an answer to RESUME")?;
        let goodbye = client.goodbye().await?;
        Ok((serde_json::from_str(&said)?, goodbye))
    }

    /// All that was seen.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub async fn send(&mut self, message: &Value) -> Result<()> {
        self.frame(Frame::text(message.to_string())).await
    }

    /// Sends these messages in one piece.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub async fn send_at_once(&mut self, messages: &[&Value]) -> Result<()> {
        for message in messages {
            self.socket.feed(Frame::text(message.to_string())).await?;
        }
        Ok(in_time("messages are taken", self.socket.flush()).await??)
    }

    /// Sends any frame.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub async fn frame(&mut self, frame: Frame) -> Result<()> {
        Ok(in_time("a message is taken", self.socket.send(frame)).await??)
    }

    /// Sends a prompt and tells which task it became.
    ///
    /// # Errors
    ///
    /// It was not accepted.
    pub async fn ask(&mut self, prompt: &Prompt) -> Result<String> {
        match self.offer(prompt).await? {
            Message::Ack { task_id, .. } => Ok(task_id),
            refused => bail!("refused: {refused:?}"),
        }
    }

    /// Sends a prompt and returns its ACK, RATE_LIMITED or ERROR. No other prompt may be without one.
    ///
    /// # Errors
    ///
    /// There was none.
    pub async fn offer(&mut self, prompt: &Prompt) -> Result<Message> {
        let seen = self.log.messages().len();
        self.send(prompt.json()).await?;
        self.see("an answer to a prompt", |log| {
            let is_it = |message: &&Message| match message {
                Message::Ack { .. } | Message::RateLimited { .. } => true,
                Message::Error(problem) => problem.task_id.is_none(),
                _ => false,
            };
            log.messages()[seen..].iter().find(is_it).cloned()
        })
        .await
    }

    /// Asks for a task's end.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub async fn cancel(&mut self, task: &str) -> Result<()> {
        self.send(&json!({"type": "CANCEL", "taskId": task})).await
    }

    /// Reads to the end of a task, and returns it.
    ///
    /// # Errors
    ///
    /// It does not end.
    pub async fn end(&mut self, task: &str) -> Result<Message> {
        self.see(format!("the end of {task}"), |log| log.end(task).cloned()).await
    }

    /// Sends a prompt, reads to its end, and returns its task and its answer.
    ///
    /// # Errors
    ///
    /// It does not complete.
    pub async fn complete(&mut self, prompt: &Prompt) -> Result<(String, String)> {
        let task = self.ask(prompt).await?;
        match self.end(&task).await? {
            Message::Complete { .. } => Ok((task.clone(), self.log.text(&task))),
            other => bail!("{prompt:?} ended by {other:?}"),
        }
    }

    /// Reads until so many pieces of a task's answer came.
    ///
    /// # Errors
    ///
    /// They do not come.
    pub async fn tokens(&mut self, task: &str, count: usize) -> Result<()> {
        self.see(format!("{count} tokens of {task}"), |log| (log.token_count(task) >= count).then_some(())).await
    }

    /// The session's id, as SESSION or an ACK tells it.
    ///
    /// # Errors
    ///
    /// Neither comes.
    pub async fn id(&mut self) -> Result<String> {
        let id = |message: &Message| match message {
            Message::Session { session_id, .. } | Message::Ack { session_id, .. } => Some(session_id.clone()),
            _ => None,
        };
        self.see("the session's id", |log| log.messages().iter().rev().find_map(id)).await
    }

    /// Says PING and reads to its PONG: whatever was sent before is done.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn ping(&mut self) -> Result<()> {
        let before = pongs(&self.log);
        self.send(&json!({"type": "PING"})).await?;
        self.pong(before).await
    }

    /// Reads until there is one more PONG than `before`.
    async fn pong(&mut self, before: usize) -> Result<()> {
        self.see("PONG", |log| (pongs(log) > before).then_some(())).await
    }

    /// Reads until `look` finds in all that was seen what it looks for.
    ///
    /// # Errors
    ///
    /// The session ends before, or nothing more comes, or what comes breaks the protocol. `what` says what was waited for.
    pub async fn see<T>(&mut self, what: impl std::fmt::Debug, look: impl Fn(&Log) -> Option<T>) -> Result<T> {
        loop {
            if let Some(found) = look(&self.log) {
                return Ok(found);
            }
            let is_there = self.read().await.with_context(|| format!("waiting for {what:?}, with {:#?}", self.log))?;
            ensure!(is_there, "{:?} instead of {what:?}, after {:#?}", self.goodbye, self.log);
        }
    }

    /// Reads to the end of the connection.
    ///
    /// # Errors
    ///
    /// It does not end, or what comes breaks the protocol.
    pub async fn goodbye(&mut self) -> Result<Goodbye> {
        while self.read().await? {}
        self.goodbye.clone().context("the connection has ended")
    }

    /// Whether the connection has ended, as far as it was read.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.goodbye.is_some()
    }

    /// Says goodbye in order, and waits until the gateway does.
    ///
    /// # Errors
    ///
    /// The connection does not end.
    pub async fn close(mut self) -> Result<Log> {
        self.frame(Frame::Close(Some(CloseFrame { code: 1000.into(), reason: "".into() }))).await?;
        self.goodbye().await?;
        Ok(self.log)
    }

    /// Leaves without a word, as a lost network does: by a reset.
    ///
    /// # Errors
    ///
    /// The socket is gone already.
    pub fn cut(self) -> Result<Log> {
        self.socket.get_ref().set_zero_linger()?;
        Ok(self.log)
    }

    /// Reads one more message; `false` at the end of the connection.
    async fn read(&mut self) -> Result<bool> {
        let Some(text) = self.next_text().await? else { return Ok(false) };
        self.log.take(&text)?;
        Ok(true)
    }

    async fn next_text(&mut self) -> Result<Option<String>> {
        loop {
            match in_time("a message", self.socket.next()).await? {
                Some(Ok(Frame::Text(text))) => return Ok(Some(text.as_str().to_owned())),
                Some(Ok(Frame::Close(frame))) => {
                    let closed = frame.map_or(Goodbye::Closed(1005, String::new()), |frame| {
                        Goodbye::Closed(frame.code.into(), frame.reason.as_str().to_owned())
                    });
                    self.goodbye.get_or_insert(closed);
                }
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                Some(Ok(other)) => bail!("a gateway sends text, not {other:?}"),
                None | Some(Err(Error::Io(_) | Error::ConnectionClosed | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                    self.goodbye.get_or_insert(Goodbye::Cut);
                    return Ok(None);
                }
                Some(Err(error)) => bail!("what came is no WebSocket: {error}"),
            }
        }
    }
}

fn pongs(log: &Log) -> usize {
    log.messages().iter().filter(|message| matches!(message, Message::Pong {})).count()
}

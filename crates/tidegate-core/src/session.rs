//! One session: its queue, its running task, its conversation, and what its client has been told.
//!
//! The shell tells a [`Session`] what happened and when, by [`Session::handle`], and carries out the [`Action`]s that it gets, in their
//! order. The session performs nothing itself and knows no clock. Whatever order things happen in:
//!
//! - Every accepted task ends in exactly one of COMPLETE, ERROR and DROPPED, as long as the session lives.
//! - Tasks run in the order in which they were accepted, one at a time.
//! - Numbered messages have no gap, and a resume repeats exactly what the client has not seen, or says that the session is gone.
//! - Queue, replay, history and memory of prompt ids stay within their bounds.
//!
//! **RESET** takes its place in the order of the prompts: those before it still run, with the conversation that they were asked in, and
//! those after it begin a new one. It cancels nothing; a client that wants its tasks stopped says CANCEL. So a program may send all its
//! prompts at once, with a RESET between each two.
//!
//! **A task that waits** is told its place, and when it is expected to start, once: the session's other messages tell how the queue moves.
//! The estimate is the moving average of the session's own answers, so the first answer comes without one.
//!
//! **A resume that asks for more than is kept**, or for more than was ever said, gets nothing: half of an answer would be worse. The
//! session ends, since nobody can follow it any more, and its client gets a new one. So that this stays rare, a session without a
//! connection asks the shell to leave the provider's stream unread once half of the replay is used ([`Session::takes_output`]).
//!
//! **When the gateway drains**, what was accepted is finished and nothing more is accepted; idle sessions end at once. So does a session
//! without a connection: nobody can come back to a gateway that takes no connections. What is not finished in time is told so.
//!
//! The file is long because most of these rules are about what a session owes to several of its parts at once.

mod action;
mod commands;
mod deadlines;
mod history;
mod message;
mod outbox;
mod pace;
mod queue;
mod receipts;
mod settings;
mod snapshot;
mod task;

pub use action::{Action, Client, EndReason, Input, TaskEnd};
pub use history::{Ask, Context, Counted, Entry, History, Member, Room, Said, TooLong, ToolCalls, Turn};
pub use message::{Ack, Body, ClientMessage, Code, Complete, DropReason, Message, Notice, Problem, Prompt};
pub use settings::{DEFERRED_QUEUES, QueuePolicy, ReplayBounds, Settings};
pub use snapshot::{Noted, Snapshot};
pub use task::{Place, Places, Task};

use std::sync::Arc;
use std::time::Duration;

use self::outbox::Outbox;
use self::pace::Pace;
use self::queue::{Queue, Receipt};
use self::receipts::Receipts;
use crate::clock::Moment;
use crate::failure::Failure;
use crate::id::{SessionId, TaskId};

/// How long a new connection may take to say RESUME before it is told that it has a new session: a round trip on a bad network. The first
/// message ends the wait.
pub const GREETING: Duration = Duration::from_secs(1);
/// When a refused client may come back, where no answer has told yet how long one takes.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// One session.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    settings: Arc<Settings>,
    places: Places,
    client: Client,
    link: Link,
    greeting: Greeting,
    queue: Queue,
    running: Option<Running>,
    receipts: Receipts,
    pace: Pace,
    /// Counts RESETs.
    conversation: u64,
    /// Of the running task's conversation, or of the last one's.
    history: History,
    history_of: u64,
    outbox: Outbox,
    /// Of the client's last message, or of the last task's end.
    active: Moment,
    draining: bool,
}

/// Whether somebody reads.
#[derive(Debug, Clone, Copy)]
enum Link {
    /// A connection is there.
    Up {
        /// The peer's last sign of life.
        heard: Moment,
        /// It was asked for another.
        pinged: bool,
    },
    /// It was lost at this moment, and another may come.
    Down(Moment),
    /// The session is over.
    Over,
}

/// Whether the client still has to be told which session this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeting {
    /// At its first message, or at this moment: if that message is RESUME, it is another session.
    Due(Moment),
    /// It was told, or does not ask.
    Done,
}

#[derive(Debug)]
struct Running {
    receipt: Receipt,
    prompt: Prompt,
    since: Moment,
    /// The client was told a part of the answer.
    shown: bool,
    /// The shell was asked to end it.
    cancelled: bool,
}

/// The task that runs, as the shell may need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunningTask<'a> {
    /// Which.
    pub task: TaskId,
    /// What it asks.
    pub prompt: &'a Prompt,
    /// The client was told a part of the answer.
    pub shown: bool,
    /// The shell was asked to end it.
    pub cancelled: bool,
}

impl Session {
    /// The session of a new connection. `id` was never used before.
    ///
    /// `places` are those of the whole gateway.
    #[must_use]
    pub fn new(id: SessionId, client: Client, settings: Arc<Settings>, places: Places, now: Moment) -> Self {
        Self {
            id,
            outbox: Outbox::new(settings.replay),
            settings,
            places,
            client,
            link: Link::Up { heard: now, pinged: false },
            greeting: match client {
                Client::Plain => Greeting::Done,
                Client::Resumable => Greeting::Due(now + GREETING),
            },
            queue: Queue::default(),
            running: None,
            receipts: Receipts::default(),
            pace: Pace::default(),
            conversation: 0,
            history: History::default(),
            history_of: 0,
            active: now,
            draining: false,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The conversation that the running task, or the next one, goes on with.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The task that runs.
    #[must_use]
    pub fn running(&self) -> Option<RunningTask<'_>> {
        let Running { receipt, prompt, shown, cancelled, .. } = self.running.as_ref()?;
        Some(RunningTask { task: receipt.task, prompt, shown: *shown, cancelled: *cancelled })
    }

    /// How many tasks wait, beside the one that runs.
    #[must_use]
    pub fn queue_depth(&self) -> usize {
        self.queue.len()
    }

    /// Whether the running task's answer may go on. Where not, the shell leaves the provider's stream unread until it may: nobody is
    /// connected, and what more comes would push out of the replay what the client still has to see.
    #[must_use]
    pub fn takes_output(&self) -> bool {
        !matches!(self.link, Link::Down(_)) || self.outbox.has_room()
    }

    /// [`Action::End`] was given: no input changes anything any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.link, Link::Over)
    }

    /// Decides on something that happened at `now`, and appends what to do to `out`.
    pub fn handle(&mut self, input: Input, now: Moment, out: &mut Vec<Action>) {
        if self.is_over() {
            return;
        }
        match input {
            Input::Message { message, fresh } => self.message(message, fresh, now, out),
            Input::Invalid(reason) => self.invalid(reason, now, out),
            Input::Refuse { prompt, why } => self.refuse(&prompt, why, now, out),
            Input::Heard => self.heard(now),
            Input::Token { task, data } if self.runs(task) => {
                self.running.iter_mut().for_each(|running| running.shown = true);
                self.say(Body::Token { task, data }, out);
            }
            Input::Notice { task, message, tool_calls } if self.runs(task) => {
                self.say(Body::Notice(Box::new(Notice { task, message, position: None, eta: None, tool_calls })), out);
            }
            Input::Ended { task, end } if self.runs(task) => self.ended(end, now, out),
            Input::Token { .. } | Input::Notice { .. } | Input::Ended { .. } => {}
            Input::SocketLost => self.connection_lost(EndReason::ConnectionLost, now, out),
            Input::Closed => self.end(EndReason::Closed, out),
            Input::Resumed { last_seq, client } => self.resumed(last_seq, client, now, out),
            Input::NotResumed => self.greet(out),
            Input::Unanswered => self.unanswered(out),
            Input::Drain => self.drain(out),
            Input::DrainOver => self.drain_over(out),
            Input::Tick => self.tick(now, out),
        }
    }

    /// Says something that a resume repeats.
    fn say(&mut self, body: Body, out: &mut Vec<Action>) {
        let seq = self.outbox.push(&body, self.client == Client::Resumable);
        self.send(Message::Numbered { seq, body }, out);
    }

    fn send(&self, message: Message, out: &mut Vec<Action>) {
        if matches!(self.link, Link::Up { .. }) {
            out.push(Action::Send(message));
        }
    }

    /// Tells the client which session it has: not the one that it asked for, if it asked for one.
    fn greet(&mut self, out: &mut Vec<Action>) {
        self.greeting = Greeting::Done;
        self.send(self.introduction(false), out);
    }

    fn introduction(&self, resumed: bool) -> Message {
        Message::Session { session: self.id, resumed, expires_in: self.settings.resume_ttl }
    }

    fn heard(&mut self, now: Moment) {
        if let Link::Up { heard, pinged } = &mut self.link {
            (*heard, *pinged) = (now, false);
        }
    }

    fn runs(&self, task: TaskId) -> bool {
        self.running.as_ref().is_some_and(|running| running.receipt.task == task)
    }

    fn is_idle(&self) -> bool {
        self.running.is_none() && self.queue.is_empty()
    }

    /// Starts the next task if none runs, with the conversation that it was asked in.
    fn go_on(&mut self, now: Moment, out: &mut Vec<Action>) {
        if self.running.is_some() {
            return;
        }
        let next = self.queue.pop();
        let conversation = next.as_ref().map_or(self.conversation, |next| next.conversation);
        if self.history_of != conversation {
            self.history_of = conversation;
            self.history.clear();
        }
        if let Some(next) = next {
            self.running =
                Some(Running { receipt: next.receipt, prompt: next.task.prompt.clone(), since: now, shown: false, cancelled: false });
            out.push(Action::Start(next.task));
        }
    }

    fn ended(&mut self, end: TaskEnd, now: Moment, out: &mut Vec<Action>) {
        let Some(Running { receipt, since, .. }) = self.running.take() else { return };
        let task = receipt.task;
        self.receipts.keep(receipt);
        self.active = now;
        match end {
            TaskEnd::Completed { usage, stream, turn } => {
                // One that begins and ends at the same moment is heard of again, and nobody knows how long it took.
                if now > since {
                    self.pace.note(now.since(since));
                }
                if let Some(turn) = turn {
                    self.history.push(turn, self.settings.history_bytes);
                }
                self.say(Body::Complete(Box::new(Complete { task, usage, stream })), out);
            }
            TaskEnd::Failed { failure, message, partial, retry_after, stream } => {
                let code = Code::Failure(failure);
                self.complain(Problem { task: Some(task), id: None, code, message, partial, retry_after, stream }, out);
            }
        }
        self.go_on(now, out);
        self.end_if_drained(out);
    }

    fn complain(&mut self, problem: Problem, out: &mut Vec<Action>) {
        self.say(Body::Error(Box::new(problem)), out);
    }

    fn connection_lost(&mut self, reason: EndReason, now: Moment, out: &mut Vec<Action>) {
        match self.link {
            // Of a session that nobody was told about, nobody can ask for its resumption.
            Link::Up { .. } if self.client == Client::Resumable && self.greeting == Greeting::Done && !self.draining => {
                self.link = Link::Down(now);
                self.outbox.connection_lost();
            }
            Link::Up { .. } => self.end(reason, out),
            Link::Down(_) | Link::Over => {}
        }
    }

    fn resumed(&mut self, last_seq: u64, client: Client, now: Moment, out: &mut Vec<Action>) {
        let Some(missed) = self.outbox.after(last_seq) else { return self.end(EndReason::Gap, out) };
        let missed: Vec<(u64, Body)> = missed.collect();
        self.client = client;
        self.link = Link::Up { heard: now, pinged: false };
        self.greeting = Greeting::Done;
        self.active = now;
        self.send(self.introduction(true), out);
        out.extend(missed.into_iter().map(|(seq, body)| Action::Send(Message::Numbered { seq, body })));
    }

    /// The client is sent away to ask again: a new session now would be the end of the one that it has.
    fn unanswered(&mut self, out: &mut Vec<Action>) {
        let message = Some(Arc::from("the session cannot be looked for right now; connect again and say `RESUME` in a moment"));
        let problem = Problem { message, retry_after: Some(RETRY_AFTER), ..Problem::of(Code::Failure(Failure::GatewayOverloaded)) };
        self.send(Message::Refused(Box::new(problem)), out);
        self.end(EndReason::Unanswered, out);
    }

    fn drain(&mut self, out: &mut Vec<Action>) {
        self.draining = true;
        match (&self.running, self.link) {
            (Some(running), Link::Up { .. }) => {
                let task = running.receipt.task;
                let message = Arc::from("the gateway is shutting down: it finishes what it accepted and takes no new prompts");
                self.say(Body::Notice(Box::new(Notice { task, message, position: None, eta: None, tool_calls: None })), out);
            }
            _ => self.end(EndReason::Drained, out),
        }
    }

    fn drain_over(&mut self, out: &mut Vec<Action>) {
        self.draining = true;
        while let Some(waiting) = self.queue.pop() {
            let task = Some(waiting.task.id);
            self.receipts.keep(waiting.receipt);
            self.complain(Problem { task, ..refused_by_drain() }, out);
        }
        self.cancel_running(Failure::GatewayDraining, out);
        self.end_if_drained(out);
    }

    fn end_if_drained(&mut self, out: &mut Vec<Action>) {
        if self.draining && self.is_idle() {
            self.end(EndReason::Drained, out);
        }
    }

    /// Asks the shell to end the running task, once.
    fn cancel_running(&mut self, why: Failure, out: &mut Vec<Action>) {
        if let Some(running) = self.running.as_mut().filter(|running| !running.cancelled) {
            running.cancelled = true;
            out.push(Action::Cancel { task: running.receipt.task, why });
        }
    }

    /// Ends the session and frees what it holds at once.
    fn end(&mut self, reason: EndReason, out: &mut Vec<Action>) {
        let why = if reason == EndReason::Drained { Failure::GatewayDraining } else { Failure::ClientGone };
        self.cancel_running(why, out);
        self.running = None;
        self.queue = Queue::default();
        self.receipts = Receipts::default();
        self.history.clear();
        self.outbox.forget();
        self.link = Link::Over;
        out.push(Action::End(reason));
    }
}

/// What a prompt reads that comes, or still waits, when the gateway shuts down: another gateway, or this one soon, will take it.
fn refused_by_drain() -> Problem {
    Problem { retry_after: Some(RETRY_AFTER), ..Problem::of(Code::Failure(Failure::GatewayDraining)) }
}

#[cfg(test)]
mod tests;

//! What each message of the client does.

use std::sync::Arc;
use std::time::Duration;

use super::message::{Ack, Body, ClientMessage, Code, DropReason, Message, Notice, Problem, Prompt};
use super::queue::{Receipt, Room, Waiting};
use super::task::{Place, Task};
use super::{Action, Greeting, RETRY_AFTER, Session, refused_by_drain};
use crate::clock::Moment;
use crate::failure::Failure;
use crate::id::{SessionId, TaskId};

impl Session {
    /// The client sent a message. `fresh` is the id of the task that a prompt becomes.
    pub(super) fn message(&mut self, message: ClientMessage, fresh: TaskId, now: Moment, out: &mut Vec<Action>) {
        self.spoke(&message, now, out);
        match message {
            ClientMessage::Prompt(prompt) => self.prompt(prompt, fresh, now, out),
            ClientMessage::Cancel(task) => self.cancel(task, out),
            ClientMessage::Resume { session, last_seq } => self.resume(session, last_seq, now, out),
            ClientMessage::Reset => {
                self.conversation += 1;
                self.go_on(now, out);
            }
            ClientMessage::Ping => self.send(Message::Pong, out),
        }
    }

    /// The client sent a prompt that has nowhere to go. Nothing came of it, so there is nothing that a resume would have to repeat.
    pub(super) fn refuse(&mut self, prompt: &Prompt, why: Failure, now: Moment, out: &mut Vec<Action>) {
        self.heard(now);
        self.active = now;
        self.greet_once(out);
        let message = Some(Arc::from("prompts cannot be queued right now; send it again in a moment"));
        let (id, retry_after) = (prompt.id.clone(), Some(RETRY_AFTER));
        self.send(Message::Refused(Box::new(Problem { id, message, retry_after, ..Problem::of(Code::Failure(why)) })), out);
    }

    /// The client sent what is no message.
    pub(super) fn invalid(&mut self, reason: Arc<str>, now: Moment, out: &mut Vec<Action>) {
        self.heard(now);
        self.greet_once(out);
        self.complain(Problem { message: Some(reason), ..Problem::of(Code::InvalidMessage) }, out);
    }

    fn spoke(&mut self, message: &ClientMessage, now: Moment, out: &mut Vec<Action>) {
        self.heard(now);
        self.active = now;
        if !matches!(message, ClientMessage::Resume { .. }) {
            self.greet_once(out);
        }
    }

    pub(super) fn greet_once(&mut self, out: &mut Vec<Action>) {
        if self.greeting != Greeting::Done {
            self.greet(out);
        }
    }

    fn prompt(&mut self, prompt: Prompt, fresh: TaskId, now: Moment, out: &mut Vec<Action>) {
        if let Some(receipt) = prompt.id.as_deref().and_then(|id| self.receipt(id)) {
            return self.say(Body::Ack(self.ack(receipt)), out);
        }
        if self.draining {
            return self.complain(Problem { id: prompt.id, ..refused_by_drain() }, out);
        }
        match self.queue.make_room(self.running.is_none(), &self.settings, &self.places) {
            Room::Free(place) => self.accept(prompt, fresh, place, now, out),
            Room::Instead(oldest, place) => {
                self.dropped(oldest, DropReason::QueueFull, out);
                self.accept(prompt, fresh, place, now, out);
            }
            Room::Full => {
                let retry_after = self.until_start(1, now).map_or(RETRY_AFTER, |wait| wait.max(RETRY_AFTER));
                self.say(Body::RateLimited { queue_depth: self.queue.len(), retry_after, id: prompt.id }, out);
            }
        }
    }

    fn accept(&mut self, prompt: Prompt, id: TaskId, place: Place, now: Moment, out: &mut Vec<Action>) {
        let waits = self.running.is_some();
        let position = self.queue.len() + 1;
        let receipt = Receipt { task: id, queue_depth: if waits { position } else { 0 }, id: prompt.id.clone() };
        self.say(Body::Ack(self.ack(&receipt)), out);
        let task = Task { id, prompt, accepted: now, place };
        self.queue.push(Waiting { task, receipt, conversation: self.conversation });
        if waits {
            self.tell_position(id, position, now, out);
        }
        self.go_on(now, out);
    }

    fn tell_position(&mut self, task: TaskId, position: usize, now: Moment, out: &mut Vec<Action>) {
        let message = Arc::from(if position > self.settings.max_queue_size {
            "the queue is full: the task runs later, in its order"
        } else {
            "the task waits for those before it"
        });
        let eta = self.until_start(position, now);
        self.say(Body::Notice(Box::new(Notice { task, message, position: Some(position), eta, tool_calls: None })), out);
    }

    fn cancel(&mut self, task: Option<TaskId>, out: &mut Vec<Action>) {
        if task.is_some_and(|task| self.runs(task)) {
            return self.cancel_running(Failure::Cancelled, out);
        }
        match task.and_then(|task| self.queue.remove(task)) {
            Some(waiting) => self.dropped(waiting.receipt, DropReason::Cancelled, out),
            None => self.complain(Problem { task, ..Problem::of(Code::TaskNotFound) }, out),
        }
    }

    fn resume(&mut self, session: Option<SessionId>, last_seq: u64, now: Moment, out: &mut Vec<Action>) {
        if session == Some(self.id) {
            self.resumed(last_seq, self.client, now, out);
        } else if self.outbox.last_seq() == 0 {
            out.push(Action::Resume { session, last_seq });
        } else {
            let reason = Arc::from("`RESUME` has to come before every other message of its connection; connect anew and send it first");
            self.complain(Problem { message: Some(reason), ..Problem::of(Code::InvalidMessage) }, out);
        }
    }

    fn dropped(&mut self, receipt: Receipt, reason: DropReason, out: &mut Vec<Action>) {
        let task = receipt.task;
        self.receipts.keep(receipt);
        self.say(Body::Dropped { task, reason }, out);
    }

    fn ack(&self, receipt: &Receipt) -> Ack {
        Ack { task: receipt.task, queue_depth: receipt.queue_depth, session: self.id, id: receipt.id.clone() }
    }

    /// The prompt that was accepted under this id of the client's.
    fn receipt(&self, id: &str) -> Option<&Receipt> {
        let running = self.running.iter().map(|running| &running.receipt);
        let waiting = self.queue.iter().map(|waiting| &waiting.receipt);
        running.chain(waiting).chain(self.receipts.iter()).find(|receipt| receipt.id.as_deref() == Some(id))
    }

    fn until_start(&self, position: usize, now: Moment) -> Option<Duration> {
        let running = self.running.as_ref().map_or(Duration::ZERO, |running| now.since(running.since));
        self.pace.until_start(position, running)
    }
}

//! A session as another gateway needs it to go on where this one stopped.
//!
//! Two things bring it there: a [`Snapshot`], and what happened since. Of that, the answers of tasks are in a log anyway; what the client said
//! and which tasks ended without a worker is [`Noted`]. Played again in the same order, they lead to the same decisions, and so to the same numbers on the same messages.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::history::History;
use super::message::{ClientMessage, Prompt};
use super::outbox::Outbox;
use super::pace::Pace;
use super::queue::{Queue, Receipt, Waiting};
use super::receipts::Receipts;
use super::settings::Settings;
use super::task::{Places, Task};
use super::{Action, Client, Greeting, Input, Link, Running, Session, TaskEnd};
use crate::clock::Moment;
use crate::id::{SessionId, TaskId};

/// A whole session. Moments are ages in it, because clocks of two machines have no origin in common.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    id: SessionId,
    client: Client,
    waiting: Vec<KeptTask>,
    running: Option<KeptTask>,
    receipts: Receipts,
    pace: Pace,
    conversation: u64,
    history: History,
    history_of: u64,
    outbox: Outbox,
}

/// A task that waits or runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeptTask {
    receipt: Receipt,
    prompt: Prompt,
    /// Since it was accepted, or since it runs.
    age: Duration,
    conversation: u64,
    shown: bool,
    cancelled: bool,
}

/// What happened to a session and stands in no log of its tasks' answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Noted {
    /// A message.
    Message {
        /// What it says.
        message: ClientMessage,
        /// As in [`Input::Message`].
        fresh: TaskId,
        /// There was room for one more task in the gateway.
        has_room: bool,
    },
    /// The client said something that is no message.
    Invalid(Arc<str>),
    /// A task ended without a worker.
    Ended {
        /// Which.
        task: TaskId,
        /// How.
        end: TaskEnd,
    },
}

impl Session {
    /// All of it, at `now`.
    #[must_use]
    pub fn snapshot(&self, now: Moment) -> Snapshot {
        let waiting = |waiting: &Waiting| KeptTask {
            receipt: waiting.receipt.clone(),
            prompt: waiting.task.prompt.clone(),
            age: now.since(waiting.task.accepted),
            conversation: waiting.conversation,
            shown: false,
            cancelled: false,
        };
        let running = |running: &Running| KeptTask {
            receipt: running.receipt.clone(),
            prompt: running.prompt.clone(),
            age: now.since(running.since),
            conversation: self.history_of,
            shown: running.shown,
            cancelled: running.cancelled,
        };
        Snapshot {
            id: self.id,
            client: self.client,
            waiting: self.queue.iter().map(waiting).collect(),
            running: self.running.as_ref().map(running),
            receipts: self.receipts.clone(),
            pace: self.pace,
            conversation: self.conversation,
            history: self.history.clone(),
            history_of: self.history_of,
            outbox: self.outbox.clone(),
        }
    }

    /// The session of `snapshot`, without a connection. The running task is where it was: whoever restores it knows where its answer comes from.
    #[must_use]
    pub fn restore(snapshot: Snapshot, settings: Arc<Settings>, places: Places, now: Moment) -> Self {
        let mut queue = Queue::default();
        for KeptTask { receipt, prompt, age, conversation, .. } in snapshot.waiting {
            let task = Task { id: receipt.task, prompt, accepted: now - age, place: places.take_anyway() };
            queue.push(Waiting { task, receipt, conversation });
        }
        let running = |kept: KeptTask| Running {
            receipt: kept.receipt,
            prompt: kept.prompt,
            since: now - kept.age,
            shown: kept.shown,
            cancelled: kept.cancelled,
        };
        Self {
            id: snapshot.id,
            outbox: snapshot.outbox.bounded(settings.replay),
            settings,
            places,
            client: snapshot.client,
            link: Link::Down(now),
            greeting: Greeting::Done,
            queue,
            running: snapshot.running.map(running),
            receipts: snapshot.receipts,
            pace: snapshot.pace,
            conversation: snapshot.conversation,
            history: snapshot.history,
            history_of: snapshot.history_of,
            active: now,
            draining: false,
        }
    }

    /// A session of which there is nothing but what was noted since its beginning.
    #[must_use]
    pub fn forgotten(id: SessionId, settings: Arc<Settings>, places: Places, now: Moment) -> Self {
        let mut session = Self::new(id, Client::Resumable, settings, places, now);
        (session.greeting, session.link) = (Greeting::Done, Link::Down(now));
        session
    }

    /// What to note about `input` before anybody is told what follows from it. `None` where nothing has to be: it changes nothing that a
    /// resume would miss, or it is in the log of the task's answer. Of a task that ended without a worker the shell knows, and notes
    /// [`Noted::Ended`].
    #[must_use]
    pub fn note(&self, input: &Input) -> Option<Noted> {
        match input {
            Input::Message { message: ClientMessage::Ping | ClientMessage::Resume { .. }, .. } => None,
            Input::Message { message, fresh } => {
                Some(Noted::Message { message: message.clone(), fresh: *fresh, has_room: self.places.has_room() })
            }
            Input::Invalid(reason) => Some(Noted::Invalid(Arc::clone(reason))),
            _ => None,
        }
    }

    /// Decides again what was decided then. Nothing of it is to be sent; what it started or cancelled is in `out`.
    pub fn replay(&mut self, noted: Noted, now: Moment, out: &mut Vec<Action>) {
        match noted {
            Noted::Message { message, fresh, has_room } => {
                let seen = self.places.seen_as(has_room);
                let places = std::mem::replace(&mut self.places, seen);
                self.handle(Input::Message { message, fresh }, now, out);
                self.places = places;
            }
            Noted::Invalid(reason) => self.handle(Input::Invalid(reason), now, out),
            Noted::Ended { task, end } => self.handle(Input::Ended { task, end }, now, out),
        }
    }
}

#[cfg(test)]
mod tests;

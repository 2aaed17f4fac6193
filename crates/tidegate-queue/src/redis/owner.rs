//! The owner of one session.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{Script, ToRedisArgs};
use tidegate_core::id::{SessionId, TaskId};
use tokio::sync::watch;

use super::entries::{Position, id};
use super::follow::Followed;
use super::scripts::SCRIPTS;
use super::{Home, verdict};
use crate::error::QueueError;
use crate::log::Output;

/// The right to decide about one session.
#[derive(Debug)]
pub(crate) struct Owner {
    home: Arc<Home>,
    session: SessionId,
    /// Its token.
    name: Arc<str>,
    /// Counts its commands.
    op: u64,
    /// The last output that was returned, or where the session was taken over.
    read: Position,
    /// How much was said in the session until there.
    said: u64,
    /// Whether the last journal was written is not known.
    in_doubt: bool,
    outputs: Followed,
    outages: watch::Receiver<u64>,
}

impl Owner {
    pub(super) fn new(home: Arc<Home>, session: SessionId, ttl: Duration, name: String, (at, said): (Position, u64)) -> Self {
        let name: Arc<str> = name.into();
        let outputs = home.process.follows.add(session, Arc::clone(&name), ttl, at);
        let outages = home.process.link.outages();
        Self { home, session, name, op: 0, read: at, said, in_doubt: false, outputs, outages }
    }

    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    pub(crate) async fn next(&mut self) -> Result<Output, QueueError> {
        tokio::select! {
            biased;
            next = self.outputs.next() => {
                let (at, output) = next?;
                self.read = at;
                self.said += output.weight();
                if self.outputs.has_room_again() {
                    self.home.process.follows.touch(self.session);
                }
                Ok(output)
            }
            // The sender lives as long as the process.
            Ok(()) = self.outages.changed() => Err(QueueError::Unavailable("the server has been gone for some seconds".to_owned())),
        }
    }

    pub(crate) fn taken(&mut self) {
        let process = &self.home.process;
        // Told by halves, so that nobody waits for the word while there is half a window left.
        if self.outputs.taken(self.said) >= process.settings.window.div_ceil(2) {
            process.follows.tell(self.session);
        }
    }

    pub(crate) async fn journal(&mut self, entries: &[Bytes]) -> Result<(), QueueError> {
        if self.in_doubt {
            return Err(QueueError::InDoubt);
        }
        self.in_doubt = true;
        let entries: Vec<&[u8]> = entries.iter().map(|entry| &entry[..]).collect();
        let written = self.command(&SCRIPTS.journal, (id(self.read), entries)).await;
        self.in_doubt = matches!(written, Err(QueueError::Unavailable(_)));
        written
    }

    pub(crate) async fn snapshot(&mut self, state: Bytes) -> Result<(), QueueError> {
        self.command(&SCRIPTS.snapshot, (id(self.read), &state[..])).await?;
        self.in_doubt = false;
        Ok(())
    }

    pub(crate) async fn submit(&mut self, task: TaskId, payload: Bytes) -> Result<(), QueueError> {
        let bound = self.home.process.settings.global_max_size;
        self.command(&SCRIPTS.submit, (task.to_string(), &payload[..], bound)).await
    }

    pub(crate) async fn cancel(&mut self, task: TaskId, why: Bytes) -> Result<(), QueueError> {
        self.command(&SCRIPTS.cancel, (task.to_string(), &why[..])).await
    }

    pub(crate) async fn end(mut self) -> Result<(), QueueError> {
        self.command(&SCRIPTS.end, None::<&str>).await
    }

    /// Runs a script that only the owner may run.
    async fn command(&mut self, script: &Script, arguments: impl ToRedisArgs) -> Result<(), QueueError> {
        self.op += 1;
        let process = &self.home.process;
        let mut call = process.call(script, self.session);
        call.arg(&*self.name).arg(self.op).arg(arguments);
        let outcome = verdict(&process.run::<String>(&call).await?);
        self.outputs.answered(self.op);
        if let Err(why @ (QueueError::Fenced | QueueError::Gone)) = &outcome {
            process.follows.end(self.session, &self.name, why.clone());
        }
        outcome
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.home.process.follows.end(self.session, &self.name, QueueError::Fenced);
    }
}

//! How those who wait for an open row hear of it.
//!
//! To wake an event loop from another thread costs a system call, and to wake a task from within its own loop nothing. So of those who wait on one
//! thread the writer tells a single one, who tells the others.

use std::thread::{self, ThreadId};

use tokio::sync::oneshot;

use crate::LedgerError;
use crate::entry::Entry;

/// Whom to tell.
#[derive(Debug)]
pub(crate) struct Reply {
    waits_on: ThreadId,
    sender: oneshot::Sender<Told>,
}

/// What comes of it.
pub(crate) type Answer = oneshot::Receiver<Told>;

/// What one of them is told.
#[derive(Debug)]
pub(crate) struct Told {
    /// The entry whose row is durable, or why there is none.
    pub(crate) result: Result<Entry, LedgerError>,
    /// Told when this is dropped, read or not.
    _others: Others,
}

/// A reply of this thread, and its answer.
pub(crate) fn channel() -> (Reply, Answer) {
    let (sender, answer) = oneshot::channel();
    (Reply { waits_on: thread::current().id(), sender }, answer)
}

impl Reply {
    /// Tells that it is not possible now.
    pub(crate) fn refuse(self) {
        self.send(Err(LedgerError::Unavailable), Others::default());
    }

    /// Where nobody takes it, the entry is dropped, and so the stream's end is the next row to write.
    fn send(self, result: Result<Entry, LedgerError>, others: Others) {
        drop(self.sender.send(Told { result, _others: others }));
    }
}

/// Entries to be told, by the thread on which somebody waits for them.
#[derive(Debug, Default)]
pub(crate) struct Tidings(Vec<Others>);

impl Tidings {
    pub(crate) fn add(&mut self, reply: Reply, entry: Entry) {
        match self.0.iter_mut().find(|others| others.wait_on(reply.waits_on)) {
            Some(others) => others.0.push((reply, entry)),
            None => self.0.push(Others(vec![(reply, entry)])),
        }
    }

    /// Wakes each thread once.
    pub(crate) fn tell(self) {
        for mut others in self.0 {
            if let Some((reply, entry)) = others.0.pop() {
                reply.send(Ok(entry), others);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Others(Vec<(Reply, Entry)>);

impl Others {
    fn wait_on(&self, thread: ThreadId) -> bool {
        self.0.first().is_some_and(|(reply, _)| reply.waits_on == thread)
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for (reply, entry) in self.0.drain(..) {
            reply.send(Ok(entry), Self::default());
        }
    }
}

#[cfg(test)]
mod tests;

//! What the source remembers of its streams, and how the client asks for it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use anyhow::{Context, Result};
use tokio::net::TcpStream;

use crate::clock::now_ns;

/// `GET` it followed by a time stamp: how many events were written after that time.
pub(crate) const CONTROL_PATH: &str = "/count/";
/// Write stamps that are remembered: more than any figure asks back for.
const REMEMBERED: usize = 64 * 1024;

/// The source's own books.
#[derive(Default)]
pub(super) struct Count {
    open: Cell<u64>,
    idle_since: Cell<u64>,
    written: RefCell<VecDeque<u64>>,
    departed: RefCell<Vec<TcpStream>>,
}

impl Count {
    /// Counts a stream as open until the value is dropped.
    pub(super) fn open(&self) -> OpenStream<'_> {
        self.open.set(self.open.get() + 1);
        OpenStream(self)
    }

    /// Remembers that an event was written at `now`.
    pub(super) fn wrote(&self, now: u64) {
        let mut written = self.written.borrow_mut();
        if written.len() == REMEMBERED {
            written.pop_front();
        }
        written.push_back(now);
    }

    /// Takes a connection whose peer left, and closes it once no stream is open.
    ///
    /// Closing takes longer than noticing: done at once, it would make the source the slow one when thousands leave together.
    pub(super) fn departed(&self, connection: TcpStream) {
        self.departed.borrow_mut().push(connection);
        if self.open.get() == 0 {
            self.departed.take();
        }
    }

    /// The books as they are, with the events written after `since`.
    pub(super) fn snapshot(&self, since: u64) -> SourceCount {
        let events_since = self.written.borrow().iter().rev().take_while(|&&at| at > since).count();
        SourceCount {
            open: self.open.get(),
            idle_since: self.idle_since.get(),
            events_since: u64::try_from(events_since).unwrap_or(u64::MAX),
        }
    }
}

/// One open stream of the source.
pub(super) struct OpenStream<'a>(&'a Count);

impl Drop for OpenStream<'_> {
    fn drop(&mut self) {
        let open = self.0.open.get() - 1;
        self.0.open.set(open);
        if open == 0 {
            self.0.idle_since.set(now_ns());
        }
    }
}

/// What the source answers when it is asked how it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceCount {
    /// Streams whose peer is still there.
    pub(crate) open: u64,
    /// When the last stream ended, by [`now_ns`].
    pub(crate) idle_since: u64,
    /// Events written after the time asked for (at most the last 65,536).
    pub(crate) events_since: u64,
}

impl SourceCount {
    /// The line that [`SourceCount::parse`] reads.
    pub(super) fn line(&self) -> String {
        format!("{} {} {}", self.open, self.idle_since, self.events_since)
    }

    /// # Errors
    ///
    /// When the text is not a source's answer.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>().context("the source's count is not numbers")?;
        let [open, idle_since, events_since] = numbers[..].try_into().context("the source's count is not three numbers")?;
        Ok(Self { open, idle_since, events_since })
    }
}

//! Events that lie side by side.

use bytes::Bytes;

use super::event::RawEvent;

/// Joins events that lie side by side in one block into one slice of it: what came in one read goes out in one write, without a copy.
#[derive(Debug, Default)]
pub struct Run {
    /// The block from the run's first byte on.
    tail: Bytes,
    /// How much of `tail` is the run.
    len: usize,
}

impl Run {
    /// An empty run.
    #[must_use]
    pub const fn new() -> Self {
        Self { tail: Bytes::new(), len: 0 }
    }

    /// Adds `event`. If it is not the neighbour of what is there, that is returned and the event begins a new run.
    #[must_use = "the bytes of the run that ended have to go somewhere"]
    pub fn push(&mut self, event: RawEvent) -> Option<Bytes> {
        // Both blocks are alive, so the same place and length mean the same bytes.
        if self.tail.get(self.len..).is_some_and(|after| std::ptr::eq(after, &raw const *event.tail)) && self.len > 0 {
            self.len += event.len;
            return None;
        }
        let ended = self.take();
        (self.tail, self.len) = (event.tail, event.len);
        ended
    }

    /// Takes what is there, if anything.
    pub fn take(&mut self) -> Option<Bytes> {
        let Self { tail, len } = std::mem::take(self);
        match len {
            0 => None,
            len if len == tail.len() => Some(tail),
            len => Some(tail.slice(..len)),
        }
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// It holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

//! stub
use std::borrow::Cow;

use bytes::Bytes;

/// One whole event as it came.
#[derive(Debug, Clone)]
pub struct RawEvent {
    pub(crate) tail: Bytes,
    pub(crate) len: usize,
}

impl RawEvent {
    /// The event's bytes, its blank line included.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.tail.get(..self.len).unwrap_or_default()
    }
    /// The same as an owned slice of the block that they came in: no copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.tail.slice(..self.len)
    }
    /// The data: the values of its data lines, joined by LF. Borrowed when there is one line.
    #[must_use]
    pub fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(b"")
    }
    /// The value of its last `event` line.
    #[must_use]
    pub fn event_type(&self) -> Option<&[u8]> {
        None
    }
    /// It has a data line.
    #[must_use]
    pub fn has_data(&self) -> bool {
        false
    }
    /// It shows a client nothing: comments, blank lines, fields without data.
    #[must_use]
    pub fn is_comment(&self) -> bool {
        !self.has_data()
    }
    /// The body ended before the event's blank line came.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        false
    }
}

/// Joins events that lie side by side in one block into one slice, without a copy.
#[derive(Debug, Default)]
pub struct Run {
    tail: Bytes,
    len: usize,
}

impl Run {
    /// An empty run.
    #[must_use]
    pub const fn new() -> Self {
        Self { tail: Bytes::new(), len: 0 }
    }
    /// Adds `event`. Where it is not the neighbour of what is there, what was there is returned and a new run begins.
    pub fn push(&mut self, event: RawEvent) -> Option<Bytes> {
        let before = self.take();
        (self.tail, self.len) = (event.tail, event.len);
        before
    }
    /// Takes what is there.
    pub fn take(&mut self) -> Option<Bytes> {
        let len = std::mem::take(&mut self.len);
        let tail = std::mem::take(&mut self.tail);
        (len > 0).then(|| tail.slice(..len))
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

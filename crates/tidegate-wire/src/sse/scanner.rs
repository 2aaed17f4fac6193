//! stub
use bytes::Bytes;

use super::event::RawEvent;

/// An event is longer than the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// Finds whole events in a stream of bytes that may be split anywhere.
#[derive(Debug)]
pub struct Scanner {
    max_event_bytes: usize,
}

impl Scanner {
    /// A scanner at the start of a body.
    #[must_use]
    pub fn new(max_event_bytes: usize) -> Self {
        Self { max_event_bytes }
    }
    /// Appends bytes that arrived.
    pub fn push(&mut self, bytes: Bytes) {
        drop(bytes);
    }
    /// The next whole event, if one is there.
    #[expect(clippy::should_implement_trait, reason = "an iterator's end is final; here more may come")]
    pub fn next(&mut self) -> Result<Option<RawEvent>, TooLong> {
        if self.max_event_bytes == 0 { Err(TooLong) } else { Ok(None) }
    }
    /// At the end of the body: a last event without its blank line.
    pub fn finish(&mut self) -> Option<RawEvent> {
        None
    }
    /// Nothing half-read is kept, and no heap memory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        true
    }
}

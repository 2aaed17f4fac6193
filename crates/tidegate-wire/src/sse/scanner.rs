//! Cuts a body into events, however its bytes are split.

use std::fmt;

use bytes::{Buf, Bytes};

use super::cursor::Cursor;
use super::event::{self, RawEvent};

/// A byte order mark, legal once, before the first event.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// An event, or a line that never ends, is longer than the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event is longer than the bound")
    }
}

impl std::error::Error for TooLong {}

/// Finds whole events in a stream of bytes that may be split anywhere.
///
/// Lines end in LF, CRLF, CR or a mixture. A leading byte order mark is dropped, because some SDKs lose the first event after one. Between
/// events nothing is kept and no heap memory held.
#[derive(Debug)]
pub struct Scanner {
    max_event_bytes: usize,
    /// What arrived last and is not cut yet. Empty while something is held.
    block: Bytes,
    /// Half an event from earlier blocks and what came after it.
    held: Vec<u8>,
    /// How far the event at the front, of `held` or else of `block`, has been read.
    cursor: Cursor,
    /// Nothing was cut yet: a byte order mark may still come.
    at_start: bool,
    /// An LF that comes next is the second half of the CRLF that ended the last event.
    skips_lf: bool,
}

impl Scanner {
    /// A scanner at the start of a body. An event of more than `max_event_bytes` is refused.
    #[must_use]
    pub fn new(max_event_bytes: usize) -> Self {
        Self { max_event_bytes, block: Bytes::new(), held: Vec::new(), cursor: Cursor::default(), at_start: true, skips_lf: false }
    }

    /// Appends bytes that arrived. Events are slices of them, so `bytes` should be as large as the read was and no larger.
    ///
    /// Copies nothing when no half event is kept; else it copies `bytes` once, to the half event's end.
    pub fn push(&mut self, mut bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if std::mem::take(&mut self.skips_lf) && bytes.first() == Some(&b'\n') {
            bytes.advance(1);
        }
        if self.is_empty() {
            self.block = bytes;
            return;
        }
        if !self.block.is_empty() {
            self.held.reserve_exact(self.block.len() + bytes.len());
            self.held.extend_from_slice(&std::mem::take(&mut self.block));
        }
        self.held.extend_from_slice(&bytes);
    }

    /// The next whole event, if it has arrived.
    ///
    /// # Errors
    ///
    /// [`TooLong`], also while the event's end has not come yet. There is no going on after it.
    #[expect(clippy::should_implement_trait, reason = "an iterator that said None is over; here more may arrive")]
    pub fn next(&mut self) -> Result<Option<RawEvent>, TooLong> {
        if self.at_start && !self.pass_start() {
            return Ok(None);
        }
        let front = front(&self.held, &self.block);
        let Some(end) = self.cursor.find_end(front) else {
            return if front.len() > self.max_event_bytes { Err(TooLong) } else { Ok(None) };
        };
        if end.len > self.max_event_bytes {
            return Err(TooLong);
        }
        self.settle();
        self.skips_lf = end.takes_lf;
        let seen = std::mem::take(&mut self.cursor).seen;
        Ok(Some(event::cut(&mut self.block, end.len, seen)))
    }

    /// At the end of the body, after [`Self::next`] has answered `None`: a last event whose blank line never came, completed by one.
    ///
    /// `None` if nothing is left that carries data. Real parsers differ on such an event (protocols.md, 6.3), and some providers write one.
    pub fn finish(&mut self) -> Option<RawEvent> {
        self.settle();
        let lines = std::mem::take(&mut self.block);
        let event = RawEvent::unfinished(lines.into(), std::mem::take(&mut self.cursor));
        event.has_data().then_some(event)
    }

    /// No half event is kept, and no memory for one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.block.is_empty() && self.held.is_empty()
    }

    /// Drops a byte order mark. False while it is not clear yet whether there is one.
    fn pass_start(&mut self) -> bool {
        let front = front(&self.held, &self.block);
        if front.len() < BOM.len() && BOM.starts_with(front) {
            return false;
        }
        self.at_start = false;
        if front.starts_with(BOM) {
            self.settle();
            self.block.advance(BOM.len());
        }
        true
    }

    /// Makes a block of what was held, which costs no copy.
    fn settle(&mut self) {
        if !self.held.is_empty() {
            self.block = std::mem::take(&mut self.held).into();
        }
    }
}

/// What begins with the event at the front.
fn front<'a>(held: &'a [u8], block: &'a [u8]) -> &'a [u8] {
    if held.is_empty() { block } else { held }
}

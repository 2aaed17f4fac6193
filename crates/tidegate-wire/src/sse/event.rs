//! One event, as the bytes that came.

use std::borrow::Cow;

use bytes::{Buf, Bytes};

use super::cursor::{Cursor, Seen};
use super::line::{self, Field};

/// Where an event's data lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Data {
    /// It has none.
    #[default]
    None,
    /// In one line, from and to these offsets.
    Line {
        /// The first byte of the value.
        start: usize,
        /// The byte after its last.
        end: usize,
    },
    /// In several lines.
    Lines,
}

/// One whole event: its lines and its blank line. A blank line that ends nothing is an event of its own, so that a keepalive never waits
/// for what follows it.
///
/// It holds the block of bytes that it arrived in; cloning it, and taking its bytes, copies nothing.
#[derive(Debug, Clone)]
pub struct RawEvent {
    /// The block from the event's first byte on; [`super::Run`] sees by it that two events are neighbours.
    pub(super) tail: Bytes,
    /// How much of `tail` is the event.
    pub(super) len: usize,
    seen: Seen,
    unfinished: bool,
}

impl RawEvent {
    pub(super) fn new(tail: Bytes, len: usize, seen: Seen) -> Self {
        let event = Self { tail, len, seen, unfinished: false };
        if seen.bare_cr { event.with_line_feeds() } else { event }
    }

    /// From lines that a blank line may not have ended; what is missing of it is added. `cursor` stands where reading stopped.
    pub(super) fn unfinished(mut lines: Vec<u8>, mut cursor: Cursor) -> Self {
        loop {
            if let Some(end) = cursor.find_end(&lines) {
                return Self { unfinished: true, ..Self::new(lines.into(), end.len, cursor.seen) };
            }
            lines.push(b'\n');
        }
    }

    /// The event's bytes, its blank line included.
    ///
    /// They are those that came, with one exception: if any line ended in a bare CR, all its lines end in LF here, because a well-spread
    /// parser loses the last event of a stream of bare CRs (protocols.md, 1.4).
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.tail.get(..self.len).unwrap_or_default()
    }

    /// [`Self::bytes`] as a slice of the block that they came in.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if self.len == self.tail.len() { self.tail } else { self.tail.slice(..self.len) }
    }

    /// The values of its `data` lines, joined by LF; borrowed where there is one line. Empty without any.
    #[must_use]
    pub fn data(&self) -> Cow<'_, [u8]> {
        match self.seen.data {
            Data::None => Cow::Borrowed(b""),
            Data::Line { start, end } => Cow::Borrowed(self.bytes().get(start..end).unwrap_or_default()),
            Data::Lines => Cow::Owned(self.values(Field::Data).collect::<Vec<_>>().join(&b'\n')),
        }
    }

    /// The value of its last `event` line.
    #[must_use]
    pub fn event_type(&self) -> Option<&[u8]> {
        if self.seen.event_type { self.values(Field::Event).last() } else { None }
    }

    /// It has a `data` line, be it empty: a parser will dispatch it.
    #[must_use]
    pub fn has_data(&self) -> bool {
        self.seen.data != Data::None
    }

    /// It has nothing but comments and blank lines.
    #[must_use]
    pub fn is_comment(&self) -> bool {
        !self.seen.field
    }

    /// The body ended before its blank line came, so its last line may be half a line.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.unfinished
    }

    /// The event without `id` and `retry` lines; the same bytes where there are none.
    ///
    /// Once an SDK has seen an id, it takes the blank line of a comment for an event with empty data and fails (protocols.md, rules 4 and
    /// 5), so a provider's ids never reach a client.
    #[must_use]
    pub fn without_position(self) -> Self {
        if !self.seen.position {
            return self;
        }
        self.rewritten(|line| line::read(line).0 != Field::Position)
    }

    fn with_line_feeds(self) -> Self {
        self.rewritten(|_| true)
    }

    /// The lines that `keep` keeps, each ended by LF.
    fn rewritten(self, keep: impl Fn(&[u8]) -> bool) -> Self {
        let mut text = Vec::with_capacity(self.len);
        for line in self.lines().filter(|line| keep(line)) {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text.push(b'\n');
        let (mut cursor, len) = (Cursor::default(), text.len());
        cursor.find_end(&text);
        Self { tail: text.into(), len, seen: cursor.seen, unfinished: self.unfinished }
    }

    fn values(&self, wanted: Field) -> impl Iterator<Item = &[u8]> {
        self.lines().filter_map(move |line| {
            let (field, value) = line::read(line);
            (field == wanted).then(|| line.get(value..).unwrap_or_default())
        })
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        line::split(self.bytes()).filter(|line| !line.is_empty())
    }
}

/// Cuts the first `len` bytes off `block` as the event that `seen` describes.
pub(super) fn cut(block: &mut Bytes, len: usize, seen: Seen) -> RawEvent {
    // The last event takes the block along: one reference less to count, and an idle stream holds none.
    if len == block.len() {
        return RawEvent::new(std::mem::take(block), len, seen);
    }
    let tail = block.clone();
    block.advance(len);
    RawEvent::new(tail, len, seen)
}

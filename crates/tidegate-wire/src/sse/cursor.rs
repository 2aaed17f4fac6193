//! How far the event at the front of the stream has been read.

use memchr::memchr2;

use super::event::Data;
use super::line::{self, Field};

/// Reads one event line by line; bytes that were looked at are not looked at again when more arrive. All offsets count from the event's
/// first byte.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    /// Where the line begins that is being read.
    line: usize,
    /// No line end lies between `line` and here.
    searched: usize,
    /// The line before this one ended in a bare CR.
    after_bare_cr: bool,
    /// What was found.
    pub(super) seen: Seen,
}

/// What an event's lines are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Its data.
    pub(super) data: Data,
    /// It has an `event` line.
    pub(super) event_type: bool,
    /// It has an `id` or `retry` line.
    pub(super) position: bool,
    /// It has a line that is neither a comment nor blank.
    pub(super) field: bool,
    /// A line ends in a CR that no LF follows.
    pub(super) bare_cr: bool,
}

/// Where an event ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// The length of the event, its blank line included.
    pub(super) len: usize,
    /// It ends in a CR at the very end of what is there: an LF that comes next belongs to it.
    pub(super) takes_lf: bool,
}

impl Cursor {
    /// The event's end, once its blank line is in `bytes`.
    ///
    /// A CR at the end of `bytes` may be half of a CRLF, so it is left for later; but after a line that ended in a bare CR it is taken as
    /// the blank line at once, lest a stream of bare CRs be always one event late.
    pub(super) fn find_end(&mut self, bytes: &[u8]) -> Option<End> {
        loop {
            let rest = bytes.get(self.searched..)?;
            // The second LF of a blank line, nearly always: not worth a search.
            let offset = if rest.first() == Some(&b'\n') { Some(0) } else { memchr2(b'\n', b'\r', rest) };
            let Some(offset) = offset else {
                self.searched = bytes.len();
                return None;
            };
            let end = self.searched + offset;
            let is_blank = end == self.line;
            let (next, bare_cr, takes_lf) = match (bytes.get(end), bytes.get(end + 1)) {
                (Some(b'\n'), _) => (end + 1, false, false),
                (_, Some(b'\n')) => (end + 2, false, false),
                (_, Some(_)) => (end + 1, true, false),
                (_, None) if is_blank && self.after_bare_cr => (end + 1, true, true),
                (_, None) => {
                    self.searched = end;
                    return None;
                }
            };
            self.seen.bare_cr |= bare_cr;
            if is_blank {
                return Some(End { len: next, takes_lf });
            }
            self.read_line(bytes.get(self.line..end).unwrap_or_default());
            self.after_bare_cr = bare_cr;
            (self.line, self.searched) = (next, next);
        }
    }

    fn read_line(&mut self, line: &[u8]) {
        let (field, value) = line::read(line);
        self.seen.field |= field != Field::Comment;
        match field {
            Field::Data => {
                self.seen.data = match self.seen.data {
                    Data::None => Data::Line { start: self.line + value, end: self.line + line.len() },
                    Data::Line { .. } | Data::Lines => Data::Lines,
                }
            }
            Field::Event => self.seen.event_type = true,
            Field::Position => self.seen.position = true,
            Field::Comment | Field::Unknown => {}
        }
    }
}

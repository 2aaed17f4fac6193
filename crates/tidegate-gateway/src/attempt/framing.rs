//! Where the body of a provider's HTTP/1.1 answer ends.
//!
//! Strict on purpose: a length that cannot be trusted makes the answer a cut, and the connection is never used again.

use bytes::BytesMut;

/// Longest line of a chunk header or trailer, without its line feed.
const MAX_LINE: usize = 8 * 1024;

/// The framing of one body, fed in any split.
#[derive(Debug)]
pub struct Framing {
    state: State,
    /// An unfinished chunk header or trailer line.
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// This many bytes of the body are left.
    Length(u64),
    /// The body lasts until the connection closes.
    UntilClose,
    /// A chunk header comes next.
    ChunkHeader,
    /// This many bytes of a chunk are left.
    Chunk(u64),
    /// The line end after a chunk's data.
    ChunkEnd,
    /// Trailers, up to an empty line.
    Trailer,
    /// Complete.
    Done,
}

/// The body's framing is not HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the framing of the answer's body is broken")]
pub struct BadFraming;

impl Framing {
    /// A body of known length.
    #[must_use]
    pub fn length(length: u64) -> Self {
        Self::in_state(if length == 0 { State::Done } else { State::Length(length) })
    }

    /// A chunked body.
    #[must_use]
    pub fn chunked() -> Self {
        Self::in_state(State::ChunkHeader)
    }

    /// A body that ends with its connection.
    #[must_use]
    pub fn until_close() -> Self {
        Self::in_state(State::UntilClose)
    }

    fn in_state(state: State) -> Self {
        Self { state, line: Vec::new() }
    }

    /// The body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether a close of the connection here is the body's regular end.
    #[must_use]
    pub fn may_close(&self) -> bool {
        matches!(self.state, State::UntilClose | State::Done)
    }

    /// Takes the framing off `input` and appends the body's bytes to `body`. Answers how many bytes of `input` belonged to this answer;
    /// the rest came after its end.
    ///
    /// # Errors
    ///
    /// [`BadFraming`] where a chunk header is no hexadecimal length, a line end is missing or a line is too long.
    pub fn feed(&mut self, input: &[u8], body: &mut BytesMut) -> Result<usize, BadFraming> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            let rest = &input[at..];
            at += match self.state {
                State::UntilClose => {
                    body.extend_from_slice(rest);
                    rest.len()
                }
                State::Length(left) => self.take(rest, left, body, State::Length, State::Done),
                State::Chunk(left) => self.take(rest, left, body, State::Chunk, State::ChunkEnd),
                State::ChunkHeader | State::ChunkEnd | State::Trailer => self.take_line(rest)?,
                State::Done => 0,
            };
        }
        Ok(at)
    }

    fn take(&mut self, rest: &[u8], left: u64, body: &mut BytesMut, more: fn(u64) -> State, then: State) -> usize {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        body.extend_from_slice(&rest[..count]);
        let left = left - count as u64;
        self.state = if left == 0 { then } else { more(left) };
        count
    }

    /// Takes bytes up to the end of a line; once the line is whole, acts on it.
    fn take_line(&mut self, rest: &[u8]) -> Result<usize, BadFraming> {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            self.line.extend_from_slice(rest);
            return if self.line.len() > MAX_LINE { Err(BadFraming) } else { Ok(rest.len()) };
        };
        let taken = end + 1;
        if self.line.is_empty() {
            self.end_line(&rest[..end])?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&rest[..end]);
            self.end_line(&line)?;
        }
        Ok(taken)
    }

    fn end_line(&mut self, line: &[u8]) -> Result<(), BadFraming> {
        let line = line.strip_suffix(b"\r").filter(|line| line.len() < MAX_LINE).ok_or(BadFraming)?;
        self.state = match self.state {
            State::ChunkEnd if line.is_empty() => State::ChunkHeader,
            State::ChunkHeader => match chunk_length(line)? {
                0 => State::Trailer,
                length => State::Chunk(length),
            },
            State::Trailer if line.is_empty() => State::Done,
            State::Trailer => State::Trailer,
            _ => return Err(BadFraming),
        };
        Ok(())
    }
}

/// The hexadecimal length before an optional extension.
fn chunk_length(line: &[u8]) -> Result<u64, BadFraming> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    if digits.is_empty() || digits.len() > 15 {
        return Err(BadFraming);
    }
    digits.iter().try_fold(0_u64, |length, byte| {
        let digit = char::from(*byte).to_digit(16).ok_or(BadFraming)?;
        Ok(length * 16 + u64::from(digit))
    })
}

#[cfg(test)]
mod tests;

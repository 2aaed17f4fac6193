//! Reads an HTTP/1.1 answer as it comes: head, then a chunked or counted body. No more of HTTP than the peers here use.

use anyhow::{Context, Result, bail, ensure};
use memchr::{memchr, memmem};

/// Longer heads and chunk-size lines are refused: no peer here sends them.
const MAX_LINE: usize = 16 * 1024;
const MAX_HEADERS: usize = 32;

/// The state of one answer. Feed it the bytes of the connection; it hands on the body's.
#[derive(Default)]
pub(crate) struct AnswerReader {
    state: State,
    status: u16,
    /// A head or line of which only the beginning has come.
    line: Vec<u8>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    Counted(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    Complete,
}

impl AnswerReader {
    /// The status, 0 as long as the head has not come.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Whether the last byte of the answer has been read.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Reads `bytes` on and calls `on_body` for each piece of the body.
    ///
    /// # Errors
    ///
    /// Framing that is broken or unknown here, and bytes after the end of the answer.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut on_body: impl FnMut(&[u8])) -> Result<()> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Head => self.head(bytes)?,
                State::Counted(left) => {
                    let (rest, left) = self.body(bytes, left, &mut on_body);
                    self.state = if left == 0 { State::Complete } else { State::Counted(left) };
                    rest
                }
                State::Chunk(left) => {
                    let (rest, left) = self.body(bytes, left, &mut on_body);
                    self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                    rest
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => self.framing_line(bytes)?,
                State::Complete => bail!("{} bytes came after the end of the answer", bytes.len()),
            };
        }
        Ok(())
    }

    fn head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8]> {
        let known = self.line.len();
        self.line.extend_from_slice(bytes);
        let Some(end) = memmem::find(&self.line, b"\r\n\r\n") else {
            ensure!(self.line.len() < MAX_LINE, "the answer's head has no end");
            return Ok(&[]);
        };
        let length = end + 4;
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        answer.parse(&self.line[..length]).context("the answer's head is not HTTP/1.1")?;
        self.status = answer.code.context("the answer has no status")?;
        self.state = body_state(answer.headers)?;
        self.line.clear();
        Ok(&bytes[length - known..])
    }

    fn body<'a>(&self, bytes: &'a [u8], left: u64, on_body: &mut impl FnMut(&[u8])) -> (&'a [u8], u64) {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let (piece, rest) = bytes.split_at(take);
        on_body(piece);
        (rest, left - u64::try_from(take).unwrap_or(left))
    }

    fn framing_line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8]> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.line.extend_from_slice(bytes);
            ensure!(self.line.len() < MAX_LINE, "a chunk's size has no end");
            return Ok(&[]);
        };
        self.line.extend_from_slice(&bytes[..end]);
        let line = std::str::from_utf8(&self.line).context("a chunk's size is not text")?.trim_ascii_end();
        self.state = match self.state {
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::ChunkEnd => bail!("a chunk is longer than it says"),
            State::Trailer if line.is_empty() => State::Complete,
            State::Trailer => State::Trailer,
            _ => match u64::from_str_radix(line.split(';').next().unwrap_or_default(), 16).context("a chunk's size is no number")? {
                0 => State::Trailer,
                size => State::Chunk(size),
            },
        };
        self.line.clear();
        Ok(&bytes[end + 1..])
    }
}

fn body_state(headers: &[httparse::Header<'_>]) -> Result<State> {
    let value = |name: &str| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value);
    if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
        return Ok(State::ChunkSize);
    }
    let length = value("content-length").context("the answer has neither chunks nor a length")?;
    match std::str::from_utf8(length)?.parse().context("the answer's length is no number")? {
        0 => Ok(State::Complete),
        length => Ok(State::Counted(length)),
    }
}

#[cfg(test)]
mod tests;

//! One request and its answer over HTTP/1.1, without a task or a buffer of its own.
//!
//! The answer's body is polled by whoever relays it, straight from the socket: nothing stands between a provider's packet and the client's
//! write. Bytes are read into a scratch buffer that all streams of a worker share and copied once, at their exact size, so a silent stream
//! holds no buffer at all (docs/decisions/003).

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use super::framing::Framing;
use super::io::Io;

/// Largest head of an answer.
const MAX_HEAD: usize = 64 * 1024;
/// Most header lines of an answer.
const MAX_HEADERS: usize = 100;
/// How much one read takes from the socket. A flood fills it, and what lies in it is late: larger is cheaper per byte, smaller is fresher.
const SCRATCH: usize = 32 * 1024;

thread_local! {
    static SCRATCH_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// An answer's head.
#[derive(Debug)]
pub struct AnswerHead {
    /// HTTP status.
    pub status: u16,
    /// Headers, as they came.
    pub headers: HeaderMap,
}

/// Why an exchange over HTTP/1.1 broke.
#[derive(Debug, thiserror::Error)]
pub enum H1Error {
    /// The connection ended before the first byte of an answer; on a connection that was used before, the usual race with its idle limit.
    #[error("the connection closed before an answer")]
    ClosedBeforeAnswer,
    /// Reading or writing failed.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The answer's head is no HTTP.
    #[error("the answer's head cannot be read: {0}")]
    BadHead(&'static str),
}

/// Sends a request whose head is written already. A provider need not read it to the end: where it refuses before, it may never take the
/// rest, so what it says is read while there is something left to send. That refusal's head is answered, and the connection is of no more
/// use than to read its body. Other bytes that came early are left in `rest`.
///
/// # Errors
///
/// [`H1Error`] when the connection breaks.
///
/// # Cancel safety
///
/// Not safe: a part may have been sent. Drop the connection too.
pub async fn send(io: &mut Io, head: Bytes, body: Bytes, rest: &mut BytesMut) -> Result<Option<AnswerHead>, H1Error> {
    let mut request = head.chain(body);
    poll_fn(|cx| {
        while request.has_remaining() {
            match pin!(io.write_buf(&mut request)).poll(cx)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into())),
                Poll::Ready(_) => {}
                Poll::Pending => return poll_refusal(io, rest, cx).map_ok(Some),
            }
        }
        pin!(io.flush()).poll(cx).map_ok(|()| None).map_err(H1Error::Io)
    })
    .await
}

/// Reads on until the head of a refusal is there. An answer that is none can wait until the request is sent: its sender reads on.
fn poll_refusal(io: &mut Io, rest: &mut BytesMut, cx: &mut Context<'_>) -> Poll<Result<AnswerHead, H1Error>> {
    loop {
        let mut unread = rest.clone();
        while let Some(head) = parse_head(&mut unread)? {
            if head.status >= 300 {
                *rest = unread;
                return Poll::Ready(Ok(head));
            }
            if head.status >= 200 {
                return Poll::Pending;
            }
        }
        ready!(poll_head_bytes(io, rest, cx))?;
    }
}

/// Reads the answer's head, skipping interim answers (100, 103). Bytes that came behind it are left in `rest`.
///
/// # Errors
///
/// [`H1Error`]; the connection is of no more use.
///
/// # Cancel safety
///
/// Not safe: bytes that were read are lost. Drop the connection too.
pub async fn read_head(io: &mut Io, rest: &mut BytesMut) -> Result<AnswerHead, H1Error> {
    loop {
        if let Some(head) = parse_head(rest)? {
            if head.status >= 200 {
                return Ok(head);
            }
            if head.status == 101 {
                return Err(H1Error::BadHead("it switches to another protocol"));
            }
            continue;
        }
        poll_fn(|cx| poll_head_bytes(io, rest, cx)).await?;
    }
}

/// Reads more of a head.
fn poll_head_bytes(io: &mut Io, rest: &mut BytesMut, cx: &mut Context<'_>) -> Poll<Result<(), H1Error>> {
    if rest.len() >= MAX_HEAD {
        return Poll::Ready(Err(H1Error::BadHead("it is too large")));
    }
    SCRATCH_BUFFER.with_borrow_mut(|scratch| {
        let mut read = ReadBuf::new(scratch);
        let result = ready!(Pin::new(io).poll_read(cx, &mut read));
        result.map_err(|error| before_answer(error, rest))?;
        Poll::Ready(match read.filled() {
            [] if rest.is_empty() => Err(H1Error::ClosedBeforeAnswer),
            [] => Err(H1Error::BadHead("it is cut off")),
            bytes => {
                rest.extend_from_slice(bytes);
                Ok(())
            }
        })
    })
}

fn before_answer(error: io::Error, rest: &BytesMut) -> H1Error {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof if rest.is_empty() => {
            H1Error::ClosedBeforeAnswer
        }
        _ => H1Error::Io(error),
    }
}

/// Takes one whole head off the front of `bytes`, or nothing while it is incomplete.
///
/// # Errors
///
/// [`H1Error::BadHead`].
pub fn parse_head(bytes: &mut BytesMut) -> Result<Option<AnswerHead>, H1Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    // Not made empty first: a head has some ten lines.
    let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let read = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, &mut lines);
    let length = match read.map_err(|_| H1Error::BadHead("it is not HTTP/1"))? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(length) => length,
    };
    let status = parsed.code.ok_or(H1Error::BadHead("it has no status"))?;
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for line in parsed.headers.iter() {
        let name = http::HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| H1Error::BadHead("a header's name is invalid"))?;
        let value = http::HeaderValue::from_bytes(line.value).map_err(|_| H1Error::BadHead("a header's value is invalid"))?;
        headers.append(name, value);
    }
    if parsed.version == Some(0) && !headers.contains_key(http::header::CONNECTION) {
        headers.insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    }
    bytes.advance(length);
    Ok(Some(AnswerHead { status, headers }))
}

/// How the body of an answer with this head is framed, and whether the connection lives on behind it.
///
/// # Errors
///
/// [`H1Error::BadHead`] for a head that two readers could understand in two ways.
pub fn framing_of(head: &AnswerHead) -> Result<(Framing, bool), H1Error> {
    let closes = head.headers.get_all(http::header::CONNECTION).iter().any(|value| has_token(value.as_bytes(), b"close"));
    if matches!(head.status, 204 | 304) {
        return Ok((Framing::length(0), !closes));
    }
    let mut lengths = head.headers.get_all(http::header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(H1Error::BadHead("it has two lengths"));
    }
    let mut codings = head.headers.get_all(http::header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next(), length) {
        (None, _, None) => Ok((Framing::until_close(), false)),
        (None, _, Some(length)) => {
            let length = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let length = length.and_then(|text| text.parse().ok()).ok_or(H1Error::BadHead("its length is no number"))?;
            Ok((Framing::length(length), !closes))
        }
        (Some(coding), None, None) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok((Framing::chunked(), !closes)),
        (Some(_), None, None) => Err(H1Error::BadHead("its transfer coding is unknown")),
        (Some(_), _, _) => Err(H1Error::BadHead("its framing is ambiguous")),
    }
}

fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// The body of an answer, read from its socket when polled.
#[derive(Debug)]
pub struct H1Body {
    io: Io,
    framing: Framing,
    /// Bytes that came with the head.
    first: BytesMut,
    /// The connection may serve another request once the body is complete.
    keep_alive: bool,
    broken: bool,
}

impl H1Body {
    /// The body that follows `head` on `io`, of which `first` came already.
    ///
    /// # Errors
    ///
    /// See [`framing_of`].
    pub fn new(io: Io, head: &AnswerHead, first: BytesMut) -> Result<Self, H1Error> {
        let (framing, keep_alive) = framing_of(head)?;
        Ok(Self { io, framing, first, keep_alive, broken: false })
    }

    /// The same, of an answer that came before its request was sent: the connection ends with it.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.keep_alive = false;
        self
    }

    /// The next bytes of the body; `None` at its regular end, an error where it broke off.
    ///
    /// # Errors
    ///
    /// An I/O error, also for broken framing and for an end that the framing did not announce.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let result = match self.poll_data_inner(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(result) => result,
        };
        self.broken |= result.is_err();
        Poll::Ready(result.transpose())
    }

    fn poll_data_inner(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            if let Some(data) = self.unframe(&first)? {
                return Poll::Ready(Ok(Some(data)));
            }
        }
        SCRATCH_BUFFER.with_borrow_mut(|scratch| {
            loop {
                if self.framing.is_done() {
                    return Poll::Ready(Ok(None));
                }
                let mut read = ReadBuf::new(scratch);
                ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
                if read.filled().is_empty() {
                    self.keep_alive = false;
                    let is_regular = self.framing.may_close();
                    return Poll::Ready(if is_regular { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) });
                }
                if let Some(data) = self.unframe(read.filled())? {
                    return Poll::Ready(Ok(Some(data)));
                }
            }
        })
    }

    /// Takes the framing off what was read. `None` when it was framing only.
    fn unframe(&mut self, input: &[u8]) -> io::Result<Option<Bytes>> {
        let mut data = BytesMut::with_capacity(input.len());
        let taken = self.framing.feed(input, &mut data).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if taken < input.len() {
            // Bytes that nobody asked for would answer the next request on this connection.
            self.keep_alive = false;
        }
        Ok((!data.is_empty()).then(|| data.freeze()))
    }

    /// Whether the body was read to its end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.framing.is_done() && self.first.is_empty()
    }

    /// The connection, where it may serve another request.
    #[must_use]
    pub fn into_reusable(self) -> Option<Io> {
        (self.is_done() && self.keep_alive && !self.broken).then_some(self.io)
    }
}

#[cfg(test)]
mod tests;

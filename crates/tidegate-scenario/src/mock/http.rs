//! As much of HTTP/1 as a provider needs, written by hand because its faults must be exact: which byte is the last one,
//! whether the framing ends, whether the connection is closed or reset.

use std::io::Write;

use bytes::{Buf, Bytes, BytesMut};

use super::peer::{Peer, PeerLeft};

const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// Larger than what any gateway in front should let through.
const MAX_BODY: usize = 64 << 20;

/// A request, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// HTTP/1.1: chunks are understood, and the connection stays open unless `close` is asked for.
    http11: bool,
}

/// Why there is no request.
pub(crate) enum NoRequest {
    /// The peer left between two requests, or in the middle of one.
    PeerLeft,
    /// It is not HTTP, or not as much of it as we read.
    Bad(u16, &'static str),
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By an empty chunk.
    Chunked,
    /// By the end of the connection, for HTTP/1.0.
    UntilClose,
}

impl Request {
    /// Reads the next request from `peer`.
    pub(crate) async fn read(peer: &mut Peer) -> Result<Self, NoRequest> {
        let mut request = loop {
            if let Some(request) = parse_head(&mut peer.inbox)? {
                break request;
            }
            peer.read().await?;
        };
        if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.body = if request.header("transfer-encoding").is_some() {
            read_chunks(peer).await?
        } else {
            let length = request.header("content-length").map_or(Ok(0), str::parse);
            read_length(peer, length.map_err(|_| NoRequest::Bad(400, "content-length is no number"))?).await?
        };
        if peer.inbox.is_empty() {
            // Thousands of streams stay open for long: what the request needed is given back.
            peer.inbox = BytesMut::new();
        }
        Ok(request)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn keeps_alive(&self) -> bool {
        let said = self.header("connection").unwrap_or_default().to_ascii_lowercase();
        if self.http11 { !said.contains("close") } else { said.contains("keep-alive") }
    }

    pub(crate) fn framing(&self) -> Framing {
        if self.http11 { Framing::Chunked } else { Framing::UntilClose }
    }
}

impl From<PeerLeft> for NoRequest {
    fn from(_: PeerLeft) -> Self {
        Self::PeerLeft
    }
}

/// Takes a request's head from `inbox`; `None` when it is not there in full.
fn parse_head(inbox: &mut BytesMut) -> Result<Option<Request>, NoRequest> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(inbox) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if inbox.len() < MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => return Err(NoRequest::Bad(431, "the head is too large")),
        Err(_) => return Err(NoRequest::Bad(400, "this is not HTTP/1")),
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: head.path.and_then(|path| path.split('?').next()).unwrap_or_default().to_owned(),
        headers: head.headers.iter().map(|header| (header.name.to_ascii_lowercase(), text(header.value))).collect(),
        body: Bytes::new(),
        http11: head.version == Some(1),
    };
    inbox.advance(length);
    Ok(Some(request))
}

async fn read_length(peer: &mut Peer, length: usize) -> Result<Bytes, NoRequest> {
    if length > MAX_BODY {
        return Err(NoRequest::Bad(413, "the body is too large"));
    }
    while peer.inbox.len() < length {
        peer.read().await?;
    }
    // A copy of its own, so that the journal does not keep the whole read buffer alive.
    let body = Bytes::copy_from_slice(&peer.inbox[..length]);
    peer.inbox.advance(length);
    Ok(body)
}

/// Reads a chunked body. Trailers are refused: no client of a provider sends them.
async fn read_chunks(peer: &mut Peer) -> Result<Bytes, NoRequest> {
    let bad = || NoRequest::Bad(400, "the chunked body is broken");
    let mut body = Vec::new();
    loop {
        let (line, size) = loop {
            match httparse::parse_chunk_size(&peer.inbox).map_err(|_| bad())? {
                httparse::Status::Complete(chunk) => break chunk,
                httparse::Status::Partial if peer.inbox.len() < MAX_HEAD => peer.read().await?,
                httparse::Status::Partial => return Err(bad()),
            }
        };
        let size = usize::try_from(size).ok().filter(|size| body.len().saturating_add(*size) <= MAX_BODY);
        let size = size.ok_or(NoRequest::Bad(413, "the body is too large"))?;
        while peer.inbox.len() < line + size + 2 {
            peer.read().await?;
        }
        peer.inbox.advance(line);
        body.extend_from_slice(&peer.inbox[..size]);
        if peer.inbox[size..size + 2] != *b"\r\n" {
            return Err(bad());
        }
        peer.inbox.advance(size + 2);
        if size == 0 {
            return Ok(body.into());
        }
    }
}

/// Writes the head of an answer; `headers` are whole lines, each with its line end.
pub(crate) fn write_head(out: &mut Vec<u8>, status: u16, content_type: &str, headers: &str) {
    let reason = reason(status);
    push_fmt(out, format_args!("HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\n{headers}\r\n"));
}

/// The header lines that say how a body of unknown length is framed.
pub(crate) fn framing_headers(framing: Framing) -> &'static str {
    match framing {
        Framing::Chunked => "transfer-encoding: chunked\r\n",
        Framing::UntilClose => "connection: close\r\n",
    }
}

/// Writes `body` as one piece of a body of unknown length.
pub(crate) fn write_piece(out: &mut Vec<u8>, framing: Framing, body: &[u8]) {
    match framing {
        Framing::Chunked => {
            push_fmt(out, format_args!("{:x}\r\n", body.len()));
            out.extend_from_slice(body);
            out.extend_from_slice(b"\r\n");
        }
        Framing::UntilClose => out.extend_from_slice(body),
    }
}

/// Writes the end of a body of unknown length.
pub(crate) fn write_end(out: &mut Vec<u8>, framing: Framing) {
    if framing == Framing::Chunked {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}

/// Formats into a buffer, which cannot fail.
pub(crate) fn push_fmt(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every write");
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Mocked",
    }
}

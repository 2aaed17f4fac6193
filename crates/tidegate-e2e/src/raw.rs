//! A client without an HTTP library: it sees every byte, when it came, and exactly how the transport ended.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::view::View;
use crate::wait::in_time;

/// How the body's transport ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportEnd {
    /// As its framing announced: all of its length, or the last chunk.
    Complete,
    /// The body had no framing and the connection was closed in order (HTTP/1.0).
    Closed,
    /// The connection was closed in the middle of the framing.
    Cut,
    /// The connection was reset.
    Reset,
}

/// One server-sent event, comment, or anything else between two blank lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its lines as they came.
    pub raw: String,
    /// Its data lines, joined; `None` for a comment.
    pub data: Option<String>,
    /// When its last byte came, counted from the moment the request was sent.
    pub at: Duration,
}

/// An answer whose head has come.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Headers as they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// When the head came, counted from the moment the request was sent.
    pub head_at: Duration,
    socket: TcpStream,
    sent: Instant,
    framing: Framing,
    /// Came and is not decoded yet.
    raw: Vec<u8>,
    /// Decoded and not handed out yet.
    body: Vec<u8>,
    end: Option<TransportEnd>,
}

/// How much of the body is still to come.
enum Framing {
    Length(usize),
    /// Bytes of the current chunk that are to come, its line end included; zero before a size line.
    Chunk(usize),
    UntilClose,
}

impl Answer {
    /// Connects, sends `request` and waits for the head of its answer.
    ///
    /// # Errors
    ///
    /// No connection, no answer in time, or one that is no HTTP.
    pub async fn to(addr: SocketAddr, request: &[u8]) -> Result<Self> {
        let mut socket = in_time("a connection", TcpStream::connect(addr)).await??;
        socket.set_nodelay(true)?;
        let sent = Instant::now();
        socket.write_all(request).await?;
        Self::on(socket, sent).await
    }

    /// The same from a client that takes little into its own socket, so that what it does not read waits in the gateway.
    ///
    /// # Errors
    ///
    /// As for [`Answer::to`].
    pub async fn to_reluctant(addr: SocketAddr, request: &[u8]) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(8 * 1024)?;
        let mut socket = in_time("a connection", socket.connect(addr)).await??;
        let sent = Instant::now();
        socket.write_all(request).await?;
        Self::on(socket, sent).await
    }

    /// Waits for the head of an answer on `socket`, where the request was `sent`.
    ///
    /// # Errors
    ///
    /// No answer in time, or one that is no HTTP.
    pub async fn on(mut socket: TcpStream, sent: Instant) -> Result<Self> {
        let mut raw = Vec::new();
        let end_of_head = loop {
            if let Some(at) = find(&raw, b"\r\n\r\n") {
                break at;
            }
            let count = in_time("the head of an answer", socket.read_buf(&mut raw)).await?.context("reading the head")?;
            ensure!(count > 0, "the connection was closed before a whole head: {:?}", String::from_utf8_lossy(&raw));
        };
        let head = String::from_utf8(raw[..end_of_head].to_vec())?;
        raw.drain(..end_of_head + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status line")?.parse()?;
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())))
            .collect::<Option<_>>()
            .context("a header without a colon")?;
        let mut answer =
            Self { status, headers, head_at: sent.elapsed(), socket, sent, framing: Framing::UntilClose, raw, body: Vec::new(), end: None };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.framing = Framing::Chunk(0);
        } else if let Some(length) = answer.header("content-length") {
            answer.framing = Framing::Length(length.parse()?);
        }
        answer.decode()?;
        Ok(answer)
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// How the transport ended; `None` while it has not.
    #[must_use]
    pub fn end(&self) -> Option<TransportEnd> {
        self.end
    }

    /// The next event or comment; `None` when nothing whole comes any more.
    ///
    /// # Errors
    ///
    /// Nothing came in time, or the framing is broken.
    pub async fn event(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(end) = end_of_event(&self.body) {
                let raw = String::from_utf8(self.body.drain(..end).collect())?;
                let data: Vec<&str> = raw.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
                let data = (!data.is_empty()).then(|| data.join("\n"));
                return Ok(Some(Event { raw, data, at: self.sent.elapsed() }));
            }
            if !self.read_more().await? {
                return Ok(None);
            }
        }
    }

    /// Everything up to the end of the transport.
    ///
    /// # Errors
    ///
    /// Nothing came in time, or the framing is broken.
    pub async fn bytes(&mut self) -> Result<Vec<u8>> {
        while self.read_more().await? {}
        Ok(std::mem::take(&mut self.body))
    }

    /// Reads on to the end and tells what a client would make of it.
    ///
    /// # Errors
    ///
    /// Nothing came in time, or what came is not the protocol.
    pub async fn view(mut self) -> Result<View> {
        let mut view = View::of(&self);
        view.read_on(&mut self, u64::MAX).await?;
        Ok(view)
    }

    /// The socket, to be written to, read slowly, or reset.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// The socket, for who goes on with another protocol, and what came behind the head already.
    #[must_use]
    pub fn into_socket(self) -> (TcpStream, Vec<u8>) {
        (self.socket, self.body)
    }

    /// Leaves by a reset instead of an orderly close.
    ///
    /// # Errors
    ///
    /// The socket is already gone.
    pub fn reset(self) -> Result<()> {
        Ok(self.socket.set_zero_linger()?)
    }

    /// Reads once; `false` at the end of the transport.
    async fn read_more(&mut self) -> Result<bool> {
        if self.end.is_some() {
            return Ok(false);
        }
        match in_time("another byte", self.socket.read_buf(&mut self.raw)).await? {
            Ok(0) => self.end = Some(if matches!(self.framing, Framing::UntilClose) { TransportEnd::Closed } else { TransportEnd::Cut }),
            Ok(_) => self.decode()?,
            Err(_) => self.end = Some(TransportEnd::Reset),
        }
        Ok(true)
    }

    /// Moves what came from `raw` to `body`, without its framing.
    fn decode(&mut self) -> Result<()> {
        while self.end.is_none() {
            match &mut self.framing {
                Framing::UntilClose => {
                    self.body.append(&mut self.raw);
                    return Ok(());
                }
                Framing::Length(left) => {
                    let count = self.raw.len().min(*left);
                    *left -= count;
                    self.body.extend(self.raw.drain(..count));
                    if *left > 0 {
                        return Ok(());
                    }
                    self.end = Some(TransportEnd::Complete);
                }
                Framing::Chunk(0) => {
                    let Some(at) = find(&self.raw, b"\r\n") else { return Ok(()) };
                    let line = String::from_utf8(self.raw.drain(..at + 2).collect())?;
                    let size = usize::from_str_radix(line.trim(), 16).with_context(|| format!("not a chunk size: {line:?}"))?;
                    if size == 0 {
                        self.end = Some(TransportEnd::Complete);
                    }
                    self.framing = Framing::Chunk(size + 2);
                }
                Framing::Chunk(left) => {
                    let count = self.raw.len().min(*left);
                    *left -= count;
                    let done = *left == 0;
                    self.body.extend(self.raw.drain(..count));
                    if !done {
                        return Ok(());
                    }
                    if !self.body.ends_with(b"\r\n") {
                        bail!("a chunk that is longer than it said");
                    }
                    self.body.truncate(self.body.len() - 2);
                }
            }
        }
        Ok(())
    }
}

/// Behind the first blank line, whose line ends may be LF or CRLF.
fn end_of_event(body: &[u8]) -> Option<usize> {
    let mut lines = (0..body.len()).filter(|at| body[*at] == b'\n');
    let mut line_start = 0;
    lines.find_map(|end| {
        let is_blank = matches!(&body[line_start..end], b"" | b"\r");
        line_start = end + 1;
        is_blank.then_some(end + 1)
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

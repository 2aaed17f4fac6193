//! A client's socket: the account of what it takes, and limits on a client that does nothing.

use std::io::{self, IoSlice};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::listener::Counted;
use super::meter::Meter;

/// Bytes a second that every client is thought to take: 128 kbit/s.
const SLOWEST_PACE: u64 = 16 * 1024;
/// Most bytes that are kept of what a client sends behind a request that is not answered yet.
const MAX_AHEAD: usize = 16 * 1024;

/// How long a client may keep the gateway waiting.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the first byte of a request's head to its last.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Without taking a single byte that waits for it.
    pub slow: Duration,
}

impl Patience {
    /// How long the client of a stream that has ended may take for the `bytes` that are left of it. Such a stream has no limit of its own any
    /// more: without this one, a byte now and then would hold its place for ever.
    #[must_use]
    pub fn for_rest(self, bytes: u64) -> Duration {
        self.slow.saturating_add(Duration::from_secs(bytes / SLOWEST_PACE))
    }
}

/// What a connection without a running request waits for.
#[derive(Debug, Clone, Copy)]
enum Waiting {
    /// A request runs, or nothing was asked of the socket yet.
    Nothing,
    /// The next request, since then.
    Request(Instant),
    /// The rest of a head, since its first byte.
    Head(Instant),
}

/// A client's socket with its account and the limits on a client that does nothing.
#[derive(Debug)]
pub struct MeteredIo {
    tcp: TcpStream,
    meter: Connected,
    patience: Patience,
    waiting: Waiting,
    /// A request came on it before.
    had_request: bool,
    /// One timer for all three limits: only one of them can run.
    timer: Option<Pin<Box<Sleep>>>,
    blocked_since: Option<Instant>,
    /// When the client has to have taken the rest of a stream that has ended.
    rest_due: Option<Instant>,
    /// Bytes that came while the HTTP library wanted none.
    ahead: Vec<u8>,
    /// The HTTP library waits for bytes itself, so it will notice their end.
    is_read: bool,
    counted: Counted,
}

/// A client's socket without all that HTTP needs.
#[derive(Debug)]
pub struct Bare {
    /// The socket.
    pub tcp: TcpStream,
    /// Bytes that were read of it already.
    pub read: Vec<u8>,
    /// Counts its connection.
    pub counted: Counted,
    /// How long its client may keep the gateway waiting.
    pub patience: Patience,
}

/// The account of a connection that is there.
#[derive(Debug)]
struct Connected(Arc<Meter>);

impl Deref for Connected {
    type Target = Meter;

    fn deref(&self) -> &Meter {
        &self.0
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.lost();
    }
}

impl MeteredIo {
    /// Wraps a client's socket.
    #[must_use]
    pub fn new(tcp: TcpStream, meter: Arc<Meter>, patience: Patience, counted: Counted) -> Self {
        Self {
            tcp,
            meter: Connected(meter),
            patience,
            waiting: Waiting::Nothing,
            had_request: false,
            timer: None,
            blocked_since: None,
            rest_due: None,
            ahead: Vec::new(),
            is_read: false,
            counted,
        }
    }

    /// The bare socket: what follows is no HTTP.
    #[must_use]
    pub fn into_bare(self) -> Bare {
        Bare { tcp: self.tcp, read: self.ahead, counted: self.counted, patience: self.patience }
    }

    /// Ready once `until` has passed. The timer is kept and moved, not made anew for every request.
    fn poll_limit(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx)
    }

    /// Nothing came to be read. While no request runs, that must not last.
    fn poll_read_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Bytes of an answer that still wait for the client have a limit of their own; the next request is due once they are taken.
        if self.meter.is_in_request() || !self.meter.is_flushed_or_wakes(cx) {
            self.note_request();
            return Poll::Pending;
        }
        if matches!(self.waiting, Waiting::Nothing) {
            self.waiting = Waiting::Request(Instant::now());
        }
        let (until, owes_status) = match self.waiting {
            Waiting::Head(since) => (since + self.patience.head, true),
            Waiting::Request(since) if self.had_request => (since + self.patience.idle, false),
            // A connection that never said anything is held to the limit of a head: it takes another's place.
            Waiting::Request(since) => (since + self.patience.head, false),
            Waiting::Nothing => return Poll::Pending,
        };
        match self.poll_limit(until, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                if owes_status {
                    self.say_request_timeout();
                }
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    fn note_request(&mut self) {
        self.waiting = Waiting::Nothing;
        self.had_request = true;
    }

    fn note_read(&mut self) {
        if self.meter.is_in_request() {
            self.note_request();
        } else if !matches!(self.waiting, Waiting::Head(_)) {
            self.waiting = Waiting::Head(Instant::now());
        }
    }

    /// The HTTP library ends a connection without a word when a head does not come; a client deserves its status.
    fn say_request_timeout(&mut self) {
        let told = socket2::SockRef::from(&self.tcp).send(&crate::deliver::refuse::request_timeout()).is_ok();
        tracing::debug!(told, "a request's head did not arrive in time");
    }

    fn track_write<T>(&mut self, result: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.blocked_since = None;
            return result;
        }
        self.look_ahead(cx)?;
        let now = Instant::now();
        let mut until = *self.blocked_since.get_or_insert(now) + self.patience.slow;
        if self.meter.owes_farewell() {
            let rest = self.patience.for_rest(self.meter.waiting_bytes());
            until = until.min(*self.rest_due.get_or_insert(now + rest));
        }
        ready!(self.poll_limit(until, cx));
        self.meter.give_up();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads on in place of the HTTP library, which does not while it has bytes that it needs later: a stray line end behind a request, or the
    /// next request. They would hide that the client left.
    fn look_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if std::mem::take(&mut self.is_read) || !self.meter.is_in_request() {
            return Ok(());
        }
        let mut bytes = [0; 512];
        while self.ahead.len() < MAX_AHEAD {
            let mut read = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.tcp).poll_read(cx, &mut read)? {
                Poll::Pending => return Ok(()),
                Poll::Ready(()) if read.filled().is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Poll::Ready(()) => self.ahead.extend_from_slice(read.filled()),
            }
        }
        Ok(())
    }

    /// Gives what was read ahead.
    fn take_ahead(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        if self.ahead.is_empty() {
            // A connection lasts longer than the rare moment in which it needs this.
            self.ahead = Vec::new();
        }
    }
}

impl AsyncRead for MeteredIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.ahead.is_empty() {
            this.take_ahead(buf);
            this.note_read();
            return Poll::Ready(Ok(()));
        }
        let result = Pin::new(&mut this.tcp).poll_read(cx, buf);
        this.is_read = result.is_pending();
        if result.is_pending() {
            return this.poll_read_patience(cx);
        }
        this.note_read();
        result
    }
}

impl AsyncWrite for MeteredIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.tcp).poll_write(cx, buf);
        this.track_write(result, cx)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs);
        this.track_write(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.rest_due = None;
        this.meter.flushed();
        Poll::Ready(this.look_ahead(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;

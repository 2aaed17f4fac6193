//! What the client's socket really took.
//!
//! A stream's record tells what the client was given, not what was handed to a buffer. The HTTP library sits between the two: it flushes the
//! socket only once its own buffer is empty, so a flush that succeeds means that everything handed over so far was taken.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tidegate_core::record::Delivered;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::record::live::{Live, Receipt};

/// Bytes of one stream that may wait in this process for its client before the provider is no longer read. What waits is late, so it is little
/// more than one read; the kernel's buffers come on top.
const MAX_WAITING: u64 = 16 * 1024;

/// The account of one connection: what was handed over and what was taken. One stream at a time uses it.
///
/// Its users all run in the connection's own task, so the counters are relaxed and never contended.
#[derive(Debug, Default)]
pub struct Meter {
    handed: Counts,
    taken: Counts,
    /// A stream that has ended and whose last bytes are not taken yet.
    farewell: Mutex<Option<Box<Live>>>,
    /// Whom to wake when there is room again.
    waiting: Mutex<Option<Waker>>,
    is_slow: AtomicBool,
    has_to_end: AtomicBool,
    in_request: AtomicBool,
}

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    output_events: AtomicU64,
}

impl Counts {
    fn get(&self) -> Delivered {
        Delivered { bytes: self.bytes.load(Ordering::Relaxed), output_events: self.output_events.load(Ordering::Relaxed) }
    }

    fn set(&self, counts: Delivered) {
        self.bytes.store(counts.bytes, Ordering::Relaxed);
        self.output_events.store(counts.output_events, Ordering::Relaxed);
    }
}

impl Meter {
    /// A request begins: counts start at zero.
    pub fn begin(&self) {
        self.in_request.store(true, Ordering::Relaxed);
        self.flushed();
        self.handed.set(Delivered::default());
        self.taken.set(Delivered::default());
    }

    /// Body bytes go to the HTTP library.
    pub fn hand(&self, bytes: u64, output_events: u64) {
        self.handed.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.handed.output_events.fetch_add(output_events, Ordering::Relaxed);
    }

    /// Whether the socket took everything that was handed over.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.waiting_bytes() == 0
    }

    /// Whether little enough waits for the client that its provider may be read. Where not, the task of `cx` is woken once there is room.
    pub fn has_room(&self, cx: &Context<'_>) -> bool {
        self.waits_for_at_most(MAX_WAITING - 1, cx)
    }

    /// Whether the socket took everything that was handed over. Where not, the task of `cx` is woken once it has.
    pub fn is_flushed_or_wakes(&self, cx: &Context<'_>) -> bool {
        self.waits_for_at_most(0, cx)
    }

    fn waits_for_at_most(&self, bytes: u64, cx: &Context<'_>) -> bool {
        let has_room = self.waiting_bytes() <= bytes;
        if !has_room {
            *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        }
        has_room
    }

    fn waiting_bytes(&self) -> u64 {
        self.handed.bytes.load(Ordering::Relaxed).saturating_sub(self.taken.bytes.load(Ordering::Relaxed))
    }

    /// What the socket took of the present stream.
    #[must_use]
    pub fn taken(&self) -> Delivered {
        self.taken.get()
    }

    /// How a stream lost its client, whose connection is no more.
    #[must_use]
    pub fn receipt_of_loss(&self) -> Receipt {
        if self.is_slow.load(Ordering::Relaxed) { Receipt::GivenUp } else { Receipt::Lost }
    }

    /// The shutdown's window is over: the stream on this connection ends now.
    pub fn end_now(&self) {
        self.has_to_end.store(true, Ordering::Relaxed);
    }

    /// See [`Meter::end_now`].
    #[must_use]
    pub fn has_to_end(&self) -> bool {
        self.has_to_end.load(Ordering::Relaxed)
    }

    /// A stream has ended: it is settled when its last bytes are taken, or when the connection is lost before.
    pub fn say_farewell(&self, live: Box<Live>) {
        self.in_request.store(false, Ordering::Relaxed);
        if self.is_flushed() {
            live.settle(self.taken(), Receipt::Taken);
        } else {
            *self.farewell() = Some(live);
        }
    }

    /// A stream has ended whose client took everything, and another goes on in the same answer: counts start at zero again.
    pub fn settle_and_go_on(&self, live: Box<Live>) {
        live.settle(self.taken(), Receipt::Taken);
        self.handed.set(Delivered::default());
        self.taken.set(Delivered::default());
    }

    /// The request is answered, by whatever: the connection waits for the next.
    pub fn answered(&self) {
        self.in_request.store(false, Ordering::Relaxed);
    }

    fn flushed(&self) {
        self.taken.set(self.handed.get());
        if let Some(waiting) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waiting.wake();
        }
        let ended = self.farewell().take();
        if let Some(live) = ended {
            live.settle(self.taken(), Receipt::Taken);
        }
    }

    fn lost(&self) {
        let ended = self.farewell().take();
        if let Some(live) = ended {
            live.settle(self.taken(), self.receipt_of_loss());
        }
    }

    fn farewell(&self) -> MutexGuard<'_, Option<Box<Live>>> {
        self.farewell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    meter: Arc<Meter>,
    patience: Patience,
    waiting: Waiting,
    /// A request came on it before.
    had_request: bool,
    /// One timer for all three limits: only one of them can run.
    timer: Option<Pin<Box<Sleep>>>,
    blocked_since: Option<Instant>,
}

impl MeteredIo {
    /// Wraps a client's socket.
    #[must_use]
    pub fn new(tcp: TcpStream, meter: Arc<Meter>, patience: Patience) -> Self {
        Self { tcp, meter, patience, waiting: Waiting::Nothing, had_request: false, timer: None, blocked_since: None }
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
        if self.meter.in_request.load(Ordering::Relaxed) || !self.meter.is_flushed_or_wakes(cx) {
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
        if self.meter.in_request.load(Ordering::Relaxed) {
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
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        match self.poll_limit(since + self.patience.slow, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                self.meter.is_slow.store(true, Ordering::Relaxed);
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for MeteredIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.tcp).poll_read(cx, buf) {
            Poll::Pending => this.poll_read_patience(cx),
            result @ Poll::Ready(_) => {
                this.note_read();
                result
            }
        }
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

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.meter.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

impl Drop for MeteredIo {
    fn drop(&mut self) {
        self.meter.lost();
    }
}

#[cfg(test)]
mod tests;

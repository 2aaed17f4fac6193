//! Connections to providers that speak HTTP/2, several side by side.
//!
//! One connection carries many streams, up to a limit of the peer's; past it requests would queue in silence behind answers that last for
//! minutes. So a connection that is full is left alone and another is opened.

use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::Instant;

use super::h1::AnswerHead;
use super::io::Io;
use crate::worker;

/// Streams that one connection is asked to carry, where the peer allows it: the least that RFC 9113 tells servers to allow.
const STREAMS_PER_CONNECTION: usize = 100;
/// Streams that it carries before the peer has said how many it allows. What is beyond would wait if it allows no more.
const STREAMS_UNTIL_TOLD: usize = 1;

/// What a provider may send of one stream while its client takes nothing.
const STREAM_WINDOW: u32 = 128 * 1024;
/// Room for all of them: else clients that do not read would hold up the other streams of their connection.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * 100;

/// How often a connection is asked whether it still lives, and how long it may take to say so. Without, a connection that a router forgot would
/// fail every request on it until TCP gives up, minutes later.
const PING_EVERY: Duration = Duration::from_secs(15);
const PING_WITHIN: Duration = Duration::from_secs(10);

type Connection = http2::Connection<TokioIo<Io>, Full<Bytes>, TokioExecutor>;

/// The open HTTP/2 connections to one provider, by worker.
#[derive(Debug)]
pub struct H2Connections {
    by_worker: Box<[Mutex<Vec<Shared>>]>,
}

#[derive(Debug)]
struct Shared {
    sender: SendRequest<Full<Bytes>>,
    /// It belongs to the task that drives it, whose end closes the sender; here it is only asked how many streams the peer allows.
    connection: Weak<Mutex<Connection>>,
    streams: Arc<AtomicUsize>,
    /// Since when [`H2Connections::sweep`] has found it unused.
    idle_since: Option<Instant>,
}

/// One stream's place on a connection.
#[derive(Debug)]
pub struct Place {
    sender: SendRequest<Full<Bytes>>,
    streams: Arc<AtomicUsize>,
}

/// Why a request over HTTP/2 got no answer.
#[derive(Debug, thiserror::Error)]
pub enum H2Error {
    /// The provider has not begun with it, because the connection takes no more: another one may have it.
    #[error("the connection took no more requests: {0}")]
    NotTaken(String),
    /// The connection or the stream broke.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// The body of an answer over HTTP/2. Dropping it resets its stream and nothing else.
#[derive(Debug)]
pub struct H2Body {
    incoming: Incoming,
    _place: Place,
}

impl Default for H2Connections {
    fn default() -> Self {
        Self { by_worker: (0..worker::MAX_WORKERS).map(|_| Mutex::default()).collect() }
    }
}

impl H2Connections {
    /// A place on an open connection of this worker, if one has room.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let mut connections = self.mine();
        connections.retain(|connection| !connection.sender.is_closed());
        connections.iter_mut().find(|connection| connection.has_room()).map(Place::on)
    }

    /// Closes this worker's connections that have been without a stream for `max_idle`.
    pub fn sweep(&self, max_idle: Duration) {
        self.mine().retain_mut(|connection| connection.is_used_within(max_idle));
    }

    /// Makes `io` an HTTP/2 connection and takes a place on it.
    ///
    /// # Errors
    ///
    /// When the handshake fails.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropping it closes the connection.
    pub async fn adopt(&self, io: Io) -> io::Result<Place> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_header_list_size(64 * 1024).initial_max_send_streams(STREAMS_UNTIL_TOLD);
        builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        builder.keep_alive_interval(PING_EVERY).keep_alive_timeout(PING_WITHIN).keep_alive_while_idle(true);
        let (sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(io::Error::other)?;
        // Not a task that a shutdown waits for: the connection lives as long as this provider, and its streams are counted by themselves.
        let connection = Arc::new(Mutex::new(connection));
        let known = Arc::downgrade(&connection);
        tokio::spawn(async move {
            if let Err(error) = std::future::poll_fn(|cx| Pin::new(&mut *lock(&connection)).poll(cx)).await {
                tracing::debug!(%error, "an HTTP/2 connection to a provider ended");
            }
        });
        let mut shared = Shared { sender, connection: known, streams: Arc::default(), idle_since: None };
        let place = Place::on(&mut shared);
        self.mine().push(shared);
        Ok(place)
    }

    fn mine(&self) -> MutexGuard<'_, Vec<Shared>> {
        lock(&self.by_worker[worker::index()])
    }
}

/// Whatever panicked with the lock held, a list of connections is still one, and a connection notices by itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn has_room(&self) -> bool {
        let allowed = self.connection.upgrade().map_or(0, |connection| lock(&connection).current_max_send_streams());
        self.streams.load(Ordering::Relaxed) < allowed.min(STREAMS_PER_CONNECTION)
    }

    fn is_used_within(&mut self, max_idle: Duration) -> bool {
        if self.streams.load(Ordering::Relaxed) > 0 {
            self.idle_since = None;
            return true;
        }
        self.idle_since.get_or_insert_with(Instant::now).elapsed() < max_idle
    }
}

impl Place {
    fn on(connection: &mut Shared) -> Self {
        connection.idle_since = None;
        connection.streams.fetch_add(1, Ordering::Relaxed);
        Self { sender: connection.sender.clone(), streams: Arc::clone(&connection.streams) }
    }

    /// Sends a request and waits for the answer's head.
    ///
    /// # Errors
    ///
    /// [`H2Error`].
    ///
    /// # Cancel safety
    ///
    /// Safe: dropping it resets the stream.
    pub async fn send(mut self, uri: &str, headers: &HeaderMap, body: Bytes) -> Result<(AnswerHead, H2Body), H2Error> {
        let mut request = Request::post(uri).body(Full::new(body)).map_err(|error| H2Error::Broken(error.to_string()))?;
        *request.headers_mut() = headers.clone();
        request.headers_mut().remove(http::header::HOST);
        let answer = self.sender.send_request(request).await?;
        let (parts, incoming) = answer.into_parts();
        let head = AnswerHead { status: parts.status.as_u16(), headers: parts.headers };
        Ok((head, H2Body { incoming, _place: self }))
    }
}

impl From<hyper::Error> for H2Error {
    /// RFC 9113, section 8.7: streams past the last one that a GOAWAY names, and those that are refused, have not been processed.
    fn from(error: hyper::Error) -> Self {
        let source = error.source();
        let why = source.map_or_else(|| error.to_string(), ToString::to_string);
        let refused = |error: &h2::Error| (error.is_go_away() && error.is_remote()) || error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let is_not_taken = error.is_canceled() || error.is_closed() || source.and_then(|source| source.downcast_ref()).is_some_and(refused);
        if is_not_taken { Self::NotTaken(why) } else { Self::Broken(why) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl H2Body {
    /// The next bytes of the body; `None` at its regular end.
    ///
    /// # Errors
    ///
    /// When the stream was reset or the connection broke.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(io::Error::other(error)))),
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                return Poll::Ready(Some(Ok(data)));
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Connections to providers that speak HTTP/2, several side by side.
//!
//! One connection carries many streams, up to a limit that its peer sets; past it requests would queue in silence behind answers that last
//! for minutes. So a connection that is full is left alone, and another is opened while the provider's `max_connections` allow it.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tidegate_core::exchange::Phase;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::h1::AnswerHead;
use super::io::Io;
use super::open::Steps;
use super::provider::Slot;
use crate::worker;

/// Streams that one connection carries before another is opened, where the provider may have another: what is lost on one connection delays
/// all of its streams.
const STREAMS_WITH_EASE: usize = 100;
/// Streams that it carries before the peer has said how many it allows. What is beyond would wait if it allows no more.
const STREAMS_UNTIL_TOLD: usize = 1;
/// How much of a request's body is given to a connection at once.
const BODY_PIECE: usize = 16 * 1024;

/// What a provider may send of one stream while its client takes nothing.
const STREAM_WINDOW: u32 = 128 * 1024;
/// Room for all of them: else clients that do not read would hold up the other streams of their connection.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * 100;

/// How often a connection is asked whether it still lives, and how long it may take to say so. Without, a connection that a router forgot would
/// fail every request on it until TCP gives up, minutes later.
const PING_EVERY: Duration = Duration::from_secs(15);
const PING_WITHIN: Duration = Duration::from_secs(10);

/// The open HTTP/2 connections to one provider, by the worker that opened them.
#[derive(Debug)]
pub struct H2Connections {
    by_worker: Box<[Mutex<Vec<Arc<Connection>>>]>,
    /// Told when a stream ends or a connection begins.
    room: Arc<Notify>,
}

/// Does a connection's work.
type Driver = http2::Connection<TokioIo<Io>, Sending, TokioExecutor>;

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Sending>,
    /// It belongs to the task that drives it, whose end closes the sender; here it is only asked how many streams the peer allows.
    driver: Weak<Mutex<Driver>>,
    load: Mutex<Load>,
    room: Arc<Notify>,
}

#[derive(Debug)]
struct Load {
    streams: usize,
    /// When the last stream ended.
    idle_since: Instant,
}

/// One stream's place on a connection.
#[derive(Debug)]
pub struct Place(Arc<Connection>);

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
        Self { by_worker: (0..worker::MAX_WORKERS).map(|_| Mutex::default()).collect(), room: Arc::default() }
    }
}

impl H2Connections {
    /// A place on an open connection of this worker, if one has room with ease.
    #[must_use]
    pub fn place_with_ease(&self) -> Option<Place> {
        self.mine().iter().find_map(|connection| connection.place(STREAMS_WITH_EASE))
    }

    /// A place on any open connection whose peer allows another stream. This worker's come first: elsewhere a packet wakes two cores.
    #[must_use]
    pub fn place_anywhere(&self) -> Option<Place> {
        let place = |list: &Mutex<Vec<Arc<Connection>>>| lock(list).iter().find_map(|connection| connection.place(usize::MAX));
        place(&self.by_worker[worker::index()]).or_else(|| self.by_worker.iter().find_map(place))
    }

    /// Is told when there may be room where there was none.
    pub fn room(&self) -> Notified<'_> {
        self.room.notified()
    }

    /// Makes `io` an HTTP/2 connection and takes a place on it. The connection keeps `slot` for as long as it lives.
    ///
    /// # Errors
    ///
    /// When the handshake fails.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropping it closes the connection.
    pub async fn adopt(&self, io: Io, slot: Slot) -> io::Result<Place> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_header_list_size(64 * 1024).initial_max_send_streams(STREAMS_UNTIL_TOLD);
        builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        builder.keep_alive_interval(PING_EVERY).keep_alive_timeout(PING_WITHIN).keep_alive_while_idle(true);
        let (sender, driver) = builder.handshake(TokioIo::new(io)).await.map_err(io::Error::other)?;
        let driver = Arc::new(Mutex::new(driver));
        // Not a task that a shutdown waits for: the connection lives as long as this provider, and its streams are counted by themselves.
        let known = Arc::downgrade(&driver);
        tokio::spawn(async move {
            if let Err(error) = poll_fn(|cx| Pin::new(&mut *lock(&driver)).poll(cx)).await {
                tracing::debug!(%error, "an HTTP/2 connection to a provider ended");
            }
            drop(slot);
        });
        let load = Load { streams: 1, idle_since: Instant::now() };
        let connection = Arc::new(Connection { sender, driver: known, load: Mutex::new(load), room: Arc::clone(&self.room) });
        self.mine().push(Arc::clone(&connection));
        self.room.notify_waiters();
        Ok(Place(connection))
    }

    /// Closes this worker's connections that carried no stream for `max_idle`, and forgets those that are closed.
    pub fn sweep(&self, max_idle: Duration) {
        self.mine().retain(|connection| {
            let load = lock(&connection.load);
            let is_resting_too_long = load.streams == 0 && load.idle_since.elapsed() >= max_idle;
            !is_resting_too_long && !connection.sender.is_closed()
        });
    }

    fn mine(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        lock(&self.by_worker[worker::index()])
    }
}

/// What these locks guard is changed in one step: a panic elsewhere cannot have left it half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// A place, where the connection lives and carries fewer streams than `most` and its peer allow.
    fn place(self: &Arc<Self>, most: usize) -> Option<Place> {
        if self.sender.is_closed() {
            return None;
        }
        let most = most.min(lock(&*self.driver.upgrade()?).current_max_send_streams());
        let mut load = lock(&self.load);
        if load.streams >= most {
            return None;
        }
        load.streams += 1;
        drop(load);
        Some(Place(Arc::clone(self)))
    }
}

impl Place {
    /// Sends a request and waits for the answer's head. `steps` hear when the request is sent, or need not be any more.
    ///
    /// # Errors
    ///
    /// [`H2Error`].
    ///
    /// # Cancel safety
    ///
    /// Safe: dropping it resets the stream.
    pub async fn send(self, uri: &str, headers: &HeaderMap, body: Bytes, steps: &Arc<Steps>) -> Result<(AnswerHead, H2Body), H2Error> {
        let body = Sending { rest: body, steps: Arc::clone(steps) };
        let mut request = Request::post(uri).body(body).map_err(|error| H2Error::Broken(error.to_string()))?;
        *request.headers_mut() = headers.clone();
        request.headers_mut().remove(http::header::HOST);
        let answer = self.0.sender.clone().send_request(request).await?;
        steps.reach(Phase::Sent);
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
        let mut load = lock(&self.0.load);
        load.streams -= 1;
        load.idle_since = Instant::now();
        drop(load);
        self.0.room.notify_one();
    }
}

/// The body of a request, in pieces: the next one is asked for only once the peer granted room for the one before. That it is sent is known
/// when something is asked for behind the last, so its end has to be a frame of its own.
#[derive(Debug)]
struct Sending {
    rest: Bytes,
    steps: Arc<Steps>,
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            this.steps.reach(Phase::Sent);
            return Poll::Ready(None);
        }
        let piece = this.rest.split_to(this.rest.len().min(BODY_PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
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

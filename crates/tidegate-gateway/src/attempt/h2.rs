//! Connections to providers that speak HTTP/2, several side by side.
//!
//! One connection carries many streams, up to a limit of the peer's; past it requests would queue in silence behind answers that last for
//! minutes. So a connection that is full is left alone and another is opened.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::h1::AnswerHead;
use super::io::Io;
use crate::worker;

/// Streams that one connection is asked to carry: the least that RFC 9113 tells servers to allow.
const STREAMS_PER_CONNECTION: usize = 100;

/// How often a connection is asked whether it still lives, and how long it may take to say so. Without, a connection that a router forgot would
/// fail every request on it until TCP gives up, minutes later.
const PING_EVERY: Duration = Duration::from_secs(15);
const PING_WITHIN: Duration = Duration::from_secs(10);

/// The open HTTP/2 connections to one provider, by worker.
#[derive(Debug)]
pub struct H2Connections {
    by_worker: Box<[Mutex<Vec<Shared>>]>,
}

#[derive(Debug, Clone)]
struct Shared {
    sender: SendRequest<Full<Bytes>>,
    streams: Arc<AtomicUsize>,
}

/// One stream's place on a connection.
#[derive(Debug)]
pub struct Place {
    sender: SendRequest<Full<Bytes>>,
    streams: Arc<AtomicUsize>,
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
        let free = connections.iter().find(|connection| connection.streams.load(Ordering::Relaxed) < STREAMS_PER_CONNECTION);
        free.map(Place::on)
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
        builder.timer(TokioTimer::new()).max_header_list_size(64 * 1024);
        builder.keep_alive_interval(PING_EVERY).keep_alive_timeout(PING_WITHIN).keep_alive_while_idle(true);
        let (sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(io::Error::other)?;
        // Not a task that a shutdown waits for: the connection lives as long as this provider, and its streams are counted by themselves.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection to a provider ended");
            }
        });
        let shared = Shared { sender, streams: Arc::default() };
        let place = Place::on(&shared);
        self.mine().push(shared);
        Ok(place)
    }

    fn mine(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.by_worker[worker::index()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn on(connection: &Shared) -> Self {
        connection.streams.fetch_add(1, Ordering::Relaxed);
        Self { sender: connection.sender.clone(), streams: Arc::clone(&connection.streams) }
    }

    /// Sends a request and waits for the answer's head.
    ///
    /// # Errors
    ///
    /// When the connection or the stream breaks.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropping it resets the stream.
    pub async fn send(mut self, uri: &str, headers: &HeaderMap, body: Bytes) -> io::Result<(AnswerHead, H2Body)> {
        let mut request = Request::post(uri).body(Full::new(body)).map_err(io::Error::other)?;
        *request.headers_mut() = headers.clone();
        request.headers_mut().remove(http::header::HOST);
        self.sender.ready().await.map_err(io::Error::other)?;
        let answer = self.sender.send_request(request).await.map_err(io::Error::other)?;
        let (parts, incoming) = answer.into_parts();
        let head = AnswerHead { status: parts.status.as_u16(), headers: parts.headers };
        Ok((head, H2Body { incoming, _place: self }))
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
            let frame = match std::pin::Pin::new(&mut self.incoming).poll_frame(cx) {
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

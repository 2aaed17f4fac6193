//! A session's WebSocket: messages in, messages out, and what waits for the client counted.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Sink, Stream, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes, error::ProtocolError};

use crate::arrive::listener::Counted;

/// Bytes that are read at once. A session rests nearly all of its life, and what is larger than this is read in pieces.
const READ_BUFFER: usize = 4096;
/// Messages that come together go out together, up to this size.
const WRITE_BUFFER: usize = 16 * 1024;
/// While so much waits for a client, nothing more is read from it: whoever does not read its answers asks no further questions.
const MOST_WAITING: usize = 64 * 1024;

/// The connection of a session.
#[derive(Debug)]
pub(super) struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// Bytes that were written since the socket last took everything.
    waiting: usize,
    _counted: Counted,
}

/// What comes from a client.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A text message, or a binary one.
    Message(Bytes),
    /// A sign of life: a ping, or the answer to one.
    Alive,
    /// It took everything that was written.
    Flushed,
    /// It says that it closes.
    Closed,
    /// It broke the protocol, or its bounds: it is told this code and the connection ends.
    Broken(u16),
    /// The connection is no more.
    Lost,
}

impl Socket {
    /// Goes on with a connection whose handshake is answered. `read` is what the client sent behind its request.
    pub(super) async fn new(tcp: TcpStream, read: Vec<u8>, most: usize, counted: Counted) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(most))
            .max_frame_size(Some(most));
        let stream = WebSocketStream::from_partially_read(tcp, read, Role::Server, Some(config)).await;
        Self { stream, waiting: 0, _counted: counted }
    }

    /// What happens next on the connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        if self.waiting > 0 {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.waiting = 0;
                    return Poll::Ready(Incoming::Flushed);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Incoming::Lost),
                Poll::Pending if self.waiting > MOST_WAITING => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        loop {
            let Poll::Ready(read) = Pin::new(&mut self.stream).poll_next(cx) else { return Poll::Pending };
            return Poll::Ready(match read {
                None => Incoming::Lost,
                Some(Ok(Message::Text(text))) => Incoming::Message(text.into()),
                Some(Ok(Message::Binary(bytes))) => Incoming::Message(bytes),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Incoming::Alive,
                Some(Ok(Message::Close(_))) => Incoming::Closed,
                Some(Ok(Message::Frame(_))) => continue,
                Some(Err(error)) => fault(&error),
            });
        }
    }

    /// Whether the client took everything that was written.
    pub(super) fn is_flushed(&self) -> bool {
        self.waiting == 0
    }

    /// Writes a text message, which is UTF-8. It goes out when the connection is next polled; a connection that is no more says so then.
    pub(super) fn send(&mut self, payload: Vec<u8>) {
        let length = payload.len();
        if let Ok(text) = Utf8Bytes::try_from(payload) {
            self.write(length, Message::Text(text));
        }
    }

    /// Writes a ping.
    pub(super) fn ping(&mut self) {
        self.write(0, Message::Ping(Bytes::new()));
    }

    /// Says goodbye, and waits until the client took it and all before it. Tells whether it did.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the connection without its last words.
    pub(super) async fn close(&mut self, code: u16, reason: &'static str) -> bool {
        let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from_static(reason) };
        self.stream.close(Some(frame)).await.is_ok() && self.hang_up().await
    }

    /// Answers the client's goodbye.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::close`].
    pub(super) async fn finish(&mut self) -> bool {
        self.stream.close(None).await.is_ok()
    }

    /// Reads on until the client hangs up too: a socket that is closed over unread bytes takes back what it sent.
    async fn hang_up(&mut self) -> bool {
        while let Some(Ok(_)) = self.stream.next().await {}
        true
    }

    fn write(&mut self, bytes: usize, message: Message) {
        // A frame has at most ten bytes beside its message.
        self.waiting += bytes + 10;
        // It fails where the connection is no more, which the next poll tells.
        let _refused = Pin::new(&mut self.stream).start_send(message);
    }
}

fn fault(error: &Error) -> Incoming {
    match error {
        Error::Capacity(_) => Incoming::Broken(CloseCode::Size.into()),
        Error::Utf8(_) => Incoming::Broken(CloseCode::Invalid.into()),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Incoming::Lost,
        Error::Protocol(_) => Incoming::Broken(CloseCode::Protocol.into()),
        _ => Incoming::Lost,
    }
}

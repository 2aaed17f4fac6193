//! A session's WebSocket: messages in, messages out, and what waits for the client counted.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{FutureExt, Sink, SinkExt, Stream};
use tidegate_wire::session::Close;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes, error::ProtocolError};

use crate::arrive::listener::Counted;
use crate::arrive::socket::{Bare, Patience};

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
    /// Since when the socket would not take all of it.
    behind_since: Option<Instant>,
    patience: Patience,
    /// See [`Self::message`].
    last: Option<Bytes>,
    _counted: Counted,
}

/// What comes from a client.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A text message, or a binary one.
    Message(Bytes),
    /// A sign of life: a ping, or the answer to one.
    Alive,
    /// Its socket took everything that was written.
    Flushed {
        /// It had been behind: that it goes on is a sign of life. What a buffer of the kernel takes at once is none.
        waited: bool,
    },
    /// It says that it closes.
    Closed,
    /// It broke the protocol, or its bounds: it is told this code and the connection ends.
    Broken(u16),
    /// The connection is no more.
    Lost,
    /// It is given up: its client took too little for too long.
    TooSlow,
}

impl Socket {
    /// Goes on with a connection whose handshake is answered. Its messages may have `most` bytes.
    pub(super) async fn new(bare: Bare, most: usize) -> Self {
        let Bare { tcp, read, counted, patience } = bare;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(most))
            .max_frame_size(Some(most));
        let stream = WebSocketStream::from_partially_read(tcp, read, Role::Server, Some(config)).await;
        Self { stream, waiting: 0, behind_since: None, patience, last: None, _counted: counted }
    }

    /// What happens next on the connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        if self.waiting > 0 {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.waiting = 0;
                    return Poll::Ready(Incoming::Flushed { waited: self.behind_since.take().is_some() });
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Incoming::Lost),
                Poll::Pending => {
                    // Who is silent too is found by the heartbeat, so nothing has to ring here.
                    if self.behind_since.get_or_insert_with(Instant::now).elapsed() > self.patience.for_rest(self.waiting as u64) {
                        return Poll::Ready(Incoming::TooSlow);
                    }
                    if self.waiting > MOST_WAITING {
                        return Poll::Pending;
                    }
                }
            }
        }
        loop {
            let read = Pin::new(&mut self.stream).poll_next(cx);
            self.last = None;
            let Poll::Ready(read) = read else { return Poll::Pending };
            return Poll::Ready(match read {
                None => Incoming::Lost,
                Some(Ok(Message::Text(text))) => self.message(text.into()),
                Some(Ok(Message::Binary(bytes))) => self.message(bytes),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Incoming::Alive,
                Some(Ok(Message::Close(_))) => Incoming::Closed,
                Some(Ok(Message::Frame(_))) => continue,
                Some(Err(error)) => fault(&error),
            });
        }
    }

    /// A large message stays here until the next is looked for: then the engine takes a small buffer instead of keeping this one for ever.
    fn message(&mut self, payload: Bytes) -> Incoming {
        if payload.len() > READ_BUFFER {
            self.last = Some(payload.clone());
        }
        Incoming::Message(payload)
    }

    /// Whether the client took everything that was written.
    pub(super) fn is_flushed(&self) -> bool {
        self.waiting == 0
    }

    /// Whether the client has hung up, behind what is still to be read of it.
    pub(super) fn has_hung_up(&self) -> bool {
        let ready = self.stream.get_ref().ready(Interest::READABLE).now_or_never();
        ready.is_some_and(|ready| ready.is_ok_and(|ready| ready.is_read_closed()))
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

    /// Says goodbye with this code and word, or answers the client's goodbye where there is none to say. Tells whether the socket took that
    /// and all before it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the connection without its last words.
    pub(super) async fn close(&mut self, close: Option<Close>) -> bool {
        let frame = close.map(|Close { code, reason }| CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from_static(reason) });
        match frame {
            Some(frame) => self.stream.send(Message::Close(Some(frame))).await.is_ok(),
            None => self.stream.flush().await.is_ok(),
        }
    }

    /// Hangs up, and reads on until the client does too: a socket that is closed over unread bytes takes back what it sent. The engine reads
    /// no further after a fault, so these are bare bytes.
    ///
    /// # Cancel safety
    ///
    /// Dropping it hangs up at once.
    pub(super) async fn hang_up(&mut self) -> std::io::Result<()> {
        let tcp = self.stream.get_mut();
        tcp.shutdown().await?;
        let mut bytes = [0; 1024];
        while tcp.read(&mut bytes).await? > 0 {}
        Ok(())
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

//! The connection to the other side, which is watched whenever the mock waits.

use std::io;
use std::num::NonZeroU32;
use std::pin::Pin;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::time::Sleep;

/// Most bytes of a next request that are read while an answer runs. Beyond it the peer's leaving shows in writes only.
const MAX_READ_AHEAD: usize = 64 * 1024;

/// The peer closed or reset the connection, or its sending half.
#[derive(Debug)]
pub(crate) struct PeerLeft;

/// A connection and what was read from it in advance.
pub(crate) struct Peer {
    socket: TcpStream,
    pub(super) inbox: BytesMut,
}

impl Peer {
    /// # Errors
    ///
    /// The socket's options cannot be set: it is gone.
    pub(crate) fn new(socket: TcpStream) -> io::Result<Self> {
        // Without it an event waits up to 40 ms for the acknowledgement of the one before.
        socket.set_nodelay(true)?;
        Ok(Self { socket, inbox: BytesMut::new() })
    }

    /// Reads more into the inbox.
    ///
    /// # Errors
    ///
    /// The peer sends no more.
    pub(crate) async fn read(&mut self) -> Result<(), PeerLeft> {
        self.inbox.reserve(4096);
        match self.socket.read_buf(&mut self.inbox).await {
            Ok(0) | Err(_) => Err(PeerLeft),
            Ok(_) => Ok(()),
        }
    }

    /// Writes all of `bytes`. While the peer does not read, its leaving is noticed.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), PeerLeft> {
        let (mut read, mut write) = self.socket.split();
        tokio::select! {
            biased;
            result = write.write_all(bytes) => result.map_err(|_| PeerLeft),
            () = leaving(&mut read, &mut self.inbox) => Err(PeerLeft),
        }
    }

    /// Writes `bytes` in pieces, other tasks between them, so that a reader sees them apart.
    pub(crate) async fn send_in_pieces(&mut self, bytes: &[u8], size: NonZeroU32) -> Result<(), PeerLeft> {
        for piece in bytes.chunks(usize::try_from(size.get()).unwrap_or(usize::MAX)) {
            self.send(piece).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Waits for the end of `sleep`.
    pub(crate) async fn wait(&mut self, sleep: Pin<&mut Sleep>) -> Result<(), PeerLeft> {
        let (mut read, _) = self.socket.split();
        tokio::select! {
            biased;
            () = leaving(&mut read, &mut self.inbox) => Err(PeerLeft),
            () = sleep => Ok(()),
        }
    }

    /// Waits until the peer leaves.
    pub(crate) async fn stall(&mut self) -> PeerLeft {
        let (mut read, _) = self.socket.split();
        leaving(&mut read, &mut self.inbox).await;
        PeerLeft
    }

    /// Ends the connection in good order.
    pub(crate) async fn close(mut self) {
        // A peer that is gone already is closed as well.
        let _ = self.socket.shutdown().await;
    }

    /// Ends the connection by a reset.
    pub(crate) fn reset(self) {
        // Where it fails the peer sees an end of file in the middle of the framing, which is as broken.
        let _ = self.socket.set_zero_linger();
    }
}

/// Returns when the peer has left. Bytes of a next request are kept.
async fn leaving(read: &mut ReadHalf<'_>, inbox: &mut BytesMut) {
    while inbox.len() < MAX_READ_AHEAD {
        match read.read_buf(inbox).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    std::future::pending::<()>().await;
}

//! The load client: its own HTTP/1.1 over plain sockets, so that measuring is cheap and costs the same for every peer.

use std::{
    cell::RefCell,
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    task::{Poll, ready},
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
};

use crate::{
    answer::AnswerReader,
    clock::now_ns,
    event::{StampScanner, Stamps},
    spec::{Mode, Spec},
};

/// One read takes at most this much: enough for whatever a peer piled up while the client slept.
const READ_BUFFER: usize = 64 * 1024;

thread_local! {
    /// One buffer for all connections: what an idle connection holds stays out of the picture.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BUFFER]);
}

/// Whether an answer goes on after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is more to come.
    More,
    /// The answer is complete; the connection may be used for the next request.
    Complete,
}

/// A keep-alive connection to a peer.
pub(crate) struct Connection {
    socket: TcpStream,
    answer: AnswerReader,
    stamps: StampScanner,
}

impl Connection {
    /// # Errors
    ///
    /// When the peer does not take connections.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives the connection up.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, answer: AnswerReader::default(), stamps: StampScanner::default() })
    }

    /// Writes `request`, after which the answer can be read.
    ///
    /// # Errors
    ///
    /// When the peer closed the connection.
    ///
    /// # Cancel safety
    ///
    /// None: a dropped call may leave half a request on the connection.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<()> {
        self.answer = AnswerReader::default();
        self.socket.write_all(request).await.context("the peer closed before the request was written")
    }

    /// Reads once and calls `on_event` with each event's stamps and the time of the read.
    ///
    /// # Errors
    ///
    /// When the answer is not a 200, is broken, or the peer closed before its end.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was read was handed on.
    pub(crate) async fn read(&mut self, mut on_event: impl FnMut(Stamps, u64)) -> Result<Progress> {
        self.read_body(|stamps, piece, now| stamps.feed(piece, &mut |found| on_event(found, now))).await
    }

    /// Reads the answer's body to its end.
    ///
    /// # Errors
    ///
    /// As for [`Connection::read`].
    ///
    /// # Cancel safety
    ///
    /// None: the connection is of no use after a dropped call.
    pub(crate) async fn body(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while self.read_body(|_, piece, _| body.extend_from_slice(piece)).await? == Progress::More {}
        Ok(body)
    }

    /// Reads on until the first event has come.
    ///
    /// # Errors
    ///
    /// As for [`Connection::read`], and when the answer ends without an event.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(crate) async fn first_event(&mut self) -> Result<()> {
        let mut events = 0_u64;
        while events == 0 {
            let progress = self.read(|_, _| events += 1).await?;
            ensure!(events > 0 || progress == Progress::More, "the answer ended without an event");
        }
        Ok(())
    }

    async fn read_body(&mut self, mut on_body: impl FnMut(&mut StampScanner, &[u8], u64)) -> Result<Progress> {
        poll_fn(|context| {
            BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                let read = ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer));
                Poll::Ready(read.context("the connection broke").and_then(|()| self.take(buffer.filled(), &mut on_body)))
            })
        })
        .await
    }

    fn take(&mut self, bytes: &[u8], on_body: &mut impl FnMut(&mut StampScanner, &[u8], u64)) -> Result<Progress> {
        let now = now_ns();
        let Self { answer, stamps, .. } = self;
        ensure!(!bytes.is_empty(), "the peer closed before the answer's end");
        answer.feed(bytes, |piece| on_body(stamps, piece, now))?;
        ensure!(matches!(answer.status(), 0 | 200), "the peer answered {}", String::from_utf8_lossy(bytes));
        Ok(if answer.is_complete() { Progress::Complete } else { Progress::More })
    }
}

/// `GET` of `path`.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").into_bytes()
}

/// A chat request, with a client's key where the peer checks one, that the source answers as `spec` says.
pub(crate) fn chat(spec: Spec, key: Option<&str>) -> Vec<u8> {
    let stream = spec.mode != Mode::Whole;
    let body = format!(
        r#"{{"model":"{spec}","stream":{stream},"messages":[{{"role":"system","content":"You are brief."}},{{"role":"user","content":"What does the tide follow?"}}]}}"#
    );
    let authorization = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nUser-Agent: tidegate-bench\r\nAccept: */*\r\n{authorization}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

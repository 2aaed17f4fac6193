//! A forward proxy such as a company's: tunnels by `CONNECT`, plain requests by their whole address. It remembers what passed.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How a proxy treats requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It serves everybody.
    Open,
    /// It serves those whose `Proxy-Authorization` is this, and answers others with 407.
    Asks(&'static str),
    /// It answers with this status line's end, such as `502 Bad Gateway`.
    Refuses(&'static str),
    /// It answers with something that is no HTTP.
    Babbles,
    /// It never answers.
    Silent,
}

/// One connection that a proxy had.
#[derive(Debug, Clone, Default)]
pub struct Passage {
    /// The first line of the first request.
    pub request_line: String,
    /// What it gave as `Proxy-Authorization`.
    pub authorization: Option<String>,
    /// Everything that the client sent behind that request's head.
    pub sent: Vec<u8>,
    /// The client or the provider has ended it.
    pub ended: bool,
}

/// A running forward proxy. Dropping it ends it with all its connections.
pub struct ForwardProxy {
    addr: SocketAddr,
    passages: Arc<Mutex<Vec<Passage>>>,
    server: JoinHandle<()>,
}

impl ForwardProxy {
    /// Starts a proxy of this manner.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn start(manner: Manner) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let passages = Arc::<Mutex<Vec<Passage>>>::default();
        let all = Arc::clone(&passages);
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(serve(client, manner, Record::begin(&all)));
            }
        });
        Ok(Self { addr, passages, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it had so far, in order.
    #[must_use]
    pub fn passages(&self) -> Vec<Passage> {
        self.passages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The place of one connection in the list.
struct Record {
    passages: Arc<Mutex<Vec<Passage>>>,
    n: usize,
}

impl Record {
    fn begin(passages: &Arc<Mutex<Vec<Passage>>>) -> Self {
        let mut list = passages.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(Passage::default());
        Self { passages: Arc::clone(passages), n: list.len() - 1 }
    }

    fn note(&self, change: impl FnOnce(&mut Passage)) {
        change(&mut self.passages.lock().unwrap_or_else(PoisonError::into_inner)[self.n]);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.note(|passage| passage.ended = true);
    }
}

async fn serve(mut client: TcpStream, manner: Manner, record: Record) -> io::Result<()> {
    let head = read_head(&mut client).await?;
    let (line, headers) = head.split_once("\r\n").unwrap_or((&head, ""));
    let authorization = headers.lines().find_map(|header| {
        let (name, value) = header.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| value.to_owned())
    });
    record.note(|passage| {
        passage.request_line = line.to_owned();
        passage.authorization.clone_from(&authorization);
    });
    if manner == Manner::Silent {
        return std::future::pending().await;
    }
    if let Some(refusal) = refusal(manner, authorization.as_deref()) {
        client.write_all(format!("{refusal}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes()).await?;
        // Closing on unread bytes would reset the connection, and the refusal might be lost.
        while client.read(&mut [0; 1024]).await? > 0 {}
        return Ok(());
    }
    let target = line.split(' ').nth(1).unwrap_or_default();
    let provider = match target.strip_prefix("http://") {
        None => open_tunnel(&mut client, target).await?,
        Some(address) => forward(address, headers).await?,
    };
    let ((from_client, to_client), (from_provider, to_provider)) = (client.into_split(), provider.into_split());
    tokio::select! {
        ended = pass(from_client, to_provider, |bytes| record.note(|passage| passage.sent.extend_from_slice(bytes))) => ended,
        ended = pass(from_provider, to_client, |_| {}) => ended,
    }
}

/// The first lines of a refusal, for those who are not served.
fn refusal(manner: Manner, authorization: Option<&str>) -> Option<String> {
    match manner {
        Manner::Open | Manner::Silent => None,
        Manner::Asks(wanted) if authorization == Some(wanted) => None,
        Manner::Asks(_) => Some("HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"house\"".to_owned()),
        Manner::Refuses(status) => Some(format!("HTTP/1.1 {status}")),
        Manner::Babbles => Some("hello, this is a printer".to_owned()),
    }
}

async fn open_tunnel(client: &mut TcpStream, target: &str) -> io::Result<TcpStream> {
    let provider = TcpStream::connect(target).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    Ok(provider)
}

/// Sends a request's head on. The provider shall close after it: one request for each connection keeps this simple.
async fn forward(address: &str, headers: &str) -> io::Result<TcpStream> {
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let mut provider = TcpStream::connect(host).await?;
    let kept: Vec<&str> = headers.lines().filter(|header| !header.to_ascii_lowercase().starts_with("proxy-")).collect();
    provider.write_all(format!("POST /{path} HTTP/1.1\r\nconnection: close\r\n{}\r\n", kept.join("\r\n")).as_bytes()).await?;
    Ok(provider)
}

/// Up to and with the blank line. Byte by byte: what follows is not the proxy's.
async fn read_head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, look: impl Fn(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        look(&buffer[..count]);
        to.write_all(&buffer[..count]).await?;
    }
}

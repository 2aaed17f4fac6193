//! A receiver of webhooks.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::wait::eventually;

/// A running receiver, by plain HTTP. Dropping it ends it with all its connections.
pub struct Receiver {
    addr: SocketAddr,
    came: Arc<Mutex<Vec<Webhook>>>,
    server: JoinHandle<()>,
}

/// One request that came.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its path and query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Receiver {
    /// Starts a receiver that answers with these statuses in turn, not at all where there is none, and with 200 after them.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn start(replies: &[Option<u16>]) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let came = Arc::<Mutex<Vec<Webhook>>>::default();
        let (all, replies) = (Arc::clone(&came), replies.to_vec());
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, replies.clone(), Arc::clone(&all)));
            }
        });
        Ok(Self { addr, came, server })
    }

    /// The address of a path of it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// What came so far, in order.
    #[must_use]
    pub fn came(&self) -> Vec<Webhook> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The `n`-th webhook, counted from 1, once it has come.
    ///
    /// # Errors
    ///
    /// It never does.
    pub async fn nth(&self, n: usize) -> Result<Webhook> {
        eventually(format!("webhook {n}"), async || self.came().into_iter().nth(n - 1)).await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Webhook {
    /// Judged by the reference implementation of Standard Webhooks: signature, id and time.
    #[must_use]
    pub fn is_signed_with(&self, secret: &str) -> bool {
        standardwebhooks::Webhook::new(secret).is_ok_and(|webhook| webhook.verify(&self.body, &self.headers).is_ok())
    }

    /// A header's value; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// What it says.
    ///
    /// # Errors
    ///
    /// It is no JSON.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

async fn serve(mut socket: TcpStream, replies: Vec<Option<u16>>, came: Arc<Mutex<Vec<Webhook>>>) -> Result<()> {
    let webhook = read(&mut socket).await?;
    let n = {
        let mut came = came.lock().unwrap_or_else(PoisonError::into_inner);
        came.push(webhook);
        came.len() - 1
    };
    let Some(status) = replies.get(n).copied().unwrap_or(Some(200)) else { return std::future::pending().await };
    let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    Ok(socket.write_all(answer.as_bytes()).await?)
}

async fn read(socket: &mut TcpStream) -> Result<Webhook> {
    let mut bytes = Vec::new();
    let end_of_head = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        ensure!(socket.read_buf(&mut bytes).await? > 0, "the request ended in its head");
    };
    let head = String::from_utf8(bytes[..end_of_head].to_vec())?;
    let mut lines = head.split("\r\n");
    let path = lines.next().and_then(|line| line.split(' ').nth(1)).context("a request line")?.to_owned();
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.append(name.parse::<HeaderName>()?, value.parse::<HeaderValue>()?);
    }
    let length: usize = headers.get("content-length").context("a length")?.to_str()?.parse()?;
    let mut body = bytes.split_off(end_of_head + 4);
    while body.len() < length {
        ensure!(socket.read_buf(&mut body).await? > 0, "the request ended in its body");
    }
    Ok(Webhook { path, headers, body })
}

//! How a client of sessions introduces itself.

use std::net::SocketAddr;

use anyhow::Result;
use http::Request;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::chat::request;
use crate::raw::Answer;
use crate::view::View;
use crate::wait::in_time;

/// How a client asks for a session.
#[derive(Debug, Clone)]
pub struct Hello {
    path: String,
    headers: Vec<(String, String)>,
    receive_buffer: Option<u32>,
}

impl Hello {
    /// A client that can resume its session.
    #[must_use]
    pub fn resumable() -> Self {
        Self::plain().header("sec-websocket-protocol", "tidegate.v1")
    }

    /// A client that knows nothing of subprotocols: its session ends with its connection.
    #[must_use]
    pub fn plain() -> Self {
        Self { path: "/v1/sessions".to_owned(), headers: Vec::new(), receive_buffer: None }
    }

    /// At another path.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// With a header of its own.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a Tidegate key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// Takes little into its own socket, so that what it does not read waits in the gateway.
    #[must_use]
    pub fn reluctant(mut self) -> Self {
        self.receive_buffer = Some(8 * 1024);
        self
    }

    /// What the gateway answers to it over HTTP: for one that is to be refused.
    ///
    /// # Errors
    ///
    /// See [`Answer::view`].
    pub async fn answer(&self, addr: SocketAddr) -> Result<View> {
        Answer::to(addr, &self.bytes()).await?.view().await
    }

    /// The request's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        request("GET", &self.path, &self.handshake(), b"")
    }

    fn handshake(&self) -> Vec<(String, String)> {
        let key = generate_key();
        let own = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-key", &key)];
        own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).chain(self.headers.iter().cloned()).collect()
    }

    pub(super) async fn connect(&self, addr: SocketAddr) -> Result<WebSocketStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = in_time("a connection", socket.connect(addr)).await??;
        stream.set_nodelay(true)?;
        let request = Request::get(format!("ws://{addr}{}", self.path)).header("host", addr.to_string());
        let request = self.handshake().iter().fold(request, |request, (name, value)| request.header(name, value));
        let (socket, _) = in_time("a session", client_async(request.body(())?, stream)).await??;
        Ok(socket)
    }
}

//! One session as its client: prompts out, what comes of them in.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Message, Utf8Bytes,
        client::IntoClientRequest as _,
        http::{HeaderValue, header},
    },
};

use crate::{
    echo,
    spec::{Mode, Spec},
};

/// An answer of a few words, as fast as the source says them.
const ANSWER: Spec = Spec { mode: Mode::Flat, think: std::time::Duration::ZERO, events: 8 };

/// What a message means to the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A prompt was accepted; an echo server, which understands none, gives it back.
    Accepted,
    /// A piece of its answer.
    Token,
    /// Its answer is complete.
    Complete,
    /// A prompt was not accepted: too many wait, or the queue does not keep up.
    Refused,
    /// An accepted prompt ended without its answer, because the queue does not keep up.
    Failed,
    /// Whatever else.
    Other,
}

/// A session on its connection.
pub(crate) struct Session {
    socket: WebSocketStream<TcpStream>,
    prompt: Utf8Bytes,
}

impl Session {
    /// Connects as a client that can resume.
    ///
    /// # Errors
    ///
    /// When the peer does not take the connection or refuses the session.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives the connection up.
    pub(crate) async fn open(address: SocketAddr, key: Option<&str>) -> Result<Self> {
        let mut request = format!("ws://{address}/v1/sessions").into_client_request()?;
        let headers = request.headers_mut();
        if let Some(key) = key {
            headers.insert(header::AUTHORIZATION, format!("Bearer {key}").try_into()?);
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("tidegate.v1"));
        }
        let connection = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        connection.set_nodelay(true)?;
        let (socket, _) = client_async_with_config(request, connection, Some(echo::buffers())).await?;
        Ok(Self { socket, prompt: format!(r#"{{"type":"PROMPT","model":"{ANSWER}","content":"What does the tide follow?"}}"#).into() })
    }

    /// Sends a prompt.
    ///
    /// # Errors
    ///
    /// When the peer closed the connection.
    ///
    /// # Cancel safety
    ///
    /// None: a dropped call may leave half a frame behind.
    pub(crate) async fn ask(&mut self) -> Result<()> {
        self.socket.send(Message::Text(self.prompt.clone())).await.context("the peer closed before the prompt was written")
    }

    /// The next message.
    ///
    /// # Errors
    ///
    /// When a prompt was refused or failed for another reason than too much work, or the peer closed.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(crate) async fn next(&mut self) -> Result<Said> {
        loop {
            let message = self.socket.next().await.context("the peer closed the session")??;
            if let Message::Text(text) = message {
                return meaning(&text);
            }
        }
    }

    /// Reads on to the end of an answer.
    ///
    /// # Errors
    ///
    /// When there will be none, as for [`Self::next`] or because the peer has too much work.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(crate) async fn finish(&mut self, last: Said) -> Result<()> {
        loop {
            match self.next().await? {
                Said::Refused | Said::Failed => bail!("the peer has too much work to answer"),
                said if said == last => return Ok(()),
                _ => {}
            }
        }
    }

    /// Ends the session, which a peer would otherwise keep for a client that comes back.
    ///
    /// # Errors
    ///
    /// When the peer closed the connection.
    ///
    /// # Cancel safety
    ///
    /// None: a dropped call may leave half a frame behind.
    pub(crate) async fn close(mut self) -> Result<()> {
        self.socket.close(None).await.context("the peer closed before the session's end was written")
    }
}

fn meaning(text: &str) -> Result<Said> {
    let kind = text.strip_prefix(r#"{"type":""#).and_then(|rest| rest.split('"').next());
    match kind {
        Some("ACK" | "PROMPT") => Ok(Said::Accepted),
        Some("TOKEN") => Ok(Said::Token),
        Some("COMPLETE") => Ok(Said::Complete),
        Some("RATE_LIMITED") => Ok(Said::Refused),
        Some("ERROR") if text.contains(r#""code":"gateway_overloaded""#) => {
            Ok(if text.contains(r#""taskId":"#) { Said::Failed } else { Said::Refused })
        }
        Some("SESSION" | "NOTICE") => Ok(Said::Other),
        _ => bail!("the peer said {text}"),
    }
}

#[cfg(test)]
mod tests;

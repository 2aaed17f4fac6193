//! One attempt to deliver a webhook: name, connection, request, the answer's head.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use rustls::pki_types::ServerName;
use secrecy::SecretString;
use tidegate_config::Http2;
use tidegate_ledger::outbox::Message;
use tidegate_wire::names::value;
use tokio::io::AsyncReadExt;
use tokio::sync::OnceCell;
use url::{Host, Position, Url};

use super::address::{self, BadWebhookUrl, Unreachable};
use super::schedule::{self, Outcome};
use super::sign;
use crate::attempt::connect;
use crate::attempt::h1::{self, H1Error};
use crate::attempt::io::Io;

/// How long an attempt may take until the answer's head is there.
pub(super) const WITHIN: Duration = Duration::from_secs(15);

/// What is read of an answer's body, and for how long. Nobody looks at it: a receiver that still writes shall not see its connection reset.
const MAX_ANSWER: u64 = 4 * 1024;
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("no connection: {0}")]
    Connect(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] H1Error),
    #[error("no answer within {} s", WITHIN.as_secs())]
    TimedOut,
}

impl SendError {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Unreachable(Unreachable::Forbidden(_)) => Outcome::Forbidden,
            _ => Outcome::NoAnswer,
        }
    }
}

/// What all attempts share: the TLS settings, made when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Sender {
    tls: OnceCell<Arc<rustls::ClientConfig>>,
}

impl Sender {
    #[cfg(test)]
    pub(super) fn trusting(tls: Arc<rustls::ClientConfig>) -> Self {
        Self { tls: OnceCell::new_with(Some(tls)) }
    }

    /// Sends the message once. Dropping it closes the connection.
    pub(super) async fn send(
        &self,
        message: &Message,
        secret: &SecretString,
        allow_private: bool,
        now_unix_ms: u64,
    ) -> Result<Outcome, SendError> {
        let attempt = async {
            // What was allowed when the message was added may not be any longer.
            let url = address::check_url(&message.url, allow_private).map_err(Unreachable::from)?;
            let head = head(&url, message, secret, now_unix_ms / 1000);
            let mut io = self.connect(&url, allow_private).await?;
            let mut rest = BytesMut::new();
            let early = h1::send(&mut io, Bytes::from(head), Bytes::from(message.body.clone()), &mut rest).await?;
            let answer = match early {
                Some(answer) => answer,
                None => h1::read_head(&mut io, &mut rest).await?,
            };
            Ok((io, answer))
        };
        let (io, answer) = tokio::time::timeout(WITHIN, attempt).await.map_err(|_| SendError::TimedOut).flatten()?;
        let _ = tokio::time::timeout(ANSWER_WITHIN, tokio::io::copy(&mut io.take(MAX_ANSWER), &mut tokio::io::sink())).await;
        Ok(Outcome::Answered { status: answer.status, retry_after: retry_after(&answer.headers, now_unix_ms) })
    }

    async fn connect(&self, url: &Url, allow_private: bool) -> Result<Io, SendError> {
        let addresses = address::resolve(url, allow_private).await?;
        let tcp = connect::open_first(&addresses).await?;
        if url.scheme() == "http" {
            return Ok(Io::Plain(tcp));
        }
        let name = match url.host() {
            Some(Host::Ipv4(address)) => ServerName::from(std::net::IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => ServerName::from(std::net::IpAddr::V6(address)),
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(io::Error::other)?,
            None => return Err(Unreachable::from(BadWebhookUrl::from(url::ParseError::EmptyHost)).into()),
        };
        let session = tokio_rustls::TlsConnector::from(self.tls().await?).connect(name, tcp).await?;
        Ok(Io::Tls(Box::new(session)))
    }

    /// Reading the system's certificates takes a while, so it is done where no stream waits for it.
    async fn tls(&self) -> io::Result<Arc<rustls::ClientConfig>> {
        let make = async || {
            let made = tokio::task::spawn_blocking(|| connect::tls_settings(None, Http2::Never)).await?;
            made.map_err(io::Error::other)
        };
        self.tls.get_or_try_init(make).await.cloned()
    }
}

fn head(url: &Url, message: &Message, secret: &SecretString, timestamp_s: u64) -> String {
    let signature = sign::signature(secret, &message.id, timestamp_s, message.body.as_bytes());
    format!(
        "POST {target} HTTP/1.1\r\nhost: {host}\r\nuser-agent: tidegate/{version}\r\naccept: */*\r\nconnection: close\r\n\
         content-type: {json}\r\ncontent-length: {length}\r\n{id}: {message_id}\r\n{timestamp}: {timestamp_s}\r\n{signed}: {signature}\r\n\r\n",
        // The url crate leaves nothing in these two that could end a line.
        target = &url[Position::BeforePath..Position::AfterQuery],
        host = &url[Position::BeforeHost..Position::AfterPort],
        version = env!("CARGO_PKG_VERSION"),
        json = value::JSON,
        length = message.body.len(),
        id = sign::ID,
        message_id = message.id,
        timestamp = sign::TIMESTAMP,
        signed = sign::SIGNATURE,
    )
}

fn retry_after(headers: &HeaderMap, now_unix_ms: u64) -> Option<Duration> {
    schedule::retry_after(headers.get(http::header::RETRY_AFTER)?.to_str().ok()?, now_unix_ms)
}

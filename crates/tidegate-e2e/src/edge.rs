//! The edge of a provider: a real nginx that ends TLS and HTTP/2 in front of the mock.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use tidegate_scenario::{JournalEntry, Mock};

use crate::authority::Authority;
use crate::nginx::Nginx;

/// The name that the edge's address has.
const HOST: &str = "localhost";
/// The authority's certificate, in the gateway's folder.
pub const CA_FILE: &str = "ca.pem";

/// How a provider's edge is set up.
#[derive(Debug, Clone)]
pub struct Edge {
    /// The name in its certificate; without one it speaks no TLS.
    certified: Option<&'static str>,
    http2: bool,
    settings: String,
}

/// An edge that runs in front of a mock.
pub struct RunningEdge {
    /// The server; dropping it cuts every connection.
    pub nginx: Nginx,
    /// What a gateway has to be told of it.
    pub base_url: String,
}

/// How a request came to the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Number of the connection.
    pub connection: u64,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
}

impl Edge {
    /// TLS by a private authority, with HTTP/2 and HTTP/1.1 to choose from.
    #[must_use]
    pub fn tls() -> Self {
        Self { certified: Some(HOST), http2: true, settings: String::new() }
    }

    /// HTTP/2 by prior knowledge, without TLS.
    #[must_use]
    pub fn h2c() -> Self {
        Self { certified: None, http2: true, settings: String::new() }
    }

    /// Without HTTP/2.
    #[must_use]
    pub fn http1_only(self) -> Self {
        Self { http2: false, ..self }
    }

    /// With a certificate for another name than its address has.
    #[must_use]
    pub fn certified_for(self, name: &'static str) -> Self {
        Self { certified: Some(name), ..self }
    }

    /// With further settings of nginx.
    #[must_use]
    pub fn with(mut self, settings: &str) -> Self {
        self.settings += settings;
        self
    }

    /// Starts it in front of `mock`, and leaves its authority's certificate in `folder` as [`CA_FILE`].
    ///
    /// # Errors
    ///
    /// As for [`Nginx::start`].
    pub async fn start(&self, mock: &Mock, folder: &Path) -> Result<RunningEdge> {
        let authority = Authority::new()?;
        std::fs::write(folder.join(CA_FILE), authority.certificate())?;
        let mut files = Vec::new();
        if let Some(name) = self.certified {
            let certified = authority.certify(name)?;
            files = vec![("server.pem", certified.certificate), ("server.key", certified.key)];
        }
        let nginx = Nginx::launch(&files, |addr| self.server(addr, mock.addr())).await?;
        let scheme = if self.certified.is_some() { "https" } else { "http" };
        let base_url = format!("{scheme}://{HOST}:{}/v1", nginx.addr().port());
        Ok(RunningEdge { nginx, base_url })
    }

    fn server(&self, addr: SocketAddr, mock: SocketAddr) -> String {
        let mut text = format!("listen {addr}");
        if self.certified.is_some() {
            text += " ssl";
        }
        if self.http2 {
            text += " http2";
        }
        text += "; ";
        if self.certified.is_some() {
            text += "ssl_certificate server.pem; ssl_certificate_key server.key; ";
        }
        // The journal of the mock then tells how each request came.
        let told = "proxy_set_header X-Edge-Connection $connection; proxy_set_header X-Edge-Protocol $server_protocol;";
        let relayed = "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off;";
        // Writing to a string cannot fail.
        let _ = write!(text, "{} location / {{ proxy_pass http://{mock}; {relayed} {told} }}", self.settings);
        text
    }
}

/// How a request of the mock's journal came to the edge before it; `None` where there was none.
#[must_use]
pub fn visit(entry: &JournalEntry) -> Option<Visit> {
    let header = |wanted: &str| entry.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    Some(Visit { connection: header("x-edge-connection")?.parse().ok()?, protocol: header("x-edge-protocol")?.clone() })
}

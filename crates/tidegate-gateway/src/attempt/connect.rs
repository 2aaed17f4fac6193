//! From a provider's address to a connection: name, TCP, proxy, TLS.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use percent_encoding::percent_decode_str;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tidegate_config::Http2;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use super::io::Io;

/// How long one address of several may keep the others waiting (RFC 8305 calls it the connection attempt delay, and this is its end).
const PER_ADDRESS: Duration = Duration::from_secs(2);
/// Largest answer of a proxy to `CONNECT`.
const MAX_PROXY_ANSWER: usize = 8 * 1024;

/// Where connections go.
#[derive(Debug, Clone)]
pub enum Destination {
    /// Straight to the provider.
    Direct {
        /// Host and port.
        host: Endpoint,
        /// With TLS.
        tls: bool,
    },
    /// Through a proxy that reads the requests (the provider speaks plain HTTP).
    ThroughPlainProxy {
        /// The provider.
        host: Endpoint,
    },
    /// Through a proxy's tunnel.
    ThroughTunnel {
        /// The provider.
        host: Endpoint,
        /// With TLS inside.
        tls: bool,
    },
}

/// A host and a port.
#[derive(Debug, Clone)]
pub struct Endpoint {
    name: String,
    port: u16,
    default_port: bool,
}

impl Destination {
    /// Where connections for `base` go, given `proxy`. HTTP/2 by prior knowledge needs a tunnel: a proxy that reads requests reads HTTP/1.1.
    ///
    /// # Errors
    ///
    /// What is wrong with the address.
    pub fn of(base: &Url, proxy: Option<&Url>, http2: Http2) -> Result<Self, &'static str> {
        let host = Endpoint::of(base).ok_or("base_url: it names no host")?;
        let tls = base.scheme() == "https";
        Ok(match (proxy, tls) {
            (None, tls) => Self::Direct { host, tls },
            (Some(_), false) if http2 != Http2::Always => Self::ThroughPlainProxy { host },
            (Some(_), tls) => Self::ThroughTunnel { host, tls },
        })
    }

    fn host(&self) -> &Endpoint {
        match self {
            Self::Direct { host, .. } | Self::ThroughPlainProxy { host } | Self::ThroughTunnel { host, .. } => host,
        }
    }

    fn has_tls(&self) -> bool {
        matches!(self, Self::Direct { tls: true, .. } | Self::ThroughTunnel { tls: true, .. })
    }

    /// The provider's name as its `Host` header has it.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.host();
        if host.default_port { host.name.clone() } else { format!("{}:{}", host.name, host.port) }
    }
}

impl Endpoint {
    fn of(address: &Url) -> Option<Self> {
        let name = address.host_str()?.to_owned();
        Some(Self { name, port: address.port_or_known_default()?, default_port: address.port().is_none() })
    }

    /// The name without the brackets of an IPv6 address.
    fn bare_name(&self) -> &str {
        self.name.trim_start_matches('[').trim_end_matches(']')
    }

    async fn open_tcp(&self) -> io::Result<TcpStream> {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((self.bare_name(), self.port)).await?.collect();
        open_first(&addresses).await
    }
}

/// Opens a connection to the first of a name's `addresses` that takes one.
///
/// # Errors
///
/// What went wrong with the last of them.
///
/// # Cancel safety
///
/// Safe: dropping it closes what was opened.
pub async fn open_first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (n, address) in addresses.iter().enumerate() {
        let is_last = n + 1 == addresses.len();
        match open_address(*address, is_last).await {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The last address may take whatever time the caller has left.
async fn open_address(address: SocketAddr, is_last: bool) -> io::Result<TcpStream> {
    if is_last {
        return TcpStream::connect(address).await;
    }
    tokio::time::timeout(PER_ADDRESS, TcpStream::connect(address)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Opens a connection to `destination`.
///
/// # Errors
///
/// What went wrong.
///
/// # Cancel safety
///
/// Safe: dropping it closes what was opened.
pub async fn connect(
    destination: &Destination,
    proxy: Option<&Url>,
    tls: impl FnOnce() -> io::Result<Arc<rustls::ClientConfig>>,
) -> io::Result<Io> {
    let first_hop = match proxy {
        Some(proxy) => &Endpoint::of(proxy).ok_or_else(|| io::Error::other("the proxy's address names no host"))?,
        None => destination.host(),
    };
    let mut tcp = first_hop.open_tcp().await?;
    if let Destination::ThroughTunnel { host, .. } = destination {
        open_tunnel(&mut tcp, host, proxy).await?;
    }
    if !destination.has_tls() {
        return Ok(Io::Plain(tcp));
    }
    let name = ServerName::try_from(destination.host().bare_name().to_owned()).map_err(io::Error::other)?;
    let session = tokio_rustls::TlsConnector::from(tls()?).connect(name, tcp).await?;
    Ok(Io::Tls(Box::new(session)))
}

async fn open_tunnel(tcp: &mut TcpStream, host: &Endpoint, proxy: Option<&Url>) -> io::Result<()> {
    let place = format!("{}:{}", host.name, host.port);
    let authorization = proxy.and_then(basic_authorization).map_or_else(String::new, |value| format!("Proxy-Authorization: {value}\r\n"));
    tcp.write_all(format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{authorization}\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the head belongs to the tunnel.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= MAX_PROXY_ANSWER {
            return Err(io::Error::other("the proxy's answer is too large"));
        }
        answer.push(tcp.read_u8().await?);
    }
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut lines);
    parsed.parse(&answer).map_err(|_| io::Error::other("the proxy's answer is not HTTP"))?;
    match parsed.code {
        Some(200..=299) => Ok(()),
        Some(status) => Err(io::Error::other(format!("the proxy refused the tunnel with status {status}"))),
        None => Err(io::Error::other("the proxy's answer has no status")),
    }
}

/// The value for the proxy's `Proxy-Authorization`, where its address carries a name or a password.
#[must_use]
pub fn basic_authorization(proxy: &Url) -> Option<String> {
    if proxy.username().is_empty() && proxy.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(proxy.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(proxy.password().unwrap_or_default()));
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

/// TLS settings with the system's roots (Mozilla's where it has none) and those of `ca_file`.
///
/// # Errors
///
/// What is wrong with the file, as text, because the result is kept and told again.
pub fn tls_settings(ca_file: Option<&Path>, http2: Http2) -> Result<Arc<rustls::ClientConfig>, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(file) = ca_file {
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| format!("ca_file: {error}"))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| format!("ca_file: {error}"))?;
            roots.add(certificate).map_err(|error| format!("ca_file: {error}"))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut settings = versions.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    settings.alpn_protocols = match http2 {
        Http2::Never => vec![b"http/1.1".to_vec()],
        Http2::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Http2::Always => vec![b"h2".to_vec()],
    };
    Ok(Arc::new(settings))
}

//! Where a webhook may go.
//!
//! A client names the address, and the gateway stands where the client does not: beside databases, metadata services and admin pages. So a
//! webhook goes to the public internet only, unless the operator allows more. The name is resolved here, every address it has is judged, and
//! the connection is opened to one of those: a name that answers differently the next time gains nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

/// Longest address of a webhook.
const MAX_URL: usize = 2048;

/// Why a webhook does not go to an address. Each message says what to do about it; none repeats more of the address than its host.
#[derive(Debug, thiserror::Error)]
pub enum BadWebhookUrl {
    /// It is no URL.
    #[error("the webhook's address cannot be read ({0}); write it as https://host/path")]
    Unreadable(#[from] url::ParseError),
    /// It is too long.
    #[error("the webhook's address has more than {MAX_URL} characters; shorten it")]
    TooLong,
    /// Its scheme is not `https`, or `http` where that is allowed.
    #[error("the webhook's address begins with {0}://; write https:// (http:// needs notify.allow_private)")]
    Scheme(String),
    /// It carries a name or a password.
    #[error("the webhook's address carries a name or password; remove it, the signature proves who sends")]
    UserInfo,
    /// Its host is not on the public internet.
    #[error("the webhook's host {0} is not on the public internet; use one that is, or set notify.allow_private")]
    Private(String),
}

/// Reads a webhook's address and judges what can be judged without asking for its name.
///
/// # Errors
///
/// [`BadWebhookUrl`]; its text is fit for whoever named the address.
pub fn check_url(text: &str, allow_private: bool) -> Result<Url, BadWebhookUrl> {
    if text.len() > MAX_URL {
        return Err(BadWebhookUrl::TooLong);
    }
    let url = Url::parse(text)?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        other => return Err(BadWebhookUrl::Scheme(other.to_owned())),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadWebhookUrl::UserInfo);
    }
    let host = url.host().ok_or(url::ParseError::EmptyHost)?;
    if allow_private || may_be_public(&host) { Ok(url) } else { Err(BadWebhookUrl::Private(host.to_string())) }
}

/// False for addresses that are not public, and for names that never mean another machine (RFC 6761).
fn may_be_public(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => is_public(IpAddr::V4(*address)),
        Host::Ipv6(address) => is_public(IpAddr::V6(*address)),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name != "localhost" && !name.ends_with(".localhost")
        }
    }
}

/// Why a webhook's host gave no address to connect to.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// It may not be reached.
    #[error(transparent)]
    Forbidden(#[from] BadWebhookUrl),
    /// Its name could not be resolved.
    #[error("the host's name cannot be resolved: {0}")]
    Name(#[from] io::Error),
}

/// The addresses of the URL's host, all of which may be connected to.
///
/// # Errors
///
/// [`Unreachable`]; one address that is not public is enough to refuse all.
///
/// # Cancel safety
///
/// Safe: it only asks.
pub async fn resolve(url: &Url, allow_private: bool) -> Result<Vec<SocketAddr>, Unreachable> {
    let port = url.port_or_known_default().unwrap_or(443);
    let addresses: Vec<SocketAddr> = match url.host().ok_or(BadWebhookUrl::from(url::ParseError::EmptyHost))? {
        Host::Ipv4(address) => vec![(address, port).into()],
        Host::Ipv6(address) => vec![(address, port).into()],
        Host::Domain(name) => tokio::net::lookup_host((name, port)).await?.collect(),
    };
    match addresses.iter().find(|address| !allow_private && !is_public(address.ip())) {
        Some(_) => Err(BadWebhookUrl::Private(url.host_str().unwrap_or_default().to_owned()).into()),
        None => Ok(addresses),
    }
}

/// Whether an address is one of a machine on the public internet.
///
/// Source: the IANA registries of special-purpose addresses (RFC 6890). Where an IPv6 address stands for an IPv4 one, that one is judged.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    // Azure's host answers its virtual machines there, secrets included, although the address is a public one.
    const AZURE_HOST: [u8; 4] = [168, 63, 129, 16];
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224.., ..]           // this network, private, loopback; multicast, reserved, broadcast
            | [100, 64..=127, ..]            // shared by carriers, and by metadata services
            | [169, 254, ..]                 // link-local, where most metadata services are
            | [172, 16..=31, ..]             // private
            | [192, 0, 0 | 2, _]             // protocol assignments; documentation
            | [192, 88, 99, _]               // relays to 6to4, given up by RFC 7526
            | [192, 168, ..]                 // private
            | [198, 18 | 19, ..]             // benchmarks
            | [198, 51, 100, _]              // documentation
            | [203, 0, 113, _]               // documentation
            | AZURE_HOST
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // IPv4 in IPv6, and IPv4 through a translator (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(embedded(high, low)),
        // 6to4 (RFC 3056): what is behind it is the IPv4 address.
        [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
        [0x2001, 0..=0x1ff, ..] => false, // protocol assignments: Teredo, benchmarks, ORCHID
        [0x2001, 0xdb8, ..] => false,     // documentation
        [0x3fff, 0..=0xfff, ..] => false, // documentation
        // All that was ever given out as global unicast. Unspecified, loopback, unique local, link-local and multicast are outside.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests;

//! The opening handshake: an HTTP request becomes a session's connection, or is refused as any other request is.
//!
//! A session's road in is wider than a request's: a browser's WebSocket can set no headers, so its key may stand in the list of
//! subprotocols or behind a one-time ticket in the address, and it connects across origins without asking. Neither key nor ticket is
//! repeated in any answer or log line.
//!
//! Source: RFC 6455, section 4.2.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::header::{
    ALLOW, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::uri::Authority;
use http::{Method, Request, StatusCode, Uri, Version};
use http_body::Body;
use tidegate_config::ANY_ORIGIN;
use tidegate_core::Moment;
use tidegate_core::failure::Failure;
use tidegate_core::session::Client;
use tidegate_ledger::KeyTable;
use tidegate_wire::names::session as names;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use url::Url;

use super::tickets::Tickets;
use crate::admit::Caller;
use crate::admit::auth;
use crate::admit::permit::{Permit, Permits};
use crate::deliver::answer::{AnswerBody, Response};
use crate::deliver::refuse;
use crate::drain::Stage;

/// Bytes of a handshake's random key.
const KEY_LENGTH: usize = 16;
/// The key's alphabet. Its last digit may have idle bits: the RFC's own example has.
const KEY_ENCODING: GeneralPurpose = GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// What decides about a handshake, besides itself.
#[derive(Debug, Clone, Copy)]
pub struct Door<'a> {
    /// The client keys in force.
    pub keys: &'a KeyTable,
    /// The one-time tickets.
    pub tickets: &'a Tickets,
    /// Origins whose pages may connect, as browsers write them (`https://app.example.com`), or [`ANY_ORIGIN`]. The gateway's own origin
    /// always may, and so may a client that names none, because it is no browser.
    pub allowed_origins: &'a [String],
    /// The sessions that run.
    pub sessions: &'a Permits,
    /// How many may.
    pub most_sessions: usize,
    /// Whether the gateway still accepts them.
    pub stage: Stage,
    /// The present.
    pub now: Moment,
}

/// A session that may begin, once [`Self::response`] is sent.
#[derive(Debug)]
pub struct Admitted {
    /// Whose it is.
    pub caller: Caller,
    /// What its client can do.
    pub client: Client,
    /// Its place among the sessions that run.
    pub permit: Permit,
    /// 101, after which the connection speaks WebSocket without extensions.
    pub response: Response,
}

/// Why a session may not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The method is not GET.
    Method,
    /// This asks for no WebSocket, or for another version of it.
    NotWebSocket,
    /// The handshake breaks the protocol; the text says how.
    Malformed(&'static str),
    /// Pages of this origin may not connect.
    Origin,
    /// The gateway is shutting down.
    Draining,
    /// As many sessions run as may.
    Full,
    /// The key is missing, unknown or revoked.
    Key,
    /// The ticket is unknown, used or expired, or its key was revoked.
    Ticket,
}

impl Door<'_> {
    /// Judges a request for a session. Costs no ticket unless everything else is right.
    ///
    /// # Errors
    ///
    /// [`Refused`], whose [`Refused::response`] is the answer.
    pub fn judge<B: Body>(&self, request: &Request<B>) -> Result<Admitted, Refused> {
        let headers = request.headers();
        let key = shape(request)?;
        if !self.may_come_from(headers) {
            return Err(Refused::Origin);
        }
        if self.stage != Stage::Serving {
            return Err(Refused::Draining);
        }
        let permit = self.sessions.admit(self.most_sessions).ok_or(Refused::Full)?;
        let caller = self.caller(request.uri(), headers)?;
        let client = if listed(headers, &SEC_WEBSOCKET_PROTOCOL).any(|offered| offered == names::SUBPROTOCOL) {
            Client::Resumable
        } else {
            Client::Plain
        };
        Ok(Admitted { caller, client, permit, response: switching(key, client) })
    }

    /// A browser names the page's origin and nothing can keep the page from connecting but this. No other client sends the header.
    fn may_come_from(&self, headers: &HeaderMap) -> bool {
        if !headers.contains_key(ORIGIN) {
            return true;
        }
        let Some(origin) = sole(headers, &ORIGIN) else { return false };
        let is_listed = |allowed: &String| allowed == ANY_ORIGIN || allowed.eq_ignore_ascii_case(origin);
        self.allowed_origins.iter().any(is_listed) || sole(headers, &HOST).is_some_and(|host| is_own(origin, host))
    }

    /// A ticket that is there is what counts, also where the gateway is open: what works on a laptop then works in production.
    fn caller(&self, uri: &Uri, headers: &HeaderMap) -> Result<Caller, Refused> {
        if let Some(ticket) = ticket(uri) {
            return self.tickets.redeem(ticket, self.keys, self.now).ok_or(Refused::Ticket);
        }
        if let Ok(caller) = auth::caller(headers, self.keys) {
            return Ok(caller);
        }
        let mut bearers = listed(headers, &SEC_WEBSOCKET_PROTOCOL).filter_map(|offered| offered.strip_prefix(names::BEARER_PREFIX));
        bearers.find_map(|key| self.keys.lookup(key)).cloned().map(Caller::Key).ok_or(Refused::Key)
    }
}

impl Refused {
    /// The row of the failure table that it is told and counted as.
    #[must_use]
    pub fn failure(self) -> Failure {
        match self {
            Self::Method | Self::NotWebSocket | Self::Malformed(_) | Self::Origin => Failure::InvalidRequest,
            Self::Draining => Failure::GatewayDraining,
            Self::Full => Failure::GatewayOverloaded,
            Self::Key | Self::Ticket => Failure::InvalidApiKey,
        }
    }

    /// What the client reads, over HTTP.
    #[must_use]
    pub fn response(self) -> Response {
        let mut response = refuse::early(self.failure(), self.message(), None);
        let status = match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotWebSocket => StatusCode::UPGRADE_REQUIRED,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Malformed(_) | Self::Draining | Self::Full | Self::Key | Self::Ticket => return response,
        };
        *response.status_mut() = status;
        let headers = response.headers_mut();
        match self {
            Self::Method => drop(headers.insert(ALLOW, HeaderValue::from_static("GET"))),
            Self::NotWebSocket => {
                headers.insert(UPGRADE, HeaderValue::from_static(names::WEBSOCKET));
                headers.insert(CONNECTION, HeaderValue::from_static(names::UPGRADE));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(names::VERSION));
            }
            _ => {}
        }
        response
    }

    fn message(self) -> Option<&'static str> {
        match self {
            Self::Method => Some("a session is opened by GET"),
            Self::NotWebSocket => Some("this path speaks WebSocket, version 13, and the request asks for no upgrade to it"),
            Self::Malformed(what) => Some(what),
            Self::Origin => Some("pages of this origin may not open sessions; sessions.allowed_origins lists those that may"),
            Self::Full => Some("the gateway has no room for another session right now"),
            Self::Ticket => Some("the ticket is unknown, used or expired, or its key was revoked; each session needs a new one"),
            Self::Draining | Self::Key => None,
        }
    }
}

/// Whether a request asks for this protocol: for paths that others speak HTTP on.
#[must_use]
pub fn asks_for_websocket(headers: &HeaderMap) -> bool {
    listed(headers, &UPGRADE).any(|protocol| protocol.eq_ignore_ascii_case(names::WEBSOCKET))
}

/// Checks that the request is an opening handshake, and finds its key.
fn shape<B: Body>(request: &Request<B>) -> Result<&str, Refused> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(Refused::Method);
    }
    if request.version() < Version::HTTP_11 {
        return Err(Refused::Malformed("a WebSocket needs HTTP/1.1"));
    }
    if sole(headers, &HOST).is_none_or(str::is_empty) {
        return Err(Refused::Malformed("Host has to be sent, once"));
    }
    if !asks_for_websocket(headers) || sole(headers, &SEC_WEBSOCKET_VERSION) != Some(names::VERSION) {
        return Err(Refused::NotWebSocket);
    }
    if !listed(headers, &CONNECTION).any(|option| option.eq_ignore_ascii_case(names::UPGRADE)) {
        return Err(Refused::Malformed("Connection has to name Upgrade; a proxy on the way may have removed it"));
    }
    if !request.body().is_end_stream() {
        return Err(Refused::Malformed("a handshake has no body"));
    }
    let is_key = |key: &&str| KEY_ENCODING.decode(key).is_ok_and(|bytes| bytes.len() == KEY_LENGTH);
    sole(headers, &SEC_WEBSOCKET_KEY).filter(is_key).ok_or(Refused::Malformed("Sec-WebSocket-Key has to be 16 bytes in Base64"))
}

/// The answer that ends HTTP on this connection. Of the subprotocols offered, a key is never repeated; of the extensions, none is taken.
fn switching(key: &str, client: Client) -> Response {
    let mut response = Response::new(AnswerBody::plain(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static(names::WEBSOCKET));
    headers.insert(CONNECTION, HeaderValue::from_static(names::UPGRADE));
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes())).expect("Base64 is text");
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if client == Client::Resumable {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(names::SUBPROTOCOL));
    }
    response
}

/// Whether a page of `origin` came from this gateway, which its browser knows by the name `host`. Who ends TLS in front of us, and so which
/// port an address without one means, only the origin tells.
fn is_own(origin: &str, host: &str) -> bool {
    let (Ok(origin), Ok(host)) = (Url::parse(origin), host.parse::<Authority>()) else { return false };
    let default_port = match origin.scheme() {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let is_same_name = origin.host_str().is_some_and(|name| name.eq_ignore_ascii_case(host.host()));
    is_same_name && origin.port().unwrap_or(default_port) == host.port_u16().unwrap_or(default_port)
}

/// The ticket in the address. Its characters need no escape there.
fn ticket(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == names::TICKET).map(|(_, ticket)| ticket)
}

/// A header's value, where it was sent once.
fn sole<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())?.to_str().ok().map(str::trim)
}

/// The members of a header that is a list, over all of its lines.
fn listed<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests;

//! What a request's headers say.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tidegate_core::failure::Failure;
use tidegate_core::limits::DeliveryMode;
use tidegate_wire::names::{header, value};

use super::deadline;

/// Longest request id that is taken over.
const MAX_ID: usize = 128;
/// Keepalives never come more often than this, whatever patience a client claims.
const SHORTEST_KEEPALIVE: Duration = Duration::from_millis(500);

/// What the headers of a request say about its stream.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// The client's own request id.
    pub client_request_id: Option<String>,
    /// A valid W3C `traceparent`.
    pub traceparent: Option<String>,
    /// How the answer shall be delivered.
    pub delivery: Option<DeliveryMode>,
    /// How long the client waits for the head.
    pub head_patience: Option<Duration>,
    /// How long the client waits for the next byte.
    pub read_patience: Option<Duration>,
    /// The caller's deadline: the shortest of all that it, and the proxies before us, have set.
    pub deadline: Option<Duration>,
    /// How often the client's SDK has sent this request before.
    pub retry_count: Option<u32>,
    /// The answer is to be made in the background.
    pub background: bool,
    /// It said so by a preference (RFC 7240), which is to be confirmed.
    pub prefers_async: bool,
    /// Where the background answer is posted.
    pub notify_url: Option<String>,
    /// The client agrees that an answer that broke off begins again.
    pub allows_restart: bool,
    /// Notices come as events.
    pub notice_events: bool,
}

/// What a request's headers say, or why it is refused: the failure, and what the header may be.
pub type Read = Result<Wishes, (Failure, &'static str)>;

/// The headers that a request is searched for, found in one pass: most requests have few of them, and a look into the map for each costs more
/// than to read those that are there. Of a header that is there twice, the first counts.
#[derive(Debug, Default)]
pub struct Given<'h> {
    client_request_id: Option<&'h HeaderValue>,
    request_id: Option<&'h HeaderValue>,
    traceparent: Option<&'h HeaderValue>,
    delivery: Option<&'h HeaderValue>,
    head_patience: Option<&'h HeaderValue>,
    read_patience: Option<&'h HeaderValue>,
    retry_count: Option<&'h HeaderValue>,
    notify_url: Option<&'h HeaderValue>,
    restart: Option<&'h HeaderValue>,
    notices: Option<&'h HeaderValue>,
    prefers_async: Option<&'h HeaderValue>,
    pub(super) timeout: Option<&'h HeaderValue>,
    pub(super) envoy_timeout: Option<&'h HeaderValue>,
    pub(super) grpc_timeout: Option<&'h HeaderValue>,
}

impl<'h> Given<'h> {
    /// Those of a request.
    #[must_use]
    pub fn of(headers: &'h HeaderMap) -> Self {
        let mut given = Self::default();
        for (name, value) in headers {
            let place = match name.as_str() {
                header::CLIENT_REQUEST_ID => &mut given.client_request_id,
                header::REQUEST_ID => &mut given.request_id,
                header::TRACEPARENT => &mut given.traceparent,
                header::DELIVERY => &mut given.delivery,
                header::STAINLESS_TIMEOUT => &mut given.head_patience,
                header::STAINLESS_READ_TIMEOUT => &mut given.read_patience,
                header::STAINLESS_RETRY_COUNT => &mut given.retry_count,
                header::NOTIFY_URL => &mut given.notify_url,
                header::RESTART => &mut given.restart,
                header::NOTICES => &mut given.notices,
                header::TIMEOUT_MS => &mut given.timeout,
                header::ENVOY_TIMEOUT_MS => &mut given.envoy_timeout,
                header::GRPC_TIMEOUT => &mut given.grpc_timeout,
                header::PREFER if prefers_async(value) => &mut given.prefers_async,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        given
    }

    /// The request's id as the client named it, where it is short and printable.
    #[must_use]
    pub fn request_id(&self) -> Option<String> {
        let given = [self.client_request_id, self.request_id].into_iter().find_map(text)?;
        let is_printable = given.bytes().all(|byte| byte.is_ascii_graphic());
        (!given.is_empty() && given.len() <= MAX_ID && is_printable).then(|| given.to_owned())
    }
}

impl Wishes {
    /// Reads the headers. What is malformed and only a hint is ignored; what asks for something unknown is refused.
    ///
    /// # Errors
    ///
    /// `invalid_request`, with the header's name and what it may be.
    pub fn of(given: &Given<'_>) -> Read {
        let prefers_async = given.prefers_async.is_some();
        Ok(Self {
            client_request_id: given.request_id(),
            traceparent: text(given.traceparent).filter(|value| is_traceparent(value)).map(str::to_owned),
            delivery: delivery(given.delivery)?,
            head_patience: seconds(given.head_patience),
            read_patience: seconds(given.read_patience),
            deadline: deadline::of(given)?,
            retry_count: text(given.retry_count).and_then(|count| count.trim().parse().ok()).filter(|count| *count > 0),
            background: prefers_async || given.delivery.is_some_and(|value| value == value::BACKGROUND),
            prefers_async,
            notify_url: notify_url(given.notify_url)?,
            allows_restart: switch(given.restart, value::ALLOW, "X-Tidegate-Restart has to be allow")?,
            notice_events: switch(given.notices, value::EVENTS, "X-Tidegate-Notices has to be events")?,
        })
    }

    /// The trace id, 32 hex digits.
    #[must_use]
    pub fn trace_id(&self) -> Option<String> {
        self.traceparent.as_deref().and_then(|value| value.get(3..35)).map(str::to_owned)
    }

    /// The keepalive interval for this client: half of its patience, where that is shorter.
    #[must_use]
    pub fn keepalive(&self, configured: Duration) -> Duration {
        self.read_patience.map_or(configured, |patience| configured.min(patience / 2).max(SHORTEST_KEEPALIVE.min(configured)))
    }

    /// When the head has to be out for this client: at four fifths of its patience, where that is sooner.
    #[must_use]
    pub fn head_after(&self, configured: Duration) -> Duration {
        let patience = [self.head_patience, self.read_patience].into_iter().flatten().min();
        patience.map_or(configured, |patience| configured.min(patience / 5 * 4))
    }
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok()
}

fn seconds(value: Option<&HeaderValue>) -> Option<Duration> {
    let value: f64 = text(value)?.trim().parse().ok()?;
    Duration::try_from_secs_f64(value).ok().filter(|length| !length.is_zero())
}

fn delivery(value: Option<&HeaderValue>) -> Result<Option<DeliveryMode>, (Failure, &'static str)> {
    let Some(value) = value else { return Ok(None) };
    match value.as_bytes() {
        b"stream" => Ok(Some(DeliveryMode::Stream)),
        b"coherent" => Ok(Some(DeliveryMode::Coherent)),
        b"buffered" => Ok(Some(DeliveryMode::Buffered)),
        b"background" => Ok(None),
        _ => Err((Failure::InvalidRequest, "X-Tidegate-Delivery has to be stream, coherent, buffered or background")),
    }
}

/// Nobody who names an address shall wait in vain for what was never going to come.
fn notify_url(value: Option<&HeaderValue>) -> Result<Option<String>, (Failure, &'static str)> {
    let Some(value) = value else { return Ok(None) };
    let url = value.to_str().map_err(|_| (Failure::InvalidRequest, "X-Tidegate-Notify-Url has to be written in ASCII"))?;
    Ok(Some(url.to_owned()))
}

/// A header that says one thing or is absent.
fn switch(given: Option<&HeaderValue>, value: &str, remedy: &'static str) -> Result<bool, (Failure, &'static str)> {
    match given {
        None => Ok(false),
        Some(given) if given.as_bytes().eq_ignore_ascii_case(value.as_bytes()) => Ok(true),
        Some(_) => Err((Failure::InvalidRequest, remedy)),
    }
}

/// `Prefer: respond-async`, alone or among other preferences (RFC 7240).
fn prefers_async(value: &HeaderValue) -> bool {
    let preferences = value.to_str().unwrap_or_default();
    preferences.split(',').any(|preference| preference.trim().eq_ignore_ascii_case(value::RESPOND_ASYNC))
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, ids not all zero; a later version may be longer.
fn is_traceparent(value: &str) -> bool {
    let bytes = value.as_bytes();
    let is_hex = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
    };
    let is_zero = |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(|byte| *byte == b'0'));
    let has_length = bytes.len() == 55 || (bytes.len() > 55 && !value.starts_with("00") && bytes.get(55) == Some(&b'-'));
    let has_dashes = [2, 35, 52].into_iter().all(|place| bytes.get(place) == Some(&b'-'));
    let has_ids = is_hex(3..35) && is_hex(36..52) && !is_zero(3..35) && !is_zero(36..52);
    has_length && has_dashes && is_hex(0..2) && !value.starts_with("ff") && has_ids && is_hex(53..55)
}

#[cfg(test)]
mod tests;

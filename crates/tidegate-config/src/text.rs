//! How lengths of time, sizes, addresses and secrets are written, in both directions.
//!
//! Each form has one reader here, which the check of the tree (for messages) and the serde mirror (for values) share.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::{Host, Url};

use crate::config::ANY_ORIGIN;

/// The longest length of time that a setting may have; a clock can add it to any moment without overflow.
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 3600);
/// The largest size that a setting may have.
const LARGEST: u64 = 1 << 40;

const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZE_UNITS: [(&str, u64); 7] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000), ("B", 1)];

/// Why a text is refused: what is wrong, and what to write instead. Neither repeats the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Continues "`the value` …".
    pub(crate) problem: Cow<'static, str>,
    /// Says what to write instead.
    pub(crate) remedy: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(problem: impl Into<Cow<'static, str>>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}

/// The forms of text that the schema marks by `x-form`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Duration,
    Size,
    Address,
    Url,
    Proxy,
    Redis,
    Broker,
    Topics,
    Origin,
    Secret,
}

impl Form {
    /// Name in the schema.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Size => "size",
            Self::Address => "address",
            Self::Url => "url",
            Self::Proxy => "proxy",
            Self::Redis => "redis",
            Self::Broker => "broker",
            Self::Topics => "topics",
            Self::Origin => "origin",
            Self::Secret => "secret",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        let all = [
            Self::Duration,
            Self::Size,
            Self::Address,
            Self::Url,
            Self::Proxy,
            Self::Redis,
            Self::Broker,
            Self::Topics,
            Self::Origin,
            Self::Secret,
        ];
        all.into_iter().find(|form| form.name() == name)
    }

    /// Whether `text` has this form.
    pub(crate) fn check(self, text: &str) -> Result<(), Refusal> {
        match self {
            Self::Duration => parse_duration(text).map(drop),
            Self::Size => parse_size(text).map(drop),
            Self::Address => parse_address(text).map(drop),
            Self::Url => parse_url(text).map(drop),
            Self::Proxy => parse_proxy(text).map(drop),
            Self::Redis => parse_redis(text).map(drop),
            Self::Broker => parse_broker(text).map(drop),
            Self::Topics => parse_topics(text).map(drop),
            Self::Origin => parse_origin(text).map(drop),
            Self::Secret => check_secret(text),
        }
    }

    /// Whether `text`, which has this form, lies within `bounds`, which have it too. Only lengths of time and sizes are compared.
    pub(crate) fn check_bounds(self, text: &str, bounds: Option<(&str, &str)>) -> Result<(), Refusal> {
        let Some((least, most)) = bounds else { return Ok(()) };
        let (kind, too_little, too_much) = match self {
            Self::Duration => ("length of time", "is too short", "is too long"),
            _ => ("size", "is too small", "is too large"),
        };
        let refuse = |problem: &'static str| Err(Refusal::new(problem, format!("write a {kind} from {least:?} to {most:?}")));
        match self.magnitude(text) {
            magnitude if magnitude < self.magnitude(least) => refuse(too_little),
            magnitude if magnitude > self.magnitude(most) => refuse(too_much),
            _ => Ok(()),
        }
    }

    /// What two texts of this form are compared by.
    fn magnitude(self, text: &str) -> Option<u128> {
        match self {
            Self::Duration => parse_duration(text).ok().map(|length| length.as_millis()),
            Self::Size => parse_size(text).ok().and_then(|size| size.try_into().ok()),
            _ => None,
        }
    }

    /// Whether a text of this form is a secret, or may have one in it.
    pub(crate) const fn may_hold_secret(self) -> bool {
        matches!(self, Self::Url | Self::Proxy | Self::Redis | Self::Secret)
    }

    /// An example, for messages about a value of the wrong type.
    pub(crate) const fn example(self) -> &'static str {
        match self {
            Self::Duration => "\"15s\"",
            Self::Size => "\"20MiB\"",
            Self::Address => "\"127.0.0.1:8080\"",
            Self::Url => "\"https://api.openai.com/v1\"",
            Self::Proxy => "\"http://proxy.internal:3128\"",
            Self::Redis => "\"redis://redis.internal:6379\"",
            Self::Broker => "\"kafka-1:9092\"",
            Self::Topics => "\"tidegate\"",
            Self::Origin => "\"https://app.example.com\"",
            Self::Secret => "\"${OPENAI_API_KEY}\"",
        }
    }
}

/// A number right before one of `units`; the number has digits only.
fn split_unit<'a>(text: &str, units: &'a [(&'static str, u64)]) -> Option<(u64, &'a (&'static str, u64))> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let unit = text[digits..].trim_start();
    Some((text[..digits].parse().ok()?, units.iter().find(|(name, _)| *name == unit)?))
}

/// A length of time as settings have it, such as `15m` or `7d`: for command lines. `None` for anything else.
#[must_use]
pub fn length_of_time(text: &str) -> Option<Duration> {
    parse_duration(text).ok()
}

fn parse_duration(text: &str) -> Result<Duration, Refusal> {
    const REMEDY: &str = "write a whole number with a unit (ms, s, m, h, d), such as \"15s\" or \"250ms\"";
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refusal::new("has no unit", REMEDY));
    }
    let (number, (_, millis)) = split_unit(text, &DURATION_UNITS).ok_or_else(|| Refusal::new("is not a length of time", REMEDY))?;
    let length = number.checked_mul(*millis).map(Duration::from_millis);
    match length {
        Some(Duration::ZERO) => Err(Refusal::new("is zero", "write a length above zero, or leave the setting out for its default")),
        Some(length) if length <= LONGEST => Ok(length),
        _ => Err(Refusal::new("is too long", "write at most \"3650d\"")),
    }
}

/// A text that reads as `length`, in a large whole unit.
pub(crate) fn duration_text(length: Duration) -> String {
    let millis = length.as_millis();
    // Timeouts are compared in seconds, so short ones stay in them: "180s", not "3m".
    let readable = |unit: &str| unit != "m" || millis >= 600_000;
    let (unit, size) =
        DURATION_UNITS.into_iter().find(|(unit, size)| millis.is_multiple_of(u128::from(*size)) && readable(unit)).unwrap_or(("ms", 1));
    format!("{}{unit}", millis / u128::from(size))
}

fn parse_size(text: &str) -> Result<usize, Refusal> {
    const REMEDY: &str = "write a whole number with a unit (B, kB, MB, GB, KiB, MiB, GiB), such as \"20MiB\"";
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refusal::new("has no unit", REMEDY));
    }
    let (number, (_, bytes)) = split_unit(text, &SIZE_UNITS).ok_or_else(|| Refusal::new("is not a size", REMEDY))?;
    match number.checked_mul(*bytes) {
        Some(0) => Err(Refusal::new("is zero", "write a size above zero, or leave the setting out for its default")),
        Some(size) if size <= LARGEST => usize::try_from(size).map_err(|_| Refusal::new("is too large", "write less")),
        _ => Err(Refusal::new("is too large", "write at most \"1024GiB\"")),
    }
}

/// The shortest text that reads as `size`.
pub(crate) fn size_text(size: usize) -> String {
    let binary = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
    let (unit, bytes) = binary.into_iter().find(|(_, bytes)| size.is_multiple_of(*bytes)).unwrap_or(("B", 1));
    format!("{}{unit}", size / bytes)
}

fn parse_address(text: &str) -> Result<SocketAddr, Refusal> {
    text.parse().map_err(|_| {
        let port = text.strip_prefix("localhost").unwrap_or(text).trim_start_matches(':').parse::<u16>();
        let remedy = match port {
            Ok(port) if text.starts_with("localhost") => format!("write \"127.0.0.1:{port}\""),
            Ok(port) => format!("write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for every interface"),
            Err(_) => "write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"".to_owned(),
        };
        Refusal::new("is not an address to listen on", remedy)
    })
}

fn parse_url(text: &str) -> Result<Url, Refusal> {
    const REMEDY: &str = "write the address in front of the endpoint, such as \"https://api.openai.com/v1\"";
    let url = Url::parse(text).map_err(|_| Refusal::new("is not a URL", REMEDY))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Refusal::new("is neither http nor https", REMEDY));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::new("has credentials in it", "remove them; a provider's key belongs into `api_key`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Refusal::new("has a query or a fragment", "end it with the path"));
    }
    Ok(url)
}

fn parse_proxy(text: &str) -> Result<Url, Refusal> {
    const REMEDY: &str = "write scheme, host and port, such as \"http://proxy.internal:3128\"";
    let is_bare = |url: &Url| url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "http" && url.host().is_some() && is_bare(url));
    url.ok_or_else(|| Refusal::new("is no plain HTTP proxy", REMEDY))
}

fn parse_redis(text: &str) -> Result<Url, Refusal> {
    const REMEDY: &str = "write scheme, host and port, such as \"redis://redis.internal:6379\", or rediss:// for TLS";
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host());
    url.ok_or_else(|| Refusal::new("is no address of a Redis server", REMEDY))
}

fn parse_broker(text: &str) -> Result<String, Refusal> {
    let is_broker = text.rsplit_once(':').is_some_and(|(host, port)| Host::parse(host).is_ok() && port.parse::<NonZeroU16>().is_ok());
    if is_broker { Ok(text.to_owned()) } else { Err(Refusal::new("is no host and port", "write both, such as \"kafka-1:9092\"")) }
}

/// Kafka allows 249 characters in a name, of which these are the beginning.
fn parse_topics(text: &str) -> Result<String, Refusal> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if (1..=200).contains(&text.len()) && text.bytes().all(is_name) {
        return Ok(text.to_owned());
    }
    Err(Refusal::new(
        "is no beginning of a topic's name",
        "write up to 200 letters, digits, dots, dashes and underscores, such as \"tidegate\"",
    ))
}

/// The origin as browsers write it into `Origin` (RFC 6454, section 6.2): in lower case, without the scheme's own port.
fn parse_origin(text: &str) -> Result<String, Refusal> {
    const REMEDY: &str = "write scheme, host and port as browsers do, such as \"https://app.example.com\", or \"*\" for every origin";
    if text == ANY_ORIGIN {
        return Ok(text.to_owned());
    }
    let is_bare = text.split_once("://").is_some_and(|(_, rest)| !rest.contains(['/', '?', '#', '@', '*']));
    let url = Url::parse(text).ok().filter(|_| is_bare);
    match url.as_ref().map(|url| (url.scheme(), url.host_str(), url.port())) {
        Some((scheme, Some(host), Some(port))) => Ok(format!("{scheme}://{host}:{port}")),
        Some((scheme, Some(host), None)) => Ok(format!("{scheme}://{host}")),
        _ => Err(Refusal::new("is not an origin", REMEDY)),
    }
}

/// The address, with stars for a name and password in it.
fn masked_text(url: &Url) -> String {
    let mut shown = url.clone();
    if !url.username().is_empty() || url.password().is_some() {
        // Both can be set wherever there is a host, and each of these addresses has one.
        let _ = shown.set_username(MASKED).and_then(|()| shown.set_password(None));
    }
    shown.into()
}

fn check_secret(text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(Refusal::new("is empty", "write it, or a reference such as \"${OPENAI_API_KEY}\""));
    }
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) && text.trim() == text {
        return Ok(());
    }
    Err(Refusal::new(
        "has a line break, an outer space or another character that no HTTP header may hold",
        "remove it; often it is the last line break of a file",
    ))
}

/// Defines a text of one [`Form`] for the serde mirror.
macro_rules! form {
    ($(#[$doc:meta])* $name:ident($value:ty), $form:expr, $pattern:expr, read $read:expr, write $write:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name(pub(crate) $value);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $read(&text).map(Self).map_err(|refusal: Refusal| de::Error::custom(refusal.problem))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&$write(&self.0))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $form.name().into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                // A reference to the environment may stand in any text.
                json_schema!({ "type": "string", "x-form": $form.name(), "pattern": concat!($pattern, r"|\$\{") })
            }
        }
    };
}

form! {
    /// A length of time.
    DurationText(Duration), Form::Duration, "^[0-9]+ ?(ms|s|m|h|d)$", read parse_duration, write |length: &Duration| duration_text(*length)
}
form! {
    /// A number of bytes.
    SizeText(usize), Form::Size, "^[0-9]+ ?(B|kB|MB|GB|KiB|MiB|GiB)$", read parse_size, write |size: &usize| size_text(*size)
}
form! {
    /// An IP address with a port.
    AddressText(SocketAddr), Form::Address, "^.+:[0-9]+$", read parse_address, write |address: &SocketAddr| address.to_string()
}
form! {
    /// The address of a server.
    UrlText(Url), Form::Url, "^https?://", read parse_url, write |url: &Url| url.as_str().to_owned()
}
form! {
    /// The address of a proxy, with the name and password that it asks for.
    ProxyText(Url), Form::Proxy, "^http://", read parse_proxy, write masked_text
}
form! {
    /// The address of a Redis server, with the name and password that it asks for.
    RedisText(Url), Form::Redis, "^rediss?://", read parse_redis, write masked_text
}
form! {
    /// The address of a Kafka broker.
    BrokerText(String), Form::Broker, "^.+:[0-9]+$", read parse_broker, write |broker: &String| broker.clone()
}
form! {
    /// What the names of some Kafka topics begin with.
    TopicsText(String), Form::Topics, "^[a-zA-Z0-9._-]{1,200}$", read parse_topics, write |topics: &String| topics.clone()
}
form! {
    /// The origin of a page, or a star.
    OriginText(String), Form::Origin, r"^([a-z][a-z0-9+.-]*://[^/?#@]+|\*)$", read parse_origin, write |origin: &String| origin.clone()
}
form! {
    /// A value that is never shown.
    SecretText(SecretString), Form::Secret, "^.+$",
    read |text: &str| check_secret(text).map(|()| SecretString::from(text)), write |_: &SecretString| MASKED.to_owned()
}

impl SecretText {
    /// The value itself, for the wire.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// What stands for a secret wherever settings are shown.
pub(crate) const MASKED: &str = "***";

#[cfg(test)]
mod tests;

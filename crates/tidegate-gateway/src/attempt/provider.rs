//! One configured provider at run time: its connections, its secret, its TLS.

use std::collections::BTreeMap;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use tidegate_config::{Config, Http2, Provider as Settings};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use url::Url;

use super::connect::{self, Destination};
use super::h2::{H2Connections, Place};
use super::io::Io;
use super::keys::Keys;
use crate::worker;

/// Shortest part of a key or a header's value that is a secret and no common word.
const SHORTEST_SECRET: usize = 8;

/// How often a request that waits for room looks by itself: that a provider allows more streams is told to the HTTP/2 library alone.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A provider and its connections. Each worker keeps the connections that it opened, so that a stream's two sockets always belong to one
/// event loop and no packet wakes another core.
#[derive(Debug)]
pub struct Provider {
    /// Its name in the configuration.
    pub name: Arc<str>,
    settings: Settings,
    base: Url,
    destination: Destination,
    address: String,
    /// Headers of every request: host, authorization at a plain-text proxy, and the operator's own.
    headers: HeaderMap,
    slots: Arc<Semaphore>,
    resting: Box<[Mutex<Vec<Resting>>]>,
    pub(super) http2: H2Connections,
    tls: OnceLock<Result<Arc<rustls::ClientConfig>, String>>,
    /// The keys that the gateway has for it.
    pub keys: Keys,
}

#[derive(Debug)]
struct Resting {
    io: Io,
    since: Instant,
}

/// The right to one connection. Dropping it lets the next request have it.
pub type Slot = OwnedSemaphorePermit;

/// How a request gets to the provider.
#[derive(Debug)]
pub enum Way {
    /// Beside others, on an open HTTP/2 connection.
    Shared(Place),
    /// On a connection that it may take or open for itself.
    Own(Slot),
}

/// A provider cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[error("provider {name}: {reason}")]
pub struct BadProvider {
    name: String,
    reason: String,
}

/// Every provider of one configuration. Those whose settings did not change are taken over from `before`, with their connections.
///
/// # Errors
///
/// [`BadProvider`] where a secret cannot be a header or a CA file cannot be read.
pub fn all(config: &Config, before: &BTreeMap<String, Arc<Provider>>) -> Result<BTreeMap<String, Arc<Provider>>, BadProvider> {
    let make = |settings: &Settings| match before.get(&settings.name) {
        Some(known) if known.is_same(settings) => Ok(Arc::clone(known)),
        _ => Provider::new(settings).map(Arc::new),
    };
    config.providers.iter().map(|(name, settings)| Ok((name.clone(), make(settings)?))).collect()
}

impl Provider {
    /// # Errors
    ///
    /// See [`all`].
    fn new(settings: &Settings) -> Result<Self, BadProvider> {
        let bad = |reason: &str| BadProvider { name: settings.name.clone(), reason: reason.to_owned() };
        let destination = Destination::of(&settings.base_url, settings.proxy.as_ref(), settings.http2).map_err(bad)?;
        if let Some(file) = &settings.ca_file {
            std::fs::metadata(file).map_err(|error| bad(&format!("ca_file: {error}")))?;
        }
        let slots = usize::try_from(settings.max_connections.get()).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            name: settings.name.as_str().into(),
            base: settings.base_url.clone(),
            address: address(&settings.base_url, &destination),
            headers: fixed_headers(settings, &destination).map_err(bad)?,
            destination,
            slots: Arc::new(Semaphore::new(slots)),
            resting: (0..worker::MAX_WORKERS).map(|_| Mutex::default()).collect(),
            http2: H2Connections::default(),
            tls: OnceLock::new(),
            keys: keys(settings).map_err(bad)?,
            settings: settings.clone(),
        })
    }

    /// Whether `other` would make the same provider. Secrets are compared, never shown.
    fn is_same(&self, other: &Settings) -> bool {
        let fixed = |settings: &Settings| (settings.base_url.clone(), settings.proxy.clone(), settings.ca_file.clone(), settings.http2);
        let bounds = |settings: &Settings| (settings.max_connections, settings.idle_connections, settings.connection_max_idle);
        let secrets = |settings: &Settings| settings.api_keys.iter().map(|key| key.expose_secret().to_owned()).collect::<Vec<_>>();
        let ours = &self.settings;
        fixed(ours) == fixed(other) && bounds(ours) == bounds(other) && secrets(ours) == secrets(other) && ours.headers == other.headers
    }

    /// Headers that every request to it carries.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What stands before the endpoint in a request's target: a path, or the whole address where a plain-text proxy asks for it.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether an answer with this status is not the provider's: 407 is what a proxy says that reads the requests.
    #[must_use]
    pub fn is_the_proxys(&self, status: u16) -> bool {
        status == 407 && matches!(self.destination, Destination::ThroughPlainProxy { .. })
    }

    /// The whole address of `endpoint`, for HTTP/2.
    #[must_use]
    pub fn uri(&self, endpoint: &str) -> String {
        let path = self.base.path().trim_end_matches('/');
        format!("{}://{}{path}{endpoint}", self.base.scheme(), self.destination.authority())
    }

    /// When HTTP/2 is spoken with it.
    #[must_use]
    pub fn http2_policy(&self) -> Http2 {
        self.settings.http2
    }

    /// Waits for a way to the provider. The caller bounds the wait.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropping it leaves the queue.
    pub async fn way(&self) -> Option<Way> {
        if let Some(way) = self.way_now() {
            return Some(way);
        }
        let mut slot = pin!(Arc::clone(&self.slots).acquire_owned());
        loop {
            let mut room = pin!(self.http2.room());
            // From here on, room that is made is not missed.
            room.as_mut().enable();
            if let Some(place) = self.http2.place_anywhere() {
                return Some(Way::Shared(place));
            }
            tokio::select! {
                slot = &mut slot => return slot.ok().map(Way::Own),
                () = room => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Waits for the right to one connection. The caller bounds the wait.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropping it leaves the queue.
    pub async fn slot(&self) -> Option<Slot> {
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }

    /// A way that is free now. In the order of what delays the fewest: a connection with room, another connection, a connection with many streams.
    #[must_use]
    pub fn way_now(&self) -> Option<Way> {
        let another = || Arc::clone(&self.slots).try_acquire_owned().ok();
        let with_ease = self.http2.place_with_ease().map(Way::Shared);
        with_ease.or_else(|| another().map(Way::Own)).or_else(|| self.http2.place_anywhere().map(Way::Shared))
    }

    /// A resting connection of this worker that is still good.
    #[must_use]
    pub fn take_resting(&self) -> Option<Io> {
        let mut resting = self.mine();
        while let Some(mut connection) = resting.pop() {
            if connection.since.elapsed() < self.settings.connection_max_idle && connection.io.is_quiet() {
                return Some(connection.io);
            }
        }
        None
    }

    /// Lets a connection rest until the next request. Beyond the configured number it is closed.
    pub fn rest(&self, io: Io) {
        let mut resting = self.mine();
        let per_worker = usize::try_from(self.settings.idle_connections.get()).unwrap_or(usize::MAX);
        if resting.len() < per_worker {
            resting.push(Resting { io, since: Instant::now() });
        }
    }

    /// Closes this worker's connections that rested too long or that the provider closed.
    pub fn sweep(&self) {
        let max_idle = self.settings.connection_max_idle;
        self.mine().retain_mut(|connection| connection.since.elapsed() < max_idle && connection.io.is_quiet());
        self.http2.sweep(max_idle);
    }

    fn mine(&self) -> MutexGuard<'_, Vec<Resting>> {
        // A panic while the list was held cannot have left it half-changed: it is a list of sockets.
        self.resting[worker::index()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a connection: name, TCP, proxy, TLS. The caller bounds the wait.
    ///
    /// # Errors
    ///
    /// What went wrong, without the address's credentials.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropping it closes what was opened.
    pub async fn connect(&self) -> io::Result<Io> {
        connect::connect(&self.destination, self.settings.proxy.as_ref(), || self.tls()).await
    }

    /// The TLS settings, made at the first connection that needs them: reading the system's roots takes longer than starting the gateway.
    fn tls(&self) -> io::Result<Arc<rustls::ClientConfig>> {
        let made = self.tls.get_or_init(|| connect::tls_settings(self.settings.ca_file.as_deref(), self.settings.http2));
        made.clone().map_err(io::Error::other)
    }

    /// What the provider said of an error, with stars for the secrets that it repeats: an error often holds the key that was refused.
    #[must_use]
    pub fn masked(&self, said: &[u8]) -> String {
        let keys = self.settings.api_keys.iter().map(ExposeSecret::expose_secret);
        let values = self.settings.headers.iter().flat_map(|(_, value)| value.split_ascii_whitespace());
        let secrets = keys.chain(values).filter(|secret| secret.len() >= SHORTEST_SECRET);
        secrets.fold(String::from_utf8_lossy(said).into_owned(), |said, secret| said.replace(secret, "***"))
    }
}

/// The keys as `Authorization` carries them. An operator's own header of that name replaces them.
fn keys(settings: &Settings) -> Result<Keys, &'static str> {
    if settings.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(http::header::AUTHORIZATION.as_str())) {
        return Ok(Keys::default());
    }
    let authorization = |key: &secrecy::SecretString| {
        secret(&format!("Bearer {}", key.expose_secret())).ok_or("api_key: it holds a character that no header may carry")
    };
    settings.api_keys.iter().map(authorization).collect::<Result<Vec<_>, _>>().map(Keys::new)
}

fn address(base: &Url, destination: &Destination) -> String {
    let path = base.path().trim_end_matches('/');
    match destination {
        Destination::ThroughPlainProxy { .. } => format!("http://{}{path}", destination.authority()),
        Destination::Direct { .. } | Destination::ThroughTunnel { .. } => path.to_owned(),
    }
}

fn fixed_headers(settings: &Settings, destination: &Destination) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::new();
    let host = HeaderValue::from_str(&destination.authority()).map_err(|_| "base_url: its host cannot be a header")?;
    headers.insert(http::header::HOST, host);
    if let (Destination::ThroughPlainProxy { .. }, Some(proxy)) = (destination, &settings.proxy)
        && let Some(value) = connect::basic_authorization(proxy)
    {
        headers.insert(http::header::PROXY_AUTHORIZATION, secret(&value).ok_or("proxy: its credentials cannot be a header")?);
    }
    for (name, value) in &settings.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "headers: a name is not valid")?;
        headers.insert(name, secret(value).ok_or("headers: a value is not valid")?);
    }
    Ok(headers)
}

/// A value that does not print itself; `None` where it holds a character that no header may carry.
fn secret(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

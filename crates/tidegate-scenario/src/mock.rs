//! A provider that does what it is told, over real sockets.
//!
//! A request comes in on a `connection`; its model names a script; the script is played on a `stage`, as a `stream` or as a `whole` answer,
//! in the words of a `dialect`; the `journal` remembers all of it.

mod connection;
pub(crate) mod dialect;
mod http;
pub mod journal;
mod peer;
mod stage;
mod stream;
mod whole;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};
use tracing::warn;

use crate::script::Scenario;
use connection::Service;
use journal::Journal;

/// Connections that may wait to be accepted: thousands of streams start at once in a benchmark.
const BACKLOG: u32 = 4096;

/// How long no connection is accepted after that failed, for want of files in most cases.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// How a [`Mock`] is set up.
#[derive(Clone)]
pub struct MockSettings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Scripts by model name. Names that it does not know are read by the model-name grammar (`mock:cut@5`).
    pub script: Option<Scenario>,
    /// The only key that is accepted, as `Authorization: Bearer` or `x-api-key`; `None` accepts every request.
    pub api_key: Option<String>,
    /// Most requests that the journal remembers.
    pub journal_entries: usize,
    /// Most bytes of request bodies that the journal remembers, over all entries.
    pub journal_bytes: usize,
}

/// A running mock provider. Dropping it ends it with all its connections.
pub struct Mock {
    addr: SocketAddr,
    journal: Journal,
    server: JoinHandle<()>,
}

impl Default for MockSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            script: None,
            api_key: None,
            journal_entries: 10_000,
            journal_bytes: 64 << 20,
        }
    }
}

impl Mock {
    /// Listens and serves on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing runs before it returns.
    pub async fn start(settings: MockSettings) -> io::Result<Self> {
        let listener = listen(settings.listen)?;
        let addr = listener.local_addr()?;
        let journal = Journal::new(settings.journal_entries, settings.journal_bytes);
        let server = tokio::spawn(serve(listener, settings, journal.clone()));
        Ok(Self { addr, journal, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL for a client, `http://127.0.0.1:PORT/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// What it was asked and what it sent.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// A mock on a free port of the loopback address that plays `scenario`.
    ///
    /// # Errors
    ///
    /// No port is free.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing runs before it returns.
    pub async fn scripted(scenario: Scenario) -> io::Result<Self> {
        Self::start(MockSettings { script: Some(scenario), ..MockSettings::default() }).await
    }

    /// Ends it and all its connections, and returns when they are closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it ends all the same, but not before the runtime gets to it.
    pub async fn stop(mut self) {
        self.server.abort();
        // It ends by being aborted, which is what was wanted.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A listener with a backlog that takes a benchmark's start.
///
/// # Errors
///
/// The address cannot be listened on.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Serves on `listener` for ever; `journal` is shared with the caller. The address in `settings` is not read.
///
/// # Cancel safety
///
/// Dropping it ends all connections.
pub async fn serve(listener: TcpListener, settings: MockSettings, journal: Journal) {
    let service = Arc::new(Service::new(settings, journal));
    let mut connections = JoinSet::new();
    for n in 1.. {
        let socket = loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((socket, _)) => break socket,
                    Err(error) => {
                        warn!(%error, "the mock cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        };
        let service = Arc::clone(&service);
        connections.spawn(async move { service.connection(socket, n).await });
    }
}

/// Nanoseconds of the system's monotonic clock, the same in every process of a machine.
#[must_use]
pub fn monotonic_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests;

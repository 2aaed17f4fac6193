//! A provider that does what it is told, over real sockets.

pub mod journal;

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::Scenario;
use journal::Journal;

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
        let listener = TcpListener::bind(settings.listen).await?;
        Ok(Self { addr: listener.local_addr()?, journal: Journal::default() })
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

    /// Ends it and all its connections.
    ///
    /// # Cancel safety
    ///
    /// Not needed: it is dropped with the future.
    pub async fn stop(self) {}
}

/// Serves on `listener` until dropped; `journal` is shared with the caller.
///
/// # Cancel safety
///
/// Dropping it ends all connections.
pub async fn serve(listener: TcpListener, settings: MockSettings, journal: Journal) {
    drop((listener, settings, journal));
}

/// Nanoseconds of the system's monotonic clock, the same in every process of a machine.
#[must_use]
pub fn monotonic_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

//! The way between a client and a gateway, which can break: a TCP relay whose connections are cut when a test says so.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A running relay. Dropping it ends it with all its connections.
pub struct Line {
    addr: SocketAddr,
    ways: Arc<Ways>,
    relay: JoinHandle<()>,
}

/// Its connections; `None` while the line is down.
type Ways = Mutex<Option<JoinSet<()>>>;

impl Line {
    /// A line to `gateway`.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn to(gateway: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (addr, ways) = (listener.local_addr()?, Arc::new(Mutex::new(Some(JoinSet::new()))));
        let theirs = Arc::clone(&ways);
        let relay = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // While it is down, what came is closed again.
                if let Some(connections) = &mut *lock(&theirs) {
                    connections.spawn(async move { drop(relay(client, gateway).await) });
                }
            }
        });
        Ok(Self { addr, ways, relay })
    }

    /// Where it begins.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Cuts every connection without a word, and takes none until it is mended.
    pub fn cut(&self) {
        *lock(&self.ways) = None;
    }

    /// Takes connections again.
    pub fn mend(&self) {
        lock(&self.ways).get_or_insert_default();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

fn lock(ways: &Ways) -> MutexGuard<'_, Option<JoinSet<()>>> {
    ways.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn relay(mut client: TcpStream, to: SocketAddr) -> Result<()> {
    let mut gateway = TcpStream::connect(to).await?;
    // Dropped in the middle, both are reset.
    client.set_zero_linger()?;
    gateway.set_zero_linger()?;
    client.set_nodelay(true)?;
    gateway.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut gateway).await?;
    Ok(())
}

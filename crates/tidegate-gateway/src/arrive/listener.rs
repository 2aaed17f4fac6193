//! Accepting clients and handing each to the worker with the fewest.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::connection;
use crate::drain::Stage;
use crate::gateway::{Gateway, Role};
use crate::session::{labour, mend};
use crate::worker;

/// Clients that may wait to be accepted: a burst of a few thousand at once is a deploy of theirs, not an attack.
const BACKLOG: u32 = 4096;
/// Accepted clients that may wait for one worker; a worker takes them all at its next turn.
const INBOX: usize = 4096;
/// How long accepting pauses when the process has no file left.
const OUT_OF_FILES: Duration = Duration::from_millis(50);
/// How often resting connections to providers are looked through.
///
/// It is the nearest timer of a worker's event loop. For one that lies nearer still, tokio wakes its own loop by a system call: so keep this
/// below the limits that every stream has, such as the ledger's 2 s.
const SWEEP: Duration = Duration::from_secs(1);

/// The event loops, each on a thread of its own. Long streams make a bad hash of new connections, so they are not spread by chance:
/// the worker with the fewest connections gets the next.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    inbox: mpsc::Sender<std::net::TcpStream>,
    connections: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts `count` workers.
    ///
    /// # Errors
    ///
    /// When a thread or its event loop cannot be made.
    pub fn start(gateway: &Arc<Gateway>, count: usize) -> io::Result<Self> {
        let workers = (0..count.clamp(1, worker::MAX_WORKERS)).map(|index| Worker::start(gateway, index)).collect::<io::Result<_>>()?;
        Ok(Self { workers })
    }

    /// Open client connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.workers.iter().map(|worker| worker.connections.load(Ordering::Relaxed)).sum()
    }

    fn give(&self, tcp: TcpStream) {
        let Some(worker) = self.workers.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed)) else { return };
        let Ok(tcp) = tcp.into_std() else { return };
        worker.connections.fetch_add(1, Ordering::Relaxed);
        if worker.inbox.try_send(tcp).is_err() {
            worker.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Lets the workers end once nothing runs on them any more, and waits for them.
    pub fn join(self) {
        for Worker { inbox, thread, .. } in self.workers {
            drop(inbox);
            if thread.join().is_err() {
                tracing::error!("a worker ended in a panic");
            }
        }
    }
}

impl Worker {
    fn start(gateway: &Arc<Gateway>, index: usize) -> io::Result<Self> {
        let (inbox, mut arrivals) = mpsc::channel(INBOX);
        let connections = Arc::new(AtomicUsize::new(0));
        let (event_loop, gateway, count) = (worker::event_loop()?, Arc::clone(gateway), Arc::clone(&connections));
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            event_loop.block_on(async move {
                worker::become_worker(index);
                if gateway.role == Role::Worker
                    && let Some(queue) = gateway.queue.clone()
                {
                    if index == 0 {
                        gateway.tasks.spawn(mend::mend(Arc::clone(&gateway), queue.clone()));
                    }
                    gateway.tasks.spawn(labour::work(Arc::clone(&gateway), queue));
                }
                let mut sweep = tokio::time::interval(SWEEP);
                loop {
                    tokio::select! {
                        arrival = arrivals.recv() => match arrival {
                            Some(tcp) => adopt(&gateway, tcp, &count),
                            None => break,
                        },
                        _ = sweep.tick() => gateway.setup().providers.values().for_each(|provider| provider.sweep()),
                    }
                }
            });
        })?;
        Ok(Self { inbox, connections, thread })
    }
}

/// Counts a connection on its worker for as long as it lives.
#[derive(Debug)]
pub struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// One that `connections` counts already.
    pub(super) fn one_of(connections: &Arc<AtomicUsize>) -> Self {
        Self(Arc::clone(connections))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn adopt(gateway: &Arc<Gateway>, tcp: std::net::TcpStream, connections: &Arc<AtomicUsize>) {
    let counted = Counted::one_of(connections);
    let Ok(tcp) = TcpStream::from_std(tcp) else { return };
    gateway.tasks.spawn(connection::serve(Arc::clone(gateway), tcp, counted));
}

/// Binds the address that clients connect to.
///
/// # Errors
///
/// When the address is in use or not this machine's.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts clients until the shutdown's window is over, then closes the listener: who comes while the gateway drains is told so, and a load
/// balancer that asks for readiness gets its answer.
///
/// # Cancel safety
///
/// Safe: a client that was not handed over is closed.
pub async fn accept(gateway: &Gateway, listener: TcpListener, workers: &Workers) {
    let mut drain = gateway.drain.watch();
    loop {
        let arrival = tokio::select! {
            biased;
            _ = drain.wait_for(|stage| *stage == Stage::Ending) => return,
            arrival = listener.accept() => arrival,
        };
        match arrival {
            Ok((tcp, _)) if workers.connections() < gateway.setup().config.server.max_connections => workers.give(tcp),
            // Closed at once: an answer would cost what there is none of.
            Ok(_) => tracing::warn!("max_connections reached: a client was turned away"),
            Err(error) => {
                tracing::warn!(%error, "a client could not be accepted");
                tokio::time::sleep(OUT_OF_FILES).await;
            }
        }
    }
}

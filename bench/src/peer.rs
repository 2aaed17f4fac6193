//! What is measured: the peers, each started fresh, ready when it answers, ended when dropped.

mod nginx;
mod queue;
mod tidegate;

use std::{
    fmt,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::{
    client::{Connection, chat, get},
    echo,
    process::Process,
    session::{Said, Session},
    spec::Spec,
    usage::{Cpu, Memory},
};

pub(crate) use nginx::version as nginx_version;
use queue::Server;
pub(crate) use queue::version as queue_version;

/// A peer has this long from its start to its first answer.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Between two attempts to reach a starting peer.
const START_POLL: Duration = Duration::from_micros(200);
/// The same where each attempt is a session, and a prompt that is refused until the queue is reached.
const QUEUE_POLL: Duration = Duration::from_millis(50);

/// Unused connections that a peer may keep to the source: as many as streams come and go at the same time in any figure, and more.
const KEPT: u32 = 1024;

/// Who stands between client and source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Nobody: what the measuring itself costs.
    Direct,
    /// A raw proxy, two workers, buffering off.
    Nginx,
    /// The gateway with key check, scan, record and metrics.
    Tidegate,
    /// The same with everything that recovers configured: three routes by latency, a degradation chain, a slow guard.
    Recovering,
    /// The gateway, a Redis in which the prompts of sessions wait, and a worker that runs them.
    Redis,
    /// The same with a Kafka, where Tidegate was built with it.
    Kafka,
    /// A WebSocket server that gives back what it gets, for sessions to stand beside.
    #[value(skip)]
    Echo,
}

impl Kind {
    /// Whether prompts of sessions wait outside of the gateway: what is measured of it is sessions alone.
    pub(crate) fn has_queue(self) -> bool {
        matches!(self, Self::Redis | Self::Kafka)
    }

    /// What ends a prompt: an echo server says one thing alone.
    pub(crate) fn last_word(self) -> Said {
        if self == Self::Echo { Said::Accepted } else { Said::Complete }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Tidegate => "Tidegate",
            Self::Recovering => "Tidegate with recovery",
            Self::Redis => "Tidegate with Redis",
            Self::Kafka => "Tidegate with Kafka",
            Self::Echo => "the echo server",
        })
    }
}

/// Files of a peer that is not running yet: its configuration, keys and ledger.
pub(crate) struct Site {
    kind: Kind,
    folder: TempDir,
    address: SocketAddr,
    key: Option<String>,
}

impl Site {
    /// Prepares a peer of this kind in front of the source at `source`.
    ///
    /// # Errors
    ///
    /// When its program is missing or its files cannot be written.
    pub(crate) fn prepare(kind: Kind, source: SocketAddr) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tidegate-bench-").tempdir()?;
        let address = if kind == Kind::Direct { source } else { free_address()? };
        let key = match kind {
            Kind::Direct | Kind::Echo => None,
            Kind::Nginx => nginx::configure(folder.path(), address, source).map(|()| None)?,
            Kind::Tidegate | Kind::Recovering | Kind::Redis | Kind::Kafka => {
                Some(tidegate::configure(folder.path(), address, source, kind == Kind::Recovering)?)
            }
        };
        Ok(Self { kind, folder, address, key })
    }

    /// Starts the peer and waits for its first 200, or with a queue behind it, for its first answer in a session.
    ///
    /// # Errors
    ///
    /// When it ends by itself or does not answer within [`START_LIMIT`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the call ends the peer.
    pub(crate) async fn start(self) -> Result<Peer> {
        let folder = self.folder.path();
        let server = Server::start(self.kind, folder).await?;
        let worker = server.as_ref().map(|server| spawn("the worker", tidegate::worker(folder, server)?, folder)).transpose()?;
        let began = Instant::now();
        let process = match self.kind {
            Kind::Direct => None,
            Kind::Nginx => Some(spawn("nginx", nginx::command(folder), folder)?),
            Kind::Tidegate | Kind::Recovering | Kind::Redis | Kind::Kafka => {
                Some(spawn("tidegate", tidegate::gateway(folder, server.as_ref())?, folder)?)
            }
            Kind::Echo => Some(spawn("the echo server", echo::command(self.address)?, folder)?),
        };
        let mut peer = Peer { process, worker, server, start: Duration::ZERO, site: self };
        if !matches!(timeout(START_LIMIT, peer.first_answer()).await, Ok(Ok(()))) {
            bail!("{} did not start: {}", peer.kind(), std::fs::read_to_string(log(peer.site.folder.path())).unwrap_or_default());
        }
        peer.start = began.elapsed();
        Ok(peer)
    }
}

/// A running peer. Dropping it ends its processes, in this order, and removes its files.
pub(crate) struct Peer {
    process: Option<Process>,
    worker: Option<Process>,
    server: Option<Server>,
    start: Duration,
    site: Site,
}

impl Peer {
    /// Who it is.
    pub(crate) fn kind(&self) -> Kind {
        self.site.kind
    }

    /// From `exec` to the first 200.
    pub(crate) fn start_time(&self) -> Duration {
        self.start
    }

    /// A request of this peer's client that the source answers as `spec` says.
    pub(crate) fn request(&self, spec: Spec) -> Vec<u8> {
        chat(spec, self.site.key.as_deref())
    }

    /// # Errors
    ///
    /// When the peer does not take the connection.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives the connection up.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        Connection::open(self.site.address).await
    }

    /// Its processor time so far, with that of a worker and a queue's server behind it; `None` where no process stands in between.
    ///
    /// # Errors
    ///
    /// When one of them has ended.
    pub(crate) fn cpu(&self) -> Result<Option<Cpu>> {
        let Some(process) = &self.process else { return Ok(None) };
        let behind = self.worker.iter().map(Process::id).chain(self.server.iter().map(Server::id));
        Cpu::read([process.id()].into_iter().chain(behind)).map(Some)
    }

    /// Its own memory now; `None` where no process stands in between.
    ///
    /// # Errors
    ///
    /// When the peer has ended.
    pub(crate) fn memory(&self) -> Result<Option<Memory>> {
        self.process.as_ref().map(|process| Memory::read(process.id())).transpose()
    }

    /// Memory of the queue's server now; `None` where none keeps in memory what it has.
    ///
    /// # Errors
    ///
    /// When the server has ended.
    pub(crate) fn server_memory(&self) -> Result<Option<Memory>> {
        self.server.as_ref().filter(|server| server.keeps_in_memory()).map(|server| Memory::read(server.id())).transpose()
    }

    /// A session of this peer's client.
    ///
    /// # Errors
    ///
    /// When the peer does not take it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives the connection up.
    pub(crate) async fn session(&self) -> Result<Session> {
        Session::open(self.site.address, self.site.key.as_deref()).await
    }

    /// Waits for it; fails when a process ends before.
    async fn first_answer(&mut self) -> Result<()> {
        let poll = if self.server.is_some() { QUEUE_POLL } else { START_POLL };
        while self.process.is_some() && self.answers().await.is_err() {
            self.process.iter_mut().chain(&mut self.worker).try_for_each(Process::check)?;
            sleep(poll).await;
        }
        Ok(())
    }

    /// A session that has had an answer.
    ///
    /// # Errors
    ///
    /// When the peer does not take it, or does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives the connection up.
    pub(crate) async fn answered_session(&self) -> Result<Session> {
        let mut session = self.session().await?;
        session.ask().await?;
        session.finish(self.kind().last_word()).await?;
        Ok(session)
    }

    async fn answers(&self) -> Result<()> {
        if self.kind() == Kind::Echo {
            return self.session().await.map(drop);
        }
        if self.server.is_some() {
            return self.answered_session().await?.close().await;
        }
        let mut connection = self.connect().await?;
        connection.send(&get("/healthz")).await?;
        connection.body().await.map(drop)
    }
}

/// Starts a process of a peer, whose processes share a log.
fn spawn(name: &'static str, mut command: Command, folder: &Path) -> Result<Process> {
    let log = File::options().create(true).append(true).open(log(folder)).context("cannot write the peer's log")?;
    Process::spawn(name, command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))
}

fn log(folder: &Path) -> PathBuf {
    folder.join("output.log")
}

/// A loopback address that was free a moment ago. A peer that finds it taken ends, and its start fails.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

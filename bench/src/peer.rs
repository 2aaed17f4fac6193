//! What is measured: the peers, each started fresh, ready when it answers, ended when dropped.

mod nginx;
mod tidegate;

use std::{
    fmt,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{
    client::{Connection, chat, get},
    echo,
    process::Process,
    session::Session,
    spec::Spec,
    usage::{Cpu, Memory},
};

pub(crate) use nginx::version as nginx_version;

/// A peer has this long from its start to its first answer.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Between two attempts to reach a starting peer.
const START_POLL: Duration = Duration::from_micros(200);

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
    /// A WebSocket server that gives back what it gets, for sessions to stand beside.
    #[value(skip)]
    Echo,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Tidegate => "Tidegate",
            Self::Recovering => "Tidegate with recovery",
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
            Kind::Tidegate | Kind::Recovering => Some(tidegate::configure(folder.path(), address, source, kind == Kind::Recovering)?),
        };
        Ok(Self { kind, folder, address, key })
    }

    /// Starts the peer and waits for its first 200.
    ///
    /// # Errors
    ///
    /// When it ends by itself or does not answer within [`START_LIMIT`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the call ends the peer.
    pub(crate) async fn start(self) -> Result<Peer> {
        let began = Instant::now();
        let log = self.folder.path().join("output.log");
        let process = match self.kind {
            Kind::Direct => None,
            Kind::Nginx => Some(spawn("nginx", nginx::command(self.folder.path()), &log)?),
            Kind::Tidegate | Kind::Recovering => Some(spawn("tidegate", tidegate::command(self.folder.path())?, &log)?),
            Kind::Echo => Some(spawn("the echo server", echo::command(self.address)?, &log)?),
        };
        let mut peer = Peer { site: self, process, start: Duration::ZERO };
        while peer.process.is_some() && peer.answers().await.is_err() {
            let silent = began.elapsed() > START_LIMIT;
            if silent || peer.check().is_err() {
                bail!("{} did not start: {}", peer.kind(), std::fs::read_to_string(&log).unwrap_or_default());
            }
            sleep(START_POLL).await;
        }
        peer.start = began.elapsed();
        Ok(peer)
    }
}

/// A running peer. Dropping it ends its processes and removes its files.
pub(crate) struct Peer {
    site: Site,
    process: Option<Process>,
    start: Duration,
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

    /// Its processor time so far; `None` where no process stands in between.
    ///
    /// # Errors
    ///
    /// When the peer has ended.
    pub(crate) fn cpu(&self) -> Result<Option<Cpu>> {
        self.process.as_ref().map(|process| Cpu::read(process.id())).transpose()
    }

    /// Its memory now; `None` where no process stands in between.
    ///
    /// # Errors
    ///
    /// When the peer has ended.
    pub(crate) fn memory(&self) -> Result<Option<Memory>> {
        self.process.as_ref().map(|process| Memory::read(process.id())).transpose()
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

    async fn answers(&self) -> Result<()> {
        if self.kind() == Kind::Echo {
            return self.session().await.map(drop);
        }
        let mut connection = self.connect().await?;
        connection.send(&get("/healthz")).await?;
        connection.body().await.map(drop)
    }

    fn check(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::check)
    }
}

fn spawn(name: &'static str, mut command: Command, log: &PathBuf) -> Result<Process> {
    let log = File::create(log).context("cannot write the peer's log")?;
    Process::spawn(name, command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))
}

/// A loopback address that was free a moment ago. A peer that finds it taken ends, and its start fails.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

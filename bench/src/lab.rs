//! The place of a run: its source, its peers and how long each figure may take.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep};

use crate::{
    client::{Connection, get},
    peer::{Kind, Peer, Site},
    process::Process,
    rows::{Findings, Row},
    source::{CONTROL_PATH, SourceCount},
};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Times that each figure is taken, the peers in alternation; the table shows the median.
    pub(crate) rounds: u32,
    /// The same for small requests and for first events at random: a round of these is a matter of seconds, in which a machine's mood lasts.
    pub(crate) short_rounds: u32,
    /// Length of a measured window of streams.
    pub(crate) window: Duration,
    /// Paced streams at once.
    pub(crate) paced_streams: usize,
    /// Small whole requests of one round.
    pub(crate) small_requests: usize,
    /// Requests of one round whose first events count.
    pub(crate) first_events: usize,
    /// Before each reading of memory, and after sessions: what was left behind is given back by then, if it ever is.
    pub(crate) settle: Duration,
    /// Silent streams open at once: first fewer, then more, which is also how many sessions are.
    pub(crate) silent_streams: [usize; 2],
    /// Between opening sessions and measuring them: each has asked, and the connections to the source are there.
    pub(crate) warm: Duration,
    /// Sessions with a prompt each second: first fewer, then more, which is also how many are idle where their prompts wait outside of the gateway.
    pub(crate) asking_sessions: [usize; 2],
    /// Fresh starts.
    pub(crate) starts: usize,
}

impl Plan {
    /// What the published figures are measured with.
    pub(crate) const FULL: Self = Self {
        rounds: 3,
        short_rounds: 15,
        window: Duration::from_secs(5),
        paced_streams: 500,
        small_requests: 20_000,
        first_events: 1_000,
        settle: Duration::from_secs(3),
        silent_streams: [5_000, 9_000],
        warm: Duration::from_secs(2),
        asking_sessions: [100, 1_000],
        starts: 10,
    };
    /// Enough to see that everything runs, in about a minute.
    pub(crate) const QUICK: Self = Self {
        rounds: 1,
        short_rounds: 1,
        window: Duration::from_secs(1),
        paced_streams: 100,
        small_requests: 2_000,
        first_events: 200,
        settle: Duration::from_millis(500),
        silent_streams: [500, 1_000],
        warm: Duration::from_secs(1),
        asking_sessions: [20, 100],
        starts: 2,
    };

    /// What a peer has open at most: two connections a stream, and some hundred files of its own.
    pub(crate) fn open_files(&self) -> u64 {
        u64::try_from(self.silent_streams[1] * 2 + 500).unwrap_or(u64::MAX)
    }
}

/// A running source, the peers to measure, and what was found about them so far.
pub(crate) struct Lab {
    pub(crate) plan: Plan,
    pub(crate) findings: Findings,
    peers: Vec<Kind>,
    queues: Vec<Kind>,
    source: SocketAddr,
    /// Ends the source with the run.
    _process: Process,
}

impl Lab {
    /// Starts the source. The direct way belongs to every run and need not be among `peers`.
    ///
    /// # Errors
    ///
    /// When the source does not start.
    pub(crate) fn open(plan: Plan, mut peers: Vec<Kind>) -> Result<Self> {
        peers.retain(|&kind| kind != Kind::Direct);
        peers.sort_unstable();
        peers.dedup();
        let (queues, peers) = peers.into_iter().partition(|kind| kind.has_queue());
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("source").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::spawn("the source", &mut command)?;
        let mut line = String::new();
        let output = process.child().stdout.take().context("the source has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let source = line.trim().parse().context("the source did not say its address")?;
        Ok(Self { plan, findings: Findings::default(), peers, queues, source, _process: process })
    }

    /// A peer prepared and not yet started.
    ///
    /// # Errors
    ///
    /// When its program is missing.
    pub(crate) fn site(&self, kind: Kind) -> Result<Site> {
        Site::prepare(kind, self.source)
    }

    /// The peers in front of which sessions' prompts wait outside of the gateway.
    pub(crate) fn queues(&self) -> Vec<Kind> {
        self.queues.clone()
    }

    /// The peers with processes of their own, once each: what recovery costs does not show in how a process starts or what it holds.
    pub(crate) fn proxies(&self) -> Vec<Kind> {
        self.peers.iter().copied().filter(|&kind| kind != Kind::Recovering).collect()
    }

    /// Starts every one of [`Self::proxies`] afresh, the direct way first: its figures are what the others' are compared with.
    ///
    /// # Errors
    ///
    /// When one does not start.
    ///
    /// # Cancel safety
    ///
    /// Dropping the call ends the peers.
    pub(crate) async fn start_proxies(&self) -> Result<Vec<Peer>> {
        self.start(self.proxies()).await
    }

    /// Starts every peer that relays streams afresh, the direct way first.
    ///
    /// # Errors
    ///
    /// When one does not start.
    ///
    /// # Cancel safety
    ///
    /// Dropping the call ends the peers.
    pub(crate) async fn start_all(&self) -> Result<Vec<Peer>> {
        self.start(self.peers.clone()).await
    }

    async fn start(&self, kinds: Vec<Kind>) -> Result<Vec<Peer>> {
        let mut peers = vec![self.site(Kind::Direct)?.start().await?];
        for kind in kinds {
            peers.push(self.site(kind)?.start().await?);
        }
        Ok(peers)
    }

    /// Notes one value.
    pub(crate) fn found(&mut self, row: Row, kind: Kind, value: f64) {
        self.findings.add(row, kind, value);
    }

    /// The source's books, with the events it wrote after `since`.
    ///
    /// # Errors
    ///
    /// When the source is gone.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(crate) async fn source_count(&self, since: u64) -> Result<SourceCount> {
        let mut connection = Connection::open(self.source).await?;
        connection.send(&get(&format!("{CONTROL_PATH}{since}"))).await?;
        SourceCount::parse(&String::from_utf8(connection.body().await?)?)
    }

    /// Waits until the source has no open stream, at most `limit`; gives its books then, with the events it wrote after `since`.
    ///
    /// # Errors
    ///
    /// When streams are left after `limit`.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(crate) async fn source_idle(&self, since: u64, limit: Duration) -> Result<SourceCount> {
        let deadline = Instant::now() + limit;
        loop {
            let count = self.source_count(since).await?;
            if count.open == 0 {
                return Ok(count);
            }
            ensure!(Instant::now() < deadline, "{} streams are open at the source {limit:?} after their clients left", count.open);
            sleep(Duration::from_millis(10)).await;
        }
    }
}

//! `tidegate serve`: the gateway process from its first line to its last.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use tidegate_config::{Config, Flag, Loaded, ProviderKind};
use tidegate_gateway::arrive::listener::{self, Workers};
use tidegate_gateway::deliver::background::Background;
use tidegate_gateway::drain::Stage;
use tidegate_gateway::gateway::Gateway;
use tidegate_ledger::{Ledger, LedgerSettings};
use tidegate_scenario::{Mock, MockSettings};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::WrongUsage;

pub(super) mod reload;

use reload::{Reload, Source};

/// How long running streams get for their typed ending once the window is over.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A stream's permit is free before its last row is written, so a busy gateway has more rows on their way than streams.
const LEAST_PLACES: usize = 10_000;
/// How long a worker gets to give its last leases back.
const LAST_LEASES: Duration = Duration::from_secs(2);
/// How long the ledger gets to write its last rows.
const LAST_ROWS: Duration = Duration::from_secs(10);

/// Settings of the gateway that a command line may give.
#[derive(Debug, Default, Args)]
pub(crate) struct Serve {
    /// Address to listen on, over the configuration's.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

impl Serve {
    fn flags(&self) -> Vec<Flag> {
        let listen = self.listen.map(|address| Flag { name: "--listen", path: "server.listen", value: address.to_string() });
        listen.into_iter().collect()
    }
}

/// Serves until a signal ends it.
pub(crate) fn run(arguments: &Serve, config: Option<PathBuf>) -> Result<()> {
    let flags = arguments.flags();
    start(Source { config, flags }, |config| Ok(Duty::Serve(config.server.listen)))
}

/// What a process is for, and where it listens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Duty {
    /// Clients connect here.
    Serve(SocketAddr),
    /// Prompts are leased from the queue; here it says how it is, if anywhere.
    Work(Option<SocketAddr>),
}

/// Starts a process, and lets it run until a signal ends it.
pub(super) fn start(source: Source, duty: impl FnOnce(&Config) -> Result<Duty>) -> Result<()> {
    let loaded = super::load(source.config.clone(), source.flags.clone())?;
    let duty = duty(&loaded.config)?;
    crate::logging::start(loaded.config.log.format, loaded.config.log.level);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(loaded, source, duty))
}

async fn serve(loaded: Loaded, source: Source, duty: Duty) -> Result<()> {
    let mut signals = Signals::new()?;
    let mock = start_mock(&loaded.config).await?;
    let mut config = loaded.config.clone();
    place_mock(&mut config, mock.as_ref().map(Mock::base_url).as_deref());
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }

    let server = config.server.clone();
    let (ledger, keys) = open_ledger(&config)?;
    let is_open = keys.load().is_open();
    if let Duty::Serve(address) = duty {
        refuse_open_doors(address, is_open)?;
    }
    let listener = duty.address().map(bind).transpose()?;
    let background = Background::open(&config.ledger.path).context("the ledger cannot keep background answers")?;
    let gateway = Gateway::new(config, ledger, keys, background).map_err(|error| WrongUsage(error.to_string()))?;
    let gateway = Arc::new(match duty {
        Duty::Serve(_) => gateway,
        Duty::Work(_) => gateway.as_worker(),
    });
    let count = server.workers.map_or_else(available_workers, |workers| usize::try_from(workers.get()).unwrap_or(1));
    let workers = Workers::start(&gateway, count)?;
    match (duty, &listener) {
        (Duty::Serve(_), Some(listener)) => announce(listener.local_addr()?, &loaded, is_open),
        (Duty::Work(_), listener) => announce_worker(listener.as_ref().map(TcpListener::local_addr).transpose()?, &loaded.config),
        (Duty::Serve(_), None) => {}
    }

    let reload = Reload { source, file: loaded.file.clone(), mock: mock.as_ref().map(Mock::base_url) };
    serve_until_drained(&gateway, listener, &workers, &mut signals, &reload).await;
    workers.join();
    if let Some(queue) = &gateway.queue {
        // What was not given back by then is taken back when its lease runs out.
        let _late = tokio::time::timeout(LAST_LEASES, queue.all_given_back()).await;
    }
    gateway.estimator.close();
    let ledger = gateway.ledger.clone();
    drop(gateway);
    match tokio::time::timeout(LAST_ROWS, ledger.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the ledger did not take its last rows"),
        Err(_) => tracing::error!("the ledger did not take its last rows in time"),
    }
    tracing::info!("stopped");
    Ok(())
}

impl Duty {
    fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Serve(address) => Some(address),
            Self::Work(address) => address,
        }
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener> {
    listener::bind(address).with_context(|| format!("cannot listen on {address}"))
}

/// Accepts clients for as long as anything may run: while the gateway drains, they are told so.
async fn serve_until_drained(gateway: &Gateway, listener: Option<TcpListener>, workers: &Workers, signals: &mut Signals, reload: &Reload) {
    let mut accepting = std::pin::pin!(async {
        if let Some(listener) = listener {
            listener::accept(gateway, listener, workers).await;
        }
    });
    let mut life = std::pin::pin!(async {
        until_stopped(gateway, signals, reload).await;
        drain(gateway, signals, gateway.setup().config.server.drain).await;
    });
    tokio::select! {
        () = life.as_mut() => {}
        () = accepting.as_mut() => life.await,
    }
}

/// Takes new settings over until a signal says stop.
async fn until_stopped(gateway: &Gateway, signals: &mut Signals, reload: &Reload) {
    let mut changes = reload.watch();
    loop {
        tokio::select! {
            () = changes.changed() => reload.run(gateway),
            wish = signals.next() => match wish {
                Wish::Stop => return,
                Wish::Reload => reload.run(gateway),
            },
        }
    }
}

/// Lets running streams finish within `window`; a second signal, or the window's end, ends them typed.
async fn drain(gateway: &Gateway, signals: &mut Signals, window: Duration) {
    gateway.drain.advance(Stage::Draining);
    tracing::info!(
        streams = gateway.permits.running(),
        window_s = window.as_secs(),
        "draining: no new streams, running ones may finish; a second signal ends them"
    );
    tokio::select! {
        () = gateway.tasks.all_ended() => return,
        () = signals.stop() => tracing::info!(streams = gateway.permits.running(), "second signal: ending what runs"),
        () = tokio::time::sleep(window) => tracing::warn!(streams = gateway.permits.running(), "the drain window is over: ending what runs"),
    }
    gateway.drain.advance(Stage::Ending);
    if tokio::time::timeout(LAST_WORDS, gateway.tasks.all_ended()).await.is_err() {
        tracing::warn!(tasks = gateway.tasks.running(), "some clients did not take their last words");
    }
}

fn open_ledger(config: &Config) -> Result<(Ledger, Arc<arc_swap::ArcSwap<tidegate_ledger::KeyTable>>)> {
    let settings = LedgerSettings {
        retention: config.ledger.retention,
        capacity: config.server.max_streams.saturating_mul(2).max(LEAST_PLACES),
        ..LedgerSettings::new(&config.ledger.path)
    };
    let (ledger, opened) =
        Ledger::open(settings).with_context(|| format!("the ledger {} cannot be opened", config.ledger.path.display()))?;
    if opened.interrupted > 0 {
        tracing::warn!(streams = opened.interrupted, "streams of a gateway that died are marked interrupted");
    }
    let keys = ledger.keys();
    Ok((ledger, keys))
}

/// Without a key everybody may spend the provider's money: only this machine may be everybody.
fn refuse_open_doors(address: SocketAddr, is_open: bool) -> Result<()> {
    if !is_open || address.ip().is_loopback() {
        return Ok(());
    }
    let message = format!(
        "{address} can be reached from other machines, and no key protects it.\n\
         Make one first: tidegate keys create --name NAME --team TEAM --environment ENVIRONMENT\n\
         (with the same --config, or listen on 127.0.0.1)"
    );
    Err(WrongUsage(message).into())
}

async fn start_mock(config: &Config) -> Result<Option<Mock>> {
    if !config.providers.values().any(|provider| provider.kind == ProviderKind::Mock) {
        return Ok(None);
    }
    Ok(Some(Mock::start(MockSettings::default()).await.context("the built-in mock provider cannot start")?))
}

/// Gives every provider of kind mock the address of this process's own.
fn place_mock(config: &mut Config, mock: Option<&str>) {
    let Some(address) = mock.and_then(|address| address.parse::<url::Url>().ok()) else { return };
    for provider in config.providers.values_mut().filter(|provider| provider.kind == ProviderKind::Mock) {
        provider.base_url = address.clone();
    }
}

fn available_workers() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Says on standard error what runs, where, and for whom: the first thing that a newcomer reads.
fn announce(address: SocketAddr, loaded: &Loaded, is_open: bool) {
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
    eprintln!("tidegate {} listens on http://{address}", env!("CARGO_PKG_VERSION"));
    if is_open {
        eprintln!("  no key is set: everybody on this machine may use it (tidegate keys create makes one)");
    }
    if loaded.built_in_mock {
        eprintln!("  no provider key is set: the built-in mock answers as model `mock` (set OPENAI_API_KEY for a real one)");
    }
}

/// The same for a worker.
fn announce_worker(address: Option<SocketAddr>, config: &Config) {
    let (queue, most) = (config.queue.backend.name(), config.queue.max_workers);
    tracing::info!(queue, most, version = env!("CARGO_PKG_VERSION"), "working");
    eprintln!("tidegate {} runs prompts from the {queue} queue, up to {most} at once", env!("CARGO_PKG_VERSION"));
    if let Some(address) = address {
        eprintln!("  its health and metrics are on http://{address}");
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Stop,
    Reload,
}

/// The signals that end or reload the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
    /// # Cancel safety
    ///
    /// Safe: a signal that came stays until it is taken.
    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    async fn stop(&mut self) {
        while self.next().await != Wish::Stop {}
    }
}

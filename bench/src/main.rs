//! Measures Tidegate beside a raw nginx proxy, on the same source, in one run, and writes `docs/performance.md`.
//!
//! Three processes take part: the source (this program again, as `tidegate-bench source`), the peer under test, and the client, which is this process.
//! Sessions have another peer to stand beside, a WebSocket echo server (`tidegate-bench echo`), and peers of several processes, whose prompts wait
//! in a server and run in a worker. Only what the peer uses is counted. See `figure` for what is measured and `rows` for the targets.

mod answer;
mod client;
mod clock;
mod echo;
mod event;
mod figure;
mod lab;
mod peer;
mod process;
mod report;
mod rows;
mod samples;
mod session;
mod source;
mod spec;
mod streams;
mod usage;

use std::{fs, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};

use figure::Figure;
use lab::{Lab, Plan};
use peer::{Kind, queue_version};

/// Where a full run writes its report.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");

/// Measures Tidegate beside a raw nginx proxy.
#[derive(Parser)]
struct Arguments {
    /// Shorter and smaller: shows that everything runs, its figures are not for comparison.
    #[arg(long, conflicts_with = "out")]
    quick: bool,
    /// Measures only these figures.
    #[arg(long, value_name = "NAME")]
    only: Vec<Figure>,
    /// Measures only these peers (the direct way is always measured, as the base).
    #[arg(long, value_name = "NAME")]
    peer: Vec<Kind>,
    /// Writes the report here; a full run of all figures and peers writes docs/performance.md without it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Serves as the provider of a run.
    #[command(hide = true)]
    Source,
    /// Serves as the peer that sessions are compared with.
    #[command(hide = true)]
    Echo { address: SocketAddr },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    if let Some(Role::Echo { address }) = arguments.role {
        return echo::serve(address);
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        match arguments.role {
            Some(Role::Source) => source::serve().await,
            _ => {
                let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
                // The loser is dropped, and with it every process that the run started.
                tokio::select! {
                    measured = measure(arguments) => measured,
                    _ = interrupt.recv() => bail!("interrupted"),
                    _ = terminate.recv() => bail!("terminated"),
                }
            }
        }
    })
}

async fn measure(arguments: Arguments) -> Result<()> {
    let plan = if arguments.quick { Plan::QUICK } else { Plan::FULL };
    let whole = !arguments.quick && arguments.only.is_empty() && arguments.peer.is_empty();
    let figures = if arguments.only.is_empty() { Figure::ALL.to_vec() } else { arguments.only };
    let peers = if arguments.peer.is_empty() { peers_here(&figures) } else { arguments.peer };
    allow_open_files(plan.open_files())?;
    let mut lab = Lab::open(plan, peers)?;
    for figure in figures {
        eprintln!("measuring {figure} …");
        figure.measure(&mut lab).await?;
    }
    print(&report::tables(&lab.findings));
    if arguments.quick {
        eprintln!("a quick run: shorter, with fewer streams than the table says, and not for comparison");
    }
    if let Some(file) = arguments.out.or_else(|| whole.then(|| PathBuf::from(PAGE))) {
        fs::write(&file, report::page(&lab.findings, &plan)?).with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("wrote {}", file.display());
    }
    Ok(())
}

/// All peers that can run here: Kafka takes a build and an installation that not everybody has.
fn peers_here(figures: &[Figure]) -> Vec<Kind> {
    let mut peers = vec![Kind::Nginx, Kind::Tidegate, Kind::Recovering, Kind::Redis];
    if figures.contains(&Figure::Sessions) {
        match queue_version(Kind::Kafka) {
            Ok(_version) => peers.push(Kind::Kafka),
            Err(why) => eprintln!("without Kafka: {why:#}"),
        }
    }
    peers
}

/// Raises what this process and its children may open to the most that the system allows.
fn allow_open_files(needed: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    ensure!(limit.maximum.is_none_or(|most| most >= needed), "a process needs {needed} open files here; raise the hard limit (ulimit -Hn)");
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

#[expect(clippy::print_stdout, reason = "the tables are what this program is for")]
fn print(tables: &str) {
    println!("{tables}");
}

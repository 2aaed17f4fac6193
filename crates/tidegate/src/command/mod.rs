//! The commands of contract.md.

pub(crate) mod config;
pub(crate) mod keys;
pub(crate) mod mock;
pub(crate) mod serve;
pub(crate) mod streams;
pub(crate) mod tasks;
pub(crate) mod worker;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write as _};
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tidegate_config::{Config, Flag, Loaded, Sources};

/// A gateway that keeps streamed LLM answers alive, coherent and explainable.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, propagate_version = true)]
pub(crate) struct Arguments {
    /// The configuration file; without it TIDEGATE_CONFIG, then ./tidegate.toml where it exists.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway (also without any command).
    Serve(serve::Serve),
    /// Run the prompts of sessions that gateways put into a queue in Redis or Kafka.
    Worker(worker::Worker),
    /// Run the fault-injecting mock provider.
    Mock(mock::MockArguments),
    /// Create, list and revoke client keys.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Look at stream records.
    #[command(subcommand)]
    Streams(streams::Streams),
    /// Look at the prompts of sessions in Kafka's log.
    #[command(subcommand)]
    Tasks(tasks::Tasks),
    /// Check, describe or show the configuration.
    #[command(subcommand)]
    Config(config::Action),
}

/// The user has to change a command line or a file; the message says what. Ends the process with exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongUsage(pub(crate) String);

/// Loads the configuration of this process, flags over environment over file.
///
/// # Errors
///
/// [`WrongUsage`] with every fault drawn at its place.
pub(crate) fn load(config: Option<PathBuf>, flags: Vec<Flag>) -> Result<Loaded> {
    let sources = Sources::of_process(config, flags);
    Config::load(&sources).map_err(|errors| WrongUsage(errors.render(std::io::stderr().is_terminal())).into())
}

/// Prints lines. Unlike `println!` it does not panic where nobody reads them: see [`while_it_is_read`].
fn print(lines: impl Display) -> Result<()> {
    Ok(writeln!(io::stdout(), "{lines}")?)
}

/// What became of a command that prints much. That the reader of its output closed it, as `head` does, is no failure.
fn while_it_is_read(printed: Result<()>) -> Result<()> {
    let has_enough = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    match printed {
        Err(error) if error.downcast_ref().is_some_and(has_enough) => Ok(()),
        printed => printed,
    }
}

//! Tidegate: keeps streamed LLM answers alive, coherent and explainable.
//!
//! One binary: `serve` (also with no command) is the gateway, the other commands operate it.

mod command;
mod logging;

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

use command::{Arguments, Command};

/// Most of what a request allocates is freed by another request's turn or another thread, which the system's own allocator is slow at, and after a
/// burst of streams it keeps what it once had (docs/decisions/023).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// The command could not do what it was asked.
const FAILED: u8 = 1;
/// The command was asked wrongly, or the configuration is wrong.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = arguments.config.clone();
    let result = match arguments.command.unwrap_or_else(|| Command::Serve(command::serve::Serve::default())) {
        Command::Serve(serve) => command::serve::run(&serve, config),
        Command::Worker(worker) => command::worker::run(&worker, config),
        Command::Mock(mock) => command::mock::run(&mock),
        Command::Keys(keys) => command::keys::run(keys, config),
        Command::Streams(streams) => command::streams::run(streams, config),
        Command::Tasks(tasks) => command::tasks::run(tasks, config),
        Command::Config(action) => command::config::run(action, config),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<command::WrongUsage>() => {
            eprintln!("{error}");
            ExitCode::from(WRONG_USAGE)
        }
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

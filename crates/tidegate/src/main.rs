//! Tidegate: keeps streamed LLM answers alive, coherent and explainable.
//!
//! One binary: `serve` (also with no command) is the gateway, the other commands operate it.

mod command;
mod logging;

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

use command::{Arguments, Command};

/// Most of what a request allocates is freed in another request's turn or by another thread, which the system's own allocator is slow at
/// (docs/decisions/023).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Memory that nobody has used for a second goes back to the system: after a burst of streams that is most of the process.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the allocator reads its settings from the symbol of this name, before anything else of the program runs")]
// SAFETY: no other symbol of the program has this name, and what it points to is a text that ends with a zero and never changes.
#[unsafe(export_name = "malloc_conf")]
static SETTINGS: &[u8; 20] = b"dirty_decay_ms:1000\0";

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

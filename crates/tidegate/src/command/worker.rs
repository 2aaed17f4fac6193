//! `tidegate worker`: runs the prompts of sessions that gateways put into a queue.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tidegate_config::{Config, QueueBackend};

use super::WrongUsage;
use super::serve::reload::Source;
use super::serve::{self, Duty};

/// Settings of a worker that a command line may give.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// Address for its health, readiness and metrics; without it, it listens nowhere.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// Works until a signal ends it.
pub(crate) fn run(arguments: &Worker, config: Option<PathBuf>) -> Result<()> {
    serve::start(Source { config, flags: Vec::new() }, |config| duty(arguments, config))
}

fn duty(arguments: &Worker, config: &Config) -> Result<Duty> {
    if config.queue.backend == QueueBackend::Memory {
        let message = "a worker needs a queue that it shares with gateways: set queue.backend (or QUEUE_TYPE) to redis or kafka, as they have it.\n\
                       With the memory backend a gateway runs its prompts itself.";
        return Err(WrongUsage(message.to_owned()).into());
    }
    Ok(Duty::Work(arguments.listen))
}

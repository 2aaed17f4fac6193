//! `tidegate tasks replay`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use clap::{Args, Subcommand};
#[cfg(feature = "kafka")]
use tidegate_config::QueueBackend;
use tidegate_core::id::SessionId;
use tidegate_gateway::session;

use super::WrongUsage;

#[cfg(feature = "kafka")]
mod replay;

/// What to see of the prompts of sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum Tasks {
    /// Tell from Kafka's log which prompts there were, how often they were begun and how they ended. Nothing runs again.
    Replay(Replay),
}

/// Which prompts.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Since when: a moment such as 2026-11-21T10:00:00Z, or a time before now such as 15m, 2h or 7d.
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: SystemTime,
    /// Only those of this session, `sess_…`.
    #[arg(long, value_name = "ID", value_parser = parse_session)]
    session: Option<SessionId>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(tasks: Tasks, config: Option<PathBuf>) -> Result<()> {
    let backend = super::load(config, Vec::new())?.config.queue.backend;
    session::queue::is_built(&backend).map_err(|error| WrongUsage(error.to_string()))?;
    match (tasks, backend) {
        #[cfg(feature = "kafka")]
        (Tasks::Replay(wanted), QueueBackend::Kafka(kafka)) => replay::run(&wanted, &kafka),
        (Tasks::Replay(_), other) => {
            let message = format!(
                "only Kafka keeps what happened to prompts: queue.backend is {:?}. Set it (or QUEUE_TYPE) to kafka, as gateways and workers have it.",
                other.name()
            );
            Err(WrongUsage(message).into())
        }
    }
}

fn parse_since(text: &str) -> Result<SystemTime, String> {
    const REMEDY: &str = "write a moment such as 2026-11-21T10:00:00Z, or a time before now such as 15m, 2h or 7d";
    let ago = |length: Duration| SystemTime::now().checked_sub(length);
    let since = match tidegate_config::length_of_time(text) {
        Some(length) => ago(length),
        None => text.parse::<jiff::Timestamp>().ok().map(SystemTime::from),
    };
    match since {
        Some(since) if since <= SystemTime::now() => Ok(since),
        Some(_) => Err("that is still to come".to_owned()),
        None => Err(REMEDY.to_owned()),
    }
}

fn parse_session(text: &str) -> Result<SessionId, String> {
    SessionId::parse(text).ok_or_else(|| "one looks like sess_ and 26 characters".to_owned())
}

//! The server in which the prompts of a peer's sessions wait.

use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use tidegate_servers::Kafka;
use tokio::task::spawn_blocking;

use super::{Kind, free_address, spawn, tidegate};
use crate::process::Process;

const NO_REDIS: &str = "redis-server is not installed; scripts/bench installs it";

/// A running server. Dropping it ends it.
pub(super) enum Server {
    Redis(Process, SocketAddr),
    Kafka(Kafka),
}

impl Server {
    /// Starts the server that a peer of this kind needs, if it does.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    ///
    /// # Cancel safety
    ///
    /// Dropping the call ends the server, if need be as soon as it has started.
    pub(super) async fn start(kind: Kind, folder: &Path) -> Result<Option<Self>> {
        Ok(match kind {
            Kind::Redis => Some(redis(folder)?),
            Kind::Kafka => Some(Self::Kafka(spawn_blocking(Kafka::start).await??)),
            Kind::Direct | Kind::Nginx | Kind::Tidegate | Kind::Recovering | Kind::Echo => None,
        })
    }

    /// What gateway and worker have in their environment.
    pub(super) fn environment(&self) -> [(&'static str, String); 2] {
        match self {
            Self::Redis(_, address) => [("QUEUE_TYPE", "redis".to_owned()), ("REDIS_URL", format!("redis://{address}"))],
            Self::Kafka(kafka) => [("QUEUE_TYPE", "kafka".to_owned()), ("KAFKA_BROKERS", kafka.address())],
        }
    }

    /// Its process' id.
    pub(super) fn id(&self) -> u32 {
        match self {
            Self::Redis(process, _) => process.id(),
            Self::Kafka(kafka) => kafka.id(),
        }
    }

    /// Whether what it keeps is in its memory.
    pub(super) fn keeps_in_memory(&self) -> bool {
        matches!(self, Self::Redis(..))
    }
}

/// Starts a Redis that keeps what it has in `folder`, each command before its answer, as `docs/workers.md` wants it.
///
/// Rewriting its file is put off: this takes up to a second of processor time whenever the file has doubled, so it would make one window
/// of some very different from the others.
fn redis(folder: &Path) -> Result<Server> {
    let address = free_address()?;
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]).arg("--dir").arg(folder);
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--save", ""]);
    command.args(["--auto-aof-rewrite-percentage", "0"]);
    let process = spawn("redis-server", command, folder).context(NO_REDIS)?;
    Ok(Server::Redis(process, address))
}

/// The installed server behind a peer, such as `Redis 7.0.15`.
///
/// # Errors
///
/// When it is not installed, when Tidegate was built without it, and for a peer that has none.
pub(crate) fn version(kind: Kind) -> Result<String> {
    match kind {
        Kind::Redis => redis_version(),
        Kind::Kafka => {
            let version = Kafka::version()?;
            tidegate::has_kafka()?;
            Ok(format!("Kafka {version}"))
        }
        Kind::Direct | Kind::Nginx | Kind::Tidegate | Kind::Recovering | Kind::Echo => bail!("{kind} has no queue behind it"),
    }
}

fn redis_version() -> Result<String> {
    let output = Command::new("redis-server").arg("--version").output().context(NO_REDIS)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v=")).context("redis-server does not say its version")?;
    Ok(format!("Redis {version}"))
}

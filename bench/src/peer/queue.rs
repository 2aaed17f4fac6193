//! The server in which the prompts of a peer's sessions wait.

use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result};

use super::{free_address, spawn};
use crate::process::Process;

/// A running server. Dropping it ends it.
pub(super) struct Server {
    process: Process,
    address: SocketAddr,
}

impl Server {
    /// Starts a Redis that keeps what it has in `folder`, each command before its answer, as `docs/workers.md` wants it.
    ///
    /// Rewriting its file is put off: this takes up to a second of processor time whenever the file has doubled, so it would make one window
    /// of some very different from the others.
    ///
    /// # Errors
    ///
    /// When it is not installed.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]).arg("--dir").arg(folder);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--save", ""]);
        command.args(["--auto-aof-rewrite-percentage", "0"]);
        let process = spawn("redis-server", command, folder).context("scripts/bench installs it")?;
        Ok(Self { process, address })
    }

    /// What gateway and worker have in their environment.
    pub(super) fn environment(&self) -> [(&'static str, String); 2] {
        [("QUEUE_TYPE", "redis".to_owned()), ("REDIS_URL", format!("redis://{}", self.address))]
    }

    /// Its process' id.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// The installed version, as `Redis 7.0.15`.
///
/// # Errors
///
/// When it is not installed.
pub(crate) fn version() -> Result<String> {
    let output =
        Command::new("redis-server").arg("--version").output().context("redis-server is not installed; scripts/bench installs it")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v=")).context("redis-server does not say its version")?;
    Ok(format!("Redis {version}"))
}

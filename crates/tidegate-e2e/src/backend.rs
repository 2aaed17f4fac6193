//! Where the prompts of sessions wait. The tests of sessions say nothing about it, and run once for each.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::process::Process;
use crate::wait::eventually;

/// The ledger of the worker, where there is one.
const WORKER_LEDGER: &str = "worker.db";

/// A queue's backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// In the gateway's process, which runs them too.
    Memory,
    /// In a Redis of its own, from where one worker takes them.
    Redis,
}

/// A backend that runs. Dropping it ends it.
pub struct RunningBackend {
    /// What the gateway's environment says of it.
    pub environment: Vec<(String, String)>,
    /// Ledgers that have records of prompts, beside the gateway's.
    pub ledgers: Vec<&'static str>,
    _worker: Option<Process>,
    _redis: Option<Child>,
}

impl Backend {
    /// Starts what it needs, in a folder that has the gateway's configuration.
    ///
    /// # Errors
    ///
    /// Something of it does not start.
    pub async fn start(self, folder: &Path) -> Result<RunningBackend> {
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        match self {
            Self::Memory => {
                let environment = vec![variable("QUEUE_TYPE", "memory")];
                Ok(RunningBackend { environment, ledgers: Vec::new(), _worker: None, _redis: None })
            }
            Self::Redis => {
                let (redis, port) = redis(folder).await?;
                let url = format!("redis://127.0.0.1:{port}");
                let worker = [("QUEUE_TYPE", "redis"), ("REDIS_URL", url.as_str()), ("TIDEGATE__LEDGER__PATH", WORKER_LEDGER)];
                let worker = Process::spawn(folder, &["worker"], &worker)?;
                let environment = vec![variable("QUEUE_TYPE", "redis"), variable("REDIS_URL", &url)];
                Ok(RunningBackend { environment, ledgers: vec![WORKER_LEDGER], _worker: Some(worker), _redis: Some(redis) })
            }
        }
    }
}

/// Starts a Redis and returns its port.
async fn redis(folder: &Path) -> Result<(Child, u16)> {
    // Another process may take the port in between, hence the tries.
    for _ in 0..10 {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("redis-server is installed by scripts/test")?;
        let is_there = eventually("Redis listens", async || {
            if child.try_wait().ok().flatten().is_some() {
                return Some(false);
            }
            TcpStream::connect(("127.0.0.1", port)).await.ok().map(|_| true)
        });
        if is_there.await? {
            return Ok((child, port));
        }
    }
    bail!("redis-server ends at once")
}

//! A real Redis, that can be killed, frozen and started again with what it has kept.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::process::signal_child;
use crate::wait::{PATIENCE, eventually, in_time};

/// A Redis of its own on the loopback, with its files in a folder of its own. It loses nothing that it has answered, however it ends.
/// Dropping it kills it.
pub struct Redis {
    child: Child,
    addr: SocketAddr,
    folder: TempDir,
}

impl Redis {
    /// Starts one, with nothing in it.
    ///
    /// # Errors
    ///
    /// `redis-server` is not installed or does not start.
    pub async fn start() -> Result<Self> {
        const TRIES: usize = 20;
        let folder = TempDir::new()?;
        for _ in 0..TRIES {
            let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            // Another process may take the port in between; then this one says so and ends.
            if let Some(child) = spawn(addr, &folder).await? {
                return Ok(Self { child, addr, folder });
            }
        }
        bail!("redis-server does not start:\n{}", std::fs::read_to_string(folder.path().join("log"))?)
    }

    /// What a process that uses it has in its environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let url = format!("redis://{}", self.addr);
        vec![("QUEUE_TYPE".to_owned(), "redis".to_owned()), ("REDIS_URL".to_owned(), url)]
    }

    /// What it answers to a command, in the protocol's own writing, as far as that fits into one packet.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub async fn ask(&self, command: &str) -> Result<String> {
        ask(self.addr, command).await
    }

    /// Ends it without a warning.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Starts it again with what it has kept.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.child = spawn(self.addr, &self.folder).await?.context("redis-server does not start again")?;
        Ok(())
    }

    /// Stops it where it is.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        signal_child(self.child.id().context("it has ended")?, signal)
    }
}

/// `None`: it ended again.
async fn spawn(addr: SocketAddr, folder: &TempDir) -> Result<Option<Child>> {
    let log = File::options().create(true).append(true).open(folder.path().join("log"))?;
    let mut child = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &addr.port().to_string()])
        .args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
        .arg("--dir")
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(log)
        .kill_on_drop(true)
        .spawn()
        .context("redis-server does not start; scripts/test installs it")?;
    let lives = eventually("redis-server answers", async || match child.try_wait() {
        Ok(None) => ask(addr, "PING").await.is_ok_and(|answer| answer.starts_with("+PONG")).then_some(true),
        Ok(Some(_)) | Err(_) => Some(false),
    });
    Ok(lives.await?.then_some(child))
}

async fn ask(addr: SocketAddr, command: &str) -> Result<String> {
    let mut answer = vec![0; 64 * 1024];
    let asked = async {
        let mut socket = TcpStream::connect(addr).await?;
        socket.write_all(format!("{command}\r\n").as_bytes()).await?;
        let length = socket.read(&mut answer).await?;
        answer.truncate(length);
        Ok(String::from_utf8(answer)?)
    };
    in_time(format!("an answer to {command} within {PATIENCE:?}"), asked).await?
}

//! One of several processes that share a queue.

use std::path::Path;

use anyhow::{Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::gateway::Gateway;
use crate::process;

/// Which command a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `tidegate serve`.
    Gateway,
    /// `tidegate worker`.
    Worker,
}

/// A process in a folder of its own, with a ledger of its own.
pub struct Member {
    /// The process.
    pub process: Gateway,
    role: Role,
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Member {
    /// Starts it in `folder`.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn start(role: Role, folder: TempDir, environment: Vec<(String, String)>) -> Result<Self> {
        let process = start(role, folder.path(), &environment).await?;
        Ok(Self { process, role, folder, environment })
    }

    /// The folder that it runs in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it at once, as the kernel would.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.ended().await.map(drop)
    }

    /// Starts it again on the same folder; it must have ended.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = start(self.role, self.folder.path(), &self.environment).await?;
        Ok(())
    }

    /// Every record of its ledger, open ones included, the newest first.
    ///
    /// # Errors
    ///
    /// They cannot be listed.
    pub async fn records(&self) -> Result<Vec<Value>> {
        records(self.folder.path()).await
    }
}

/// Every record of the ledger in `folder`, open ones included, the newest first.
pub(crate) async fn records(folder: &Path) -> Result<Vec<Value>> {
    const ALL: &str = "4294967295";
    let listed = process::run(folder, &["streams", "list", "--json", "--limit", ALL]).await?;
    ensure!(listed.status.success(), "streams list failed: {}", String::from_utf8_lossy(&listed.stderr));
    String::from_utf8(listed.stdout)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Starts `role` in `folder`.
pub(crate) async fn start(role: Role, folder: &Path, environment: &[(String, String)]) -> Result<Gateway> {
    let environment: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    match role {
        Role::Gateway => Gateway::start(folder, &[], &environment).await,
        Role::Worker => Gateway::work(folder, &environment).await,
    }
}

//! The binary under test, started as any of its commands.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::wait::in_time;

/// A `tidegate` command that runs. Dropping it kills it.
pub struct Process {
    child: Child,
    printed: Arc<Mutex<String>>,
    collectors: Vec<JoinHandle<()>>,
}

/// Sends a child a signal. One that stops it has done so on return: until the kernel gets to it, its threads may still read what comes.
///
/// # Errors
///
/// It is gone.
pub(crate) fn signal_child(child: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(child.try_into()?).context("a process id is not zero")?;
    kill_process(pid, signal)?;
    if signal == Signal::STOP {
        waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    }
    Ok(())
}

impl Process {
    /// Starts `tidegate` with `arguments` in `folder`.
    ///
    /// # Errors
    ///
    /// The binary does not build or does not start.
    pub fn spawn(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let mut child = command(folder)?
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let printed = Arc::default();
        let collectors = [collect(child.stdout.take(), &printed), collect(child.stderr.take(), &printed)];
        Ok(Self { child, printed, collectors: collectors.into_iter().flatten().collect() })
    }

    /// What it printed so far, both streams together.
    #[must_use]
    pub fn printed(&self) -> String {
        lock(&self.printed).clone()
    }

    /// Closes the reading ends of what it prints into, as `head` does when it has enough.
    pub fn stop_reading(&mut self) {
        self.collectors.drain(..).for_each(|collector| collector.abort());
    }

    /// Its process id.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the process has ended")
    }

    /// Sends it a signal. One that stops it has done so on return.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        signal_child(self.pid()?, signal)
    }

    /// Whether it runs no more.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().ok().flatten().is_some()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// It runs on.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(in_time("the process's end", self.child.wait()).await??)
    }
}

/// Runs any `tidegate` command in `folder` to its end.
///
/// # Errors
///
/// It cannot be started, or does not end.
pub async fn run(folder: &Path, arguments: &[&str]) -> Result<Output> {
    run_with(folder, arguments, &[]).await
}

/// The same, with these variables in its environment.
///
/// # Errors
///
/// As for [`run`].
pub async fn run_with(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Output> {
    let mut command = command(folder)?;
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    Ok(in_time(arguments, command.output()).await??)
}

/// The binary, with nothing of this machine's environment that would configure it.
fn command(folder: &Path) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("TIDEGATE") || name_text.ends_with("_API_KEY") || name_text == "PORT" {
            command.env_remove(&name);
        }
    }
    Ok(command)
}

/// The binary under test: `TIDEGATE_BINARY` where it is set, else the one beside the test's own, which cargo first brings up to date.
///
/// # Errors
///
/// It does not build.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}"))).clone().map_err(anyhow::Error::msg)
}

fn build() -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("TIDEGATE_BINARY") {
        return Ok(binary.into());
    }
    let own = std::env::current_exe()?;
    let profile = own.ancestors().nth(2).context("the test does not run from target/PROFILE/deps")?;
    let built = std::process::Command::new(env!("CARGO"))
        .args(["build", "-p", "tidegate", "--features", "kafka"])
        .current_dir(crate::root())
        .output()?;
    ensure!(built.status.success(), "the gateway does not build:\n{}", String::from_utf8_lossy(&built.stderr));
    Ok(profile.join("tidegate"))
}

fn collect(stream: Option<impl AsyncRead + Unpin + Send + 'static>, into: &Arc<Mutex<String>>) -> Option<JoinHandle<()>> {
    let stream = stream?;
    let into = Arc::clone(into);
    Some(tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut text = lock(&into);
            text.push_str(&line);
            text.push('\n');
        }
    }))
}

fn lock(text: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    text.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

//! The real binary, as an operator runs it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::chat::{Chat, request};
use crate::raw::Answer;
use crate::view::View;
use crate::wait::{eventually, in_time};

/// A running `tidegate serve`. Dropping it kills it.
pub struct Gateway {
    child: Child,
    addr: SocketAddr,
    printed: Arc<Mutex<String>>,
}

impl Gateway {
    /// Starts `tidegate serve` with `arguments` in `folder`, and waits until `/healthz` answers.
    ///
    /// # Errors
    ///
    /// It ended instead, or did not answer in time; the message has what it printed.
    pub async fn start(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let mut child = command(folder)?
            .arg("serve")
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let printed = Arc::default();
        collect(child.stdout.take(), &printed);
        collect(child.stderr.take(), &printed);
        let addr = eventually("the address in the gateway's output", async || {
            if child.try_wait().ok().flatten().is_some() {
                return Some(None);
            }
            listening(&lock(&printed)).map(Some)
        })
        .await
        .with_context(|| lock(&printed).clone())?;
        let Some(addr) = addr else { bail!("the gateway ended at once:\n{}", lock(&printed)) };
        let gateway = Self { child, addr, printed };
        eventually("/healthz", async || gateway.get("/healthz").await.ok().filter(|view| view.status == 200)).await?;
        Ok(gateway)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL for an SDK.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// What it printed so far, both streams together.
    #[must_use]
    pub fn printed(&self) -> String {
        lock(&self.printed).clone()
    }

    /// Sends a chat request and waits for the head of its answer.
    ///
    /// # Errors
    ///
    /// See [`Answer::to`].
    pub async fn send(&self, chat: &Chat) -> Result<Answer> {
        Answer::to(self.addr, &chat.bytes()).await
    }

    /// Sends a chat request and reads its whole answer.
    ///
    /// # Errors
    ///
    /// See [`Answer::view`].
    pub async fn chat(&self, chat: &Chat) -> Result<View> {
        self.send(chat).await?.view().await
    }

    /// Gets a JSON resource.
    ///
    /// # Errors
    ///
    /// See [`Answer::view`]; a body that is no JSON is one too.
    pub async fn get(&self, path: &str) -> Result<View> {
        self.get_with_key(path, None).await
    }

    /// Gets a JSON resource with a Tidegate key.
    ///
    /// # Errors
    ///
    /// As for [`Gateway::get`].
    pub async fn get_with_key(&self, path: &str, key: Option<&str>) -> Result<View> {
        self.answer(path, key).await?.view().await
    }

    /// Gets a resource as text.
    ///
    /// # Errors
    ///
    /// See [`Answer::bytes`].
    pub async fn text(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8(self.answer(path, None).await?.bytes().await?)?)
    }

    /// The record of a stream once it is closed.
    ///
    /// # Errors
    ///
    /// There is none, or it stays open.
    pub async fn record(&self, stream_id: &str) -> Result<Value> {
        self.record_with_key(stream_id, None).await
    }

    /// The record of a stream once it is closed, asked for with a Tidegate key.
    ///
    /// # Errors
    ///
    /// As for [`Gateway::record`].
    pub async fn record_with_key(&self, stream_id: &str, key: Option<&str>) -> Result<Value> {
        ensure!(!stream_id.is_empty(), "the answer named no stream");
        let path = format!("/v1/streams/{stream_id}");
        eventually(format!("the record of {stream_id}"), async || {
            let record = self.get_with_key(&path, key).await.ok()?.body?;
            record["status"].is_string().then_some(record)
        })
        .await
    }

    /// The value of a metric's first series whose line starts with `series`; zero when there is none.
    ///
    /// # Errors
    ///
    /// `/metrics` does not answer.
    pub async fn metric(&self, series: &str) -> Result<f64> {
        let text = self.text("/metrics").await?;
        let line = text.lines().find(|line| line.starts_with(series));
        Ok(line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok()).unwrap_or(0.0))
    }

    /// Its process.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the gateway has ended")
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid()?.try_into()?).context("a process id is not zero")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// It runs on.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(in_time("the gateway's end", self.child.wait()).await??)
    }

    async fn answer(&self, path: &str, key: Option<&str>) -> Result<Answer> {
        let headers: Vec<_> = key.map(|key| ("authorization".to_owned(), format!("Bearer {key}"))).into_iter().collect();
        Answer::to(self.addr, &request("GET", path, &headers, b"")).await
    }
}

/// Runs any `tidegate` command in `folder` to its end.
///
/// # Errors
///
/// It cannot be started, or does not end.
pub async fn run(folder: &Path, arguments: &[&str]) -> Result<Output> {
    Ok(in_time(arguments, command(folder)?.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output()).await??)
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
fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}"))).clone().map_err(anyhow::Error::msg)
}

fn build() -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("TIDEGATE_BINARY") {
        return Ok(binary.into());
    }
    let own = std::env::current_exe()?;
    let profile = own.ancestors().nth(2).context("the test does not run from target/PROFILE/deps")?;
    let built = std::process::Command::new(env!("CARGO")).args(["build", "-p", "tidegate"]).current_dir(crate::root()).output()?;
    ensure!(built.status.success(), "the gateway does not build:\n{}", String::from_utf8_lossy(&built.stderr));
    Ok(profile.join("tidegate"))
}

fn collect(stream: Option<impl AsyncRead + Unpin + Send + 'static>, into: &Arc<Mutex<String>>) {
    let Some(stream) = stream else { return };
    let into = Arc::clone(into);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut text = lock(&into);
            text.push_str(&line);
            text.push('\n');
        }
    });
}

/// The address in the first line that says where it listens.
fn listening(printed: &str) -> Option<SocketAddr> {
    let line = printed.lines().find(|line| line.contains("listening"))?;
    let from = line.find("127.0.0.1:")?;
    let address = &line[from..];
    let length = address.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(address.len());
    address[..length].parse().ok()
}

fn lock(text: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    text.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

//! The real binary, as an operator runs it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::chat::{Chat, request};
use crate::process::Process;
use crate::raw::Answer;
use crate::view::View;
use crate::wait::eventually;

/// A running `tidegate serve`, or `tidegate worker`, which answers about its health alone. Dropping it kills it.
pub struct Gateway {
    process: Process,
    addr: SocketAddr,
}

impl Gateway {
    /// Starts `tidegate serve` with `arguments` in `folder`, and waits until `/healthz` answers.
    ///
    /// # Errors
    ///
    /// It ended instead, or did not answer in time; the message has what it printed.
    pub async fn start(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        Self::run(folder, &[&["serve"], arguments].concat(), environment).await
    }

    /// Starts `tidegate worker` in `folder`, and waits until `/healthz` answers.
    ///
    /// # Errors
    ///
    /// As for [`Gateway::start`].
    pub async fn work(folder: &Path, environment: &[(&str, &str)]) -> Result<Self> {
        Self::run(folder, &["worker", "--listen", "127.0.0.1:0"], environment).await
    }

    async fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let mut process = Process::spawn(folder, arguments, environment)?;
        let addr = eventually("the address in the gateway's output", async || {
            if process.has_ended() {
                return Some(None);
            }
            listening(&process.printed()).map(Some)
        })
        .await
        .with_context(|| process.printed())?;
        let Some(addr) = addr else { bail!("the gateway ended at once:\n{}", process.printed()) };
        let gateway = Self { process, addr };
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
        self.process.printed()
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

    /// Waits until prompts can be queued.
    ///
    /// # Errors
    ///
    /// They cannot.
    pub async fn reaches_its_queue(&self) -> Result<()> {
        let up = async || self.metric("tidegate_queue_up").await.ok().filter(|up| *up > 0.0);
        eventually("the gateway's queue", up).await.map(drop)
    }

    /// Its process.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn pid(&self) -> Result<u32> {
        self.process.pid()
    }

    /// Its resident memory, in KiB.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
        Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// It runs on.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        self.process.ended().await
    }

    async fn answer(&self, path: &str, key: Option<&str>) -> Result<Answer> {
        let headers: Vec<_> = key.map(|key| ("authorization".to_owned(), format!("Bearer {key}"))).into_iter().collect();
        Answer::to(self.addr, &request("GET", path, &headers, b"")).await
    }
}

/// The address in the first line that says where it listens.
fn listening(printed: &str) -> Option<SocketAddr> {
    let line = printed.lines().find(|line| line.contains("listening") || line.contains("its health"))?;
    let from = line.find("127.0.0.1:")?;
    let address = &line[from..];
    let length = address.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(address.len());
    address[..length].parse().ok()
}

//! The official OpenAI SDKs as subprocesses, untouched.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::program::command;
use crate::wait::in_time;

/// Which SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sdk {
    /// `openai` from `PyPI`.
    Python,
    /// `openai` from npm.
    Node,
}

/// One call of the SDK.
#[derive(Debug, Clone)]
pub struct Case(Value);

/// How a call looked to the application.
#[derive(Debug, Clone)]
pub struct SdkView {
    /// All text that the application got.
    pub text: String,
    /// The deltas, each with its milliseconds after the call.
    pub deltas: Vec<(String, f64)>,
    /// `completed`, `aborted` or `exception`, and what goes with it; the form stands in `clients/python/chat.py`.
    pub outcome: Value,
}

impl Sdk {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Python, Self::Node];

    /// Runs `cases` one after another in one process, without retries.
    ///
    /// # Errors
    ///
    /// The client program cannot be started, fails, or does not say how each case ended.
    pub async fn run(self, base_url: &str, key: &str, cases: &[Case]) -> Result<Vec<SdkView>> {
        self.run_with_retries(base_url, key, 0, cases).await
    }

    /// Runs `cases` with the SDK's own retries.
    ///
    /// # Errors
    ///
    /// As for [`Sdk::run`].
    pub async fn run_with_retries(self, base_url: &str, key: &str, retries: u32, cases: &[Case]) -> Result<Vec<SdkView>> {
        let mut child = command(self.script())
            .args([base_url, key, &retries.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start; scripts/test installs the SDKs", self.script()))?;
        let mut lines = String::new();
        for (id, Case(case)) in cases.iter().enumerate() {
            let mut case = case.clone();
            case["id"] = json!(id);
            lines += &format!("{case}\n");
        }
        child.stdin.take().context("its standard input is a pipe")?.write_all(lines.as_bytes()).await?;
        let (mut printed, mut output) = (Vec::new(), child.stdout.take().context("its standard output is a pipe")?);
        let ended = in_time(self, async {
            output.read_to_end(&mut printed).await?;
            child.wait().await
        });
        let ended = ended.await;
        let printed = String::from_utf8(printed)?;
        let status = ended.with_context(|| format!("it printed so far:\n{printed}"))??;
        ensure!(status.success(), "{self:?} failed:\n{printed}");
        read(&printed, cases.len())
    }

    fn script(self) -> &'static str {
        match self {
            Self::Python => "python/chat.py",
            Self::Node => "node/chat.mjs",
        }
    }
}

impl Case {
    /// A streamed call of `model`.
    #[must_use]
    pub fn stream(model: &str) -> Self {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "Say hello."}]});
        Self(json!({"mode": "stream", "body": body}))
    }

    /// A whole call of `model`.
    #[must_use]
    pub fn whole(model: &str) -> Self {
        Self::stream(model).set("mode", "whole")
    }

    /// A streamed call that the application gives up after `deltas` of them.
    #[must_use]
    pub fn abort(model: &str, deltas: u64) -> Self {
        Self::stream(model).set("mode", "abort").set("abort_after", deltas)
    }

    /// Adds headers or further members of the body: `headers`, `extra`.
    #[must_use]
    pub fn set(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0[member] = value.into();
        self
    }
}

impl SdkView {
    /// The application believes that the answer is whole.
    #[must_use]
    pub fn completed(&self) -> bool {
        self.outcome["outcome"] == "completed"
    }

    /// The application got an exception.
    #[must_use]
    pub fn raised(&self) -> bool {
        self.outcome["outcome"] == "exception"
    }
}

fn read(printed: &str, cases: usize) -> Result<Vec<SdkView>> {
    let mut views = vec![SdkView { text: String::new(), deltas: Vec::new(), outcome: Value::Null }; cases];
    for line in printed.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let id = line["id"].as_u64().and_then(|id| usize::try_from(id).ok()).context("a line without its case")?;
        let view = views.get_mut(id).context("a line of an unknown case")?;
        if let Some(delta) = line["delta"].as_str() {
            view.deltas.push((delta.to_owned(), line["ms"].as_f64().unwrap_or_default()));
        } else {
            view.text = line["text"].as_str().unwrap_or_default().to_owned();
            view.outcome = line;
        }
    }
    ensure!(views.iter().all(|view| !view.outcome.is_null()), "a case without its end: {printed}");
    Ok(views)
}

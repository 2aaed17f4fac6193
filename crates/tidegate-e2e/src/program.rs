//! Client programs as subprocesses, spoken to line by line: what an application in another language does.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::wait::in_time;

/// A client program that runs. Dropping it kills it.
pub struct Program {
    name: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    said: Vec<Value>,
}

impl Program {
    /// Starts the script `name` of the folder `clients`, such as `python/session.py`.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start(name: &'static str, arguments: &[&str]) -> Result<Self> {
        let mut child = command(name)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} does not start; scripts/test installs what it needs"))?;
        let output = child.stdout.take().context("its standard output is a pipe")?;
        Ok(Self { name, input: child.stdin.take(), child, output: BufReader::new(output).lines(), said: Vec::new() })
    }

    /// Writes a line to it.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub async fn tell(&mut self, line: impl std::fmt::Display) -> Result<()> {
        let input = self.input.as_mut().context("its standard input is open")?;
        Ok(input.write_all(format!("{line}\n").as_bytes()).await?)
    }

    /// Reads until it says what `is_it` looks for, and returns that.
    ///
    /// # Errors
    ///
    /// It never does; the message has what it said.
    pub async fn hear(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            let line = in_time(what, self.output.next_line()).await.with_context(|| format!("{} said {:#?}", self.name, self.said))??;
            let line = line.with_context(|| format!("{} ended before {what}, after {:#?}", self.name, self.said))?;
            let line: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
            self.said.push(line.clone());
            if is_it(&line) {
                return Ok(line);
            }
        }
    }

    /// Everything that it said and that was heard.
    #[must_use]
    pub fn said(&self) -> &[Value] {
        &self.said
    }

    /// Ends its input, reads the rest, and returns everything that it said.
    ///
    /// # Errors
    ///
    /// It does not end, or fails.
    pub async fn finish(mut self) -> Result<Vec<Value>> {
        self.input = None;
        while let Some(line) = in_time("the end of its output", self.output.next_line()).await?? {
            self.said.push(serde_json::from_str(&line).with_context(|| line.clone())?);
        }
        let status = in_time("its end", self.child.wait()).await??;
        ensure!(status.success(), "{} failed after {:#?}", self.name, self.said);
        Ok(self.said)
    }
}

/// Runs a script of the folder `clients` to its end.
///
/// # Errors
///
/// It does not start or does not end.
pub async fn run_program(name: &str, arguments: &[&str]) -> Result<Output> {
    let output = command(name).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    in_time(name, output).await?.with_context(|| format!("{name} does not start; scripts/test installs what it needs"))
}

/// A script of the folder `clients`, to be run by what runs its language.
pub(crate) fn command(name: &str) -> Command {
    let is_python = PathBuf::from(name).extension().is_some_and(|extension| extension == "py");
    let mut command = if is_python { Command::new(crate::root().join(".cache/venv/bin/python")) } else { Command::new("node") };
    command.arg(client_file(name));
    command
}

/// A file of the folder `clients`.
#[must_use]
pub fn client_file(name: &str) -> PathBuf {
    crate::root().join("crates/tidegate-e2e/clients").join(name)
}

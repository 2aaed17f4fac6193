//! A gateway between a client and a scripted provider; where prompts wait in a server, also that one, workers, and more gateways.

mod builder;

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tidegate_scenario::{JournalEntry, Mock};

pub use builder::WorldBuilder;

use crate::backend::Server;
use crate::chat::Chat;
use crate::edge::RunningEdge;
use crate::gateway::Gateway;
use crate::member::{self, Member, Role};
use crate::process::{self, Process};
use crate::session::{Hello, SessionClient};
use crate::view::View;
use crate::wait::eventually;

/// The key that the gateway holds for the mock provider. It may appear on the provider's wire and nowhere else.
pub const PROVIDER_KEY: &str = "sk-provider-0123456789abcdef";

/// For [`WorldBuilder::recovers`]: waits that a test can wait for, and room for every repetition. More of `[retry]` and sections may follow.
pub const QUICK: &str = "[retry]\nbackoff = \"20ms\"\njitter = \"1ms\"\nbudget_floor = 100000\n";

/// A mock provider, a gateway in front of it, and the folder that the gateway runs in.
pub struct World {
    /// The gateway.
    pub gateway: Gateway,
    /// Further gateways ([`WorldBuilder::gateways`]).
    pub others: Vec<Member>,
    /// Who runs the prompts that wait in a server.
    pub workers: Vec<Member>,
    /// That server.
    pub queue: Option<Server>,
    /// The provider.
    pub mock: Mock,
    /// What stands between them, where a test asked for it.
    pub edge: Option<RunningEdge>,
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl World {
    /// A gateway whose every model name is served by the mock, which plays `scenario` (a target for each model name).
    ///
    /// # Errors
    ///
    /// The scenario does not parse, or the gateway does not start.
    pub async fn start(scenario: &str) -> Result<Self> {
        Self::of(scenario).start().await
    }

    /// The same, to be changed before it starts. Each request is attempted once and no breaker opens, so that one attempt can be looked at;
    /// [`WorldBuilder::recovers`] changes that.
    #[must_use]
    pub fn of(scenario: &str) -> WorldBuilder {
        WorldBuilder::new(scenario)
    }

    /// See [`Gateway::chat`].
    ///
    /// # Errors
    ///
    /// See [`Gateway::chat`].
    pub async fn chat(&self, chat: &Chat) -> Result<View> {
        self.gateway.chat(chat).await
    }

    /// A client's view of a chat together with the gateway's record of it.
    ///
    /// # Errors
    ///
    /// See [`Gateway::chat`] and [`Gateway::record`].
    pub async fn chat_and_record(&self, chat: &Chat) -> Result<(View, Value)> {
        let view = self.chat(chat).await?;
        let record = self.gateway.record(view.stream_id()).await.with_context(|| format!("{view:?}"))?;
        Ok((view, record))
    }

    /// The folder that the gateway runs in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a `tidegate` command in the gateway's folder and environment, which have its configuration and its ledger.
    ///
    /// # Errors
    ///
    /// It fails; the message has what it printed.
    pub async fn command(&self, arguments: &[&str]) -> Result<String> {
        printed(arguments, &self.output(arguments).await?)
    }

    /// The same, however it ends.
    ///
    /// # Errors
    ///
    /// It does not start, or does not end.
    pub async fn output(&self, arguments: &[&str]) -> Result<Output> {
        let environment: Vec<_> = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        process::run_with(self.folder(), arguments, &environment).await
    }

    /// Makes a further client key with these arguments of `keys create`, and waits until the gateway takes it.
    ///
    /// # Errors
    ///
    /// No key can be made, or the gateway does not learn of it.
    pub async fn make_key(&self, arguments: &[&str]) -> Result<String> {
        let key = created_key(self.folder(), arguments).await?;
        let known = async || self.gateway.get_with_key("/v1/models", Some(&key)).await.ok().filter(|view| view.status == 200);
        eventually("the gateway knows the new key", known).await?;
        Ok(key)
    }

    /// Starts a `tidegate` command in the gateway's folder that runs on beside it.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn spawn(&self, arguments: &[&str]) -> Result<Process> {
        Process::spawn(self.folder(), arguments, &[])
    }

    /// Kills the gateway at once, as the kernel would, and starts it again on the same folder.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn kill_and_restart(&mut self) -> Result<()> {
        self.gateway.signal(rustix::process::Signal::KILL)?;
        self.gateway.ended().await?;
        self.start_again().await
    }

    /// Starts the gateway again on the same folder; it must have ended.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.gateway = member::start(Role::Gateway, self.folder.path(), &self.environment).await?;
        Ok(())
    }

    /// A new session of a client that can resume it.
    ///
    /// # Errors
    ///
    /// See [`SessionClient::open`].
    pub async fn session(&self) -> Result<SessionClient> {
        SessionClient::open(self.gateway.addr(), &Hello::resumable()).await
    }

    /// The server that prompts wait in.
    ///
    /// # Errors
    ///
    /// They wait in the gateway.
    pub fn queue(&mut self) -> Result<&mut Server> {
        self.queue.as_mut().context("prompts wait in the gateway")
    }

    /// Every record of the gateways' and the workers' ledgers, open ones included, the newest of each first.
    ///
    /// # Errors
    ///
    /// They cannot be listed.
    pub async fn records(&self) -> Result<Vec<Value>> {
        let mut records = member::records(self.folder()).await?;
        for member in self.others.iter().chain(&self.workers) {
            records.extend(member.records().await?);
        }
        Ok(records)
    }

    /// The same once all of them are closed.
    ///
    /// # Errors
    ///
    /// One stays open.
    pub async fn closed_records(&self) -> Result<Vec<Value>> {
        let are_closed = |records: &Vec<Value>| records.iter().all(|record| record["status"].is_string());
        eventually("every record is closed", async || self.records().await.ok().filter(are_closed)).await
    }

    /// The record of a session's task once it is closed: for clients that never heard which stream it was.
    ///
    /// # Errors
    ///
    /// There is none, or it stays open.
    pub async fn record_of_task(&self, task: &str) -> Result<Value> {
        let is_it = |record: &Value| record["task_id"] == task && record["status"].is_string();
        eventually(format!("the record of {task}"), async || self.records().await.ok()?.into_iter().find(is_it)).await
    }

    /// What the mock was asked for `model`: the `messages` of each request, in order.
    ///
    /// # Errors
    ///
    /// A request was no JSON.
    pub fn conversations(&self, model: &str) -> Result<Vec<Value>> {
        let messages = |entry: &JournalEntry| Ok(serde_json::from_slice::<Value>(&entry.body)?["messages"].take());
        self.requests(model).iter().map(messages).collect()
    }

    /// Every request that the mock had for `model`, in order.
    #[must_use]
    pub fn requests(&self, model: &str) -> Vec<JournalEntry> {
        let mut entries = self.mock.journal().entries();
        entries.retain(|entry| entry.model == model);
        entries
    }

    /// How many bytes the mock has sent for the first request for `model` when it has to stop, because nobody takes more.
    ///
    /// # Errors
    ///
    /// It never stops.
    pub async fn provider_stops(&self, model: &str) -> Result<u64> {
        let (mut last, mut quiet) = (0, 0);
        eventually("the provider stops", async || {
            // Back-pressure has come through when the provider has sent nothing for a second: its socket takes some megabytes at once, which
            // whoever reads on needs a part of that for.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let sent = self.requests(model).first().map_or(0, |entry| entry.bytes_sent);
            quiet = if sent > 0 && sent == last { quiet + 1 } else { 0 };
            last = sent;
            (quiet == 10).then_some(sent)
        })
        .await
    }

    /// The mock's only request for `model`, as it stands once `settled` says so.
    ///
    /// # Errors
    ///
    /// It never does.
    pub async fn journal(&self, model: &str, settled: impl Fn(&JournalEntry) -> bool) -> Result<JournalEntry> {
        eventually(format!("the provider's request for {model}"), async || {
            self.mock.journal().entries().into_iter().find(|entry| entry.model == model && settled(entry))
        })
        .await
    }
}

/// Makes a client key by the command line and returns the secret that it prints once.
///
/// # Errors
///
/// The command fails or prints no key.
pub async fn make_key(folder: &Path) -> Result<String> {
    created_key(folder, &["--team", "search", "--environment", "staging"]).await
}

async fn created_key(folder: &Path, arguments: &[&str]) -> Result<String> {
    let arguments = [&["keys", "create", "--name", "e2e"], arguments].concat();
    let printed = printed(&arguments, &process::run(folder, &arguments).await?)?;
    let key = printed.split_whitespace().find(|word| word.starts_with("tg_")).context("no key was printed")?;
    Ok(key.to_owned())
}

/// What a command printed that has to have succeeded.
fn printed(arguments: &[&str], output: &Output) -> Result<String> {
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "tidegate {arguments:?} failed:\n{printed}{}", String::from_utf8_lossy(&output.stderr));
    Ok(printed)
}

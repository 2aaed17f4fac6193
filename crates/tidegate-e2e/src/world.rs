//! A gateway between a client and a scripted provider.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tidegate_scenario::{JournalEntry, Mock, MockSettings};

use crate::backend::Backend;
use crate::chat::Chat;
use crate::edge::{Edge, RunningEdge};
use crate::gateway::Gateway;
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
    /// The provider.
    pub mock: Mock,
    /// What stands between them, where a test asked for it.
    pub edge: Option<RunningEdge>,
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// A [`World`] to be.
pub struct WorldBuilder {
    scenario: String,
    provider_keys: String,
    mock_key: Option<String>,
    server: String,
    provider: String,
    model: String,
    recovery: String,
    more: String,
    environment: Vec<(String, String)>,
    edge: Option<Edge>,
    keys: bool,
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
        WorldBuilder {
            scenario: scenario.to_owned(),
            mock_key: Some(PROVIDER_KEY.to_owned()),
            provider_keys: format!("api_key = \"{PROVIDER_KEY}\""),
            server: String::new(),
            provider: String::new(),
            model: String::new(),
            recovery: "[retry]\nattempts = 1\n[breaker]\nfailures = 1000000\ncooldown = \"1ms\"\n".to_owned(),
            more: String::new(),
            environment: Vec::new(),
            edge: None,
            keys: false,
        }
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

    /// Runs a `tidegate` command in the gateway's folder, which has its configuration and its ledger.
    ///
    /// # Errors
    ///
    /// It fails; the message has what it printed.
    pub async fn command(&self, arguments: &[&str]) -> Result<String> {
        succeed(self.folder(), arguments).await
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
        self.gateway = start(self.folder.path(), &self.environment).await?;
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

    /// Every record of the ledger, open ones included, the newest first.
    ///
    /// # Errors
    ///
    /// They cannot be listed.
    pub async fn records(&self) -> Result<Vec<Value>> {
        let listed = self.command(&["streams", "list", "--json", "--limit", "100000"]).await?;
        listed.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
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

impl WorldBuilder {
    /// What the mock plays, where that is put together beside the rest.
    #[must_use]
    pub fn scenario(mut self, scenario: &str) -> Self {
        scenario.clone_into(&mut self.scenario);
        self
    }

    /// Lines for `[server]`.
    #[must_use]
    pub fn server(mut self, lines: &str) -> Self {
        self.server += lines;
        self
    }

    /// Keys for the provider, which take turns.
    #[must_use]
    pub fn provider_keys(mut self, keys: &[&str]) -> Self {
        self.provider_keys = format!("api_keys = {keys:?}");
        self
    }

    /// A provider that takes any key.
    #[must_use]
    pub fn any_provider_key(mut self) -> Self {
        self.mock_key = None;
        self
    }

    /// Lines for `[providers.mock]`.
    #[must_use]
    pub fn provider(mut self, lines: &str) -> Self {
        self.provider += lines;
        self
    }

    /// Lines for `[models."*"]`.
    #[must_use]
    pub fn model(mut self, lines: &str) -> Self {
        self.model += lines;
        self
    }

    /// With the product's retries and breakers, changed by `sections`.
    #[must_use]
    pub fn recovers(mut self, sections: &str) -> Self {
        sections.clone_into(&mut self.recovery);
        self
    }

    /// A model that is served by these of the mock's targets, in this order; at another provider than `mock` where that goes before the name:
    /// `other/a`. Further members of a route follow its name: `a, weight = 3`. The model's own lines may follow by [`WorldBuilder::more`].
    #[must_use]
    pub fn routes(self, model: &str, targets: &[&str]) -> Self {
        let route = |target: &&str| {
            let (name, members) = target.split_once(',').unwrap_or((target, ""));
            let (provider, name) = name.split_once('/').unwrap_or(("mock", name));
            let comma = if members.is_empty() { "" } else { "," };
            format!("{{ provider = \"{provider}\", model = \"{name}\"{comma}{members} }}")
        };
        let routes: Vec<String> = targets.iter().map(route).collect();
        self.more(&format!("[models.\"{model}\"]\nroutes = [{}]\n", routes.join(", ")))
    }

    /// Whole sections. `{mock}` in them is the mock's base URL.
    #[must_use]
    pub fn more(mut self, sections: &str) -> Self {
        self.more += sections;
        self
    }

    /// A model of this name at a provider of the test's own.
    #[must_use]
    pub fn provider_at(self, model: &str, addr: SocketAddr) -> Self {
        self.more(&format!(
            "[providers.{model}]\nkind = \"openai\"\nbase_url = \"http://{addr}/v1\"\n[models.{model}]\nroutes = [{{ provider = \"{model}\" }}]\n"
        ))
    }

    /// A variable of the gateway's environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets the prompts of sessions wait there.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.environment.extend(backend.environment());
        self
    }

    /// Puts nginx in front of the provider.
    #[must_use]
    pub fn edge(mut self, edge: Edge) -> Self {
        self.edge = Some(edge);
        self
    }

    /// Makes one client key before the start, so that the gateway is not open. [`WorldBuilder::start_with_key`] returns it.
    ///
    /// # Errors
    ///
    /// As for [`World::start`], or no key can be made.
    pub async fn start_with_key(mut self) -> Result<(World, String)> {
        self.keys = true;
        let (world, key) = self.build().await?;
        Ok((world, key.context("a key was made")?))
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// As for [`World::start`].
    pub async fn start(self) -> Result<World> {
        Ok(self.build().await?.0)
    }

    async fn build(self) -> Result<(World, Option<String>)> {
        let script = if self.scenario.is_empty() { None } else { Some(self.scenario.parse()?) };
        let mock = Mock::start(MockSettings { script, api_key: self.mock_key.clone(), ..MockSettings::default() }).await?;
        let folder = TempDir::new()?;
        let edge = match &self.edge {
            Some(edge) => Some(edge.start(&mock, folder.path()).await?),
            None => None,
        };
        let provider = edge.as_ref().map_or_else(|| mock.base_url(), |edge| edge.base_url.clone());
        std::fs::write(folder.path().join("tidegate.toml"), self.configuration(&provider)?)?;
        let key = if self.keys { Some(make_key(folder.path()).await?) } else { None };
        let gateway = start(folder.path(), &self.environment).await?;
        Ok((World { gateway, mock, edge, folder, environment: self.environment }, key))
    }

    fn configuration(&self, provider: &str) -> Result<String> {
        let mut text = String::new();
        writeln!(text, "[server]\nlisten = \"127.0.0.1:0\"\n{}", self.server)?;
        writeln!(text, "[providers.mock]\nkind = \"openai\"\nbase_url = \"{provider}\"\n{}\n{}", self.provider_keys, self.provider)?;
        let more = self.more.replace("{mock}", provider);
        writeln!(text, "[models.\"*\"]\nroutes = [{{ provider = \"mock\" }}]\n{}\n{}{more}", self.model, self.recovery)?;
        Ok(text)
    }
}

async fn start(folder: &Path, environment: &[(String, String)]) -> Result<Gateway> {
    let environment: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Gateway::start(folder, &[], &environment).await
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
    let printed = succeed(folder, &[&["keys", "create", "--name", "e2e"], arguments].concat()).await?;
    let key = printed.split_whitespace().find(|word| word.starts_with("tg_")).context("no key was printed")?;
    Ok(key.to_owned())
}

async fn succeed(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = process::run(folder, arguments).await?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "tidegate {arguments:?} failed:\n{printed}{}", String::from_utf8_lossy(&output.stderr));
    Ok(printed)
}

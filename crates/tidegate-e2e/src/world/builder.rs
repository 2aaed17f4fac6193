//! What a [`World`] is to be.

use std::fmt::Write as _;
use std::iter;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tidegate_scenario::{Mock, MockSettings};

use super::{PROVIDER_KEY, World, make_key};
use crate::backend::{Backend, Server};
use crate::edge::Edge;
use crate::member::{self, Member, Role};

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
    backend: Backend,
    apart: bool,
    gateways: usize,
    workers: usize,
}

impl WorldBuilder {
    pub(super) fn new(scenario: &str) -> Self {
        Self {
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
            backend: Backend::Memory,
            apart: false,
            gateways: 1,
            workers: 1,
        }
    }

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
        self.backend = backend;
        self
    }

    /// With a server that no other test uses: for tests that kill or freeze it.
    #[must_use]
    pub fn apart(mut self) -> Self {
        self.apart = true;
        self
    }

    /// So many gateways on one queue, of which each has a ledger of its own.
    #[must_use]
    pub fn gateways(mut self, count: usize) -> Self {
        self.gateways = count;
        self
    }

    /// So many workers, of which each has a ledger of its own. Where prompts wait in the gateway, it has none.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
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
        let queue = self.backend.start(self.apart).await?;
        let mut environment = self.environment.clone();
        environment.extend(queue.iter().flat_map(Server::environment));
        let (mut others, mut workers) = (Vec::new(), Vec::new());
        // Before the first one writes into the ledger that they copy.
        for _ in 1..self.gateways {
            others.push(self.member(Role::Gateway, folder.path(), &environment).await?);
        }
        let gateway = member::start(Role::Gateway, folder.path(), &environment).await?;
        if queue.is_some() {
            for _ in 0..self.workers {
                workers.push(self.member(Role::Worker, folder.path(), &environment).await?);
            }
            for gateway in iter::once(&gateway).chain(others.iter().map(|member| &member.process)) {
                gateway.reaches_its_queue().await?;
            }
        }
        Ok((World { gateway, others, workers, queue, mock, edge, folder, environment }, key))
    }

    /// One more process of the same configuration, which knows the same keys.
    async fn member(&self, role: Role, first: &Path, environment: &[(String, String)]) -> Result<Member> {
        let folder = TempDir::new()?;
        if self.keys && role == Role::Gateway {
            std::fs::copy(first.join("tidegate.db"), folder.path().join("tidegate.db"))?;
        }
        let config = first.join("tidegate.toml").into_os_string().into_string().ok().context("the folder's name is text")?;
        let environment = [environment, &[("TIDEGATE_CONFIG".to_owned(), config)]].concat();
        Member::start(role, folder, environment).await
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

//! `tidegate mock`: the provider that fails on demand.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use tidegate_scenario::{Mock, MockSettings, Scenario};

use super::WrongUsage;

/// Settings of the mock provider.
#[derive(Debug, Args)]
pub(crate) struct MockArguments {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:9090", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A file with a scenario; each target is a model name. See docs/mock.md.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// The only key that is accepted.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
}

pub(crate) fn run(arguments: &MockArguments) -> Result<()> {
    crate::logging::start(tidegate_config::LogFormat::Auto, tidegate_config::LogLevel::Info);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mock = start(arguments).await?;
        eprintln!("the mock provider serves {} (models: `mock`, `mock:…`; docs/mock.md lists the faults)", mock.base_url());
        tokio::signal::ctrl_c().await?;
        mock.stop().await;
        Ok(())
    })
}

async fn start(arguments: &MockArguments) -> Result<Mock> {
    let script = match &arguments.scenario {
        None => None,
        Some(file) => Some(read_scenario(file)?),
    };
    let settings = MockSettings { listen: arguments.listen, script, api_key: arguments.api_key.clone(), ..MockSettings::default() };
    Mock::start(settings).await.with_context(|| format!("cannot listen on {}", arguments.listen))
}

fn read_scenario(file: &PathBuf) -> Result<Scenario> {
    let text = std::fs::read_to_string(file).map_err(|error| WrongUsage(format!("--scenario {}: {error}", file.display())))?;
    text.trim().parse().map_err(|error| WrongUsage(format!("--scenario {}: {error}", file.display())).into())
}

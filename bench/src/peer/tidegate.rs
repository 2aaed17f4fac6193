//! Tidegate with everything on: a key is checked, events are scanned, streams recorded and counted.

use std::{env, fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use super::{KEPT, queue::Server};

const CONFIG: &str = "tidegate.toml";

/// A model that can fall back: what the healthy path pays for it is measured.
const RECOVERING: &str = r#"[providers.second]
kind = "openai"
base_url = "http://{source}/v1"
api_key = "sk-bench-source"
idle_connections = {kept}
[providers.third]
kind = "openai"
base_url = "http://{source}/v1"
api_keys = ["sk-bench-source", "sk-bench-source-too"]
idle_connections = {kept}
[models."*"]
routes = [{ provider = "source", weight = 2 }, { provider = "second", weight = 1 }, { provider = "third", weight = 0 }]
balance = "latency"
degrade = [{ model = "small", max_tokens = 512 }, { static = "Please try again in a minute." }]
profile = "patient"
[models.small]
routes = [{ provider = "third", model = "small" }]
profile = "patient"
"#;
/// A model with one route.
const PLAIN: &str = r#"[models."*"]
routes = [{ provider = "source" }]
profile = "patient"
"#;

/// Writes the configuration into `folder`, patient with streams and sessions that are silent on purpose
/// and with connections that are opened long before their use, and makes a client's key.
pub(super) fn configure(folder: &Path, address: SocketAddr, source: SocketAddr, recovers: bool) -> Result<String> {
    let models = if recovers { RECOVERING } else { PLAIN };
    let models = models.replace("{source}", &source.to_string()).replace("{kept}", &KEPT.to_string());
    let text = format!(
        r#"[server]
listen = "{address}"
header_timeout = "5m"
[sessions]
heartbeat = "5m"
[ledger]
path = "{ledger}"
[providers.source]
kind = "openai"
base_url = "http://{source}/v1"
api_key = "sk-bench-source"
idle_connections = {KEPT}
{models}[profiles.patient]
connect = "5s"
first_byte = "1m"
idle = "10m"
total = "30m"
"#,
        ledger = folder.join("tidegate.db").display()
    );
    fs::write(folder.join(CONFIG), text).context("cannot write Tidegate's configuration")?;
    create_key(folder)
}

fn create_key(folder: &Path) -> Result<String> {
    let mut command = program(folder)?;
    let output =
        command.args(["keys", "create", "--config", CONFIG, "--name", "bench", "--team", "bench", "--environment", "bench"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let key = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).find(|word| word.starts_with("tg_"));
    key.map(str::to_owned)
        .with_context(|| format!("`tidegate keys create` printed no key: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Starts the gateway, with its queue in `server` where there is one.
pub(super) fn gateway(folder: &Path, server: Option<&Server>) -> Result<Command> {
    let mut command = program(folder)?;
    command.args(["serve", "--config", CONFIG]).envs(server.map(Server::environment).into_iter().flatten());
    Ok(command)
}

/// Starts a worker for the queue in `server`.
pub(super) fn worker(folder: &Path, server: &Server) -> Result<Command> {
    let mut command = program(folder)?;
    command.args(["worker", "--config", CONFIG]).envs(server.environment()).env("TIDEGATE__LEDGER__PATH", "worker.db");
    Ok(command)
}

/// Whether it can keep a queue in Kafka.
///
/// # Errors
///
/// When it cannot, with what it says about that.
pub(super) fn has_kafka() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = program(folder.path())?;
    let output = command.args(["config", "check"]).env("QUEUE_TYPE", "kafka").env("KAFKA_BROKERS", "127.0.0.1:9092").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.lines().next().unwrap_or_default().trim_start_matches("error: "));
    Ok(())
}

/// The release binary beside this program, run in `folder` and with no setting from this process' environment.
fn program(folder: &Path) -> Result<Command> {
    let binary = env::current_exe()?.with_file_name("tidegate");
    ensure!(binary.is_file(), "tidegate is not built; scripts/bench builds it, or: cargo build --release -p tidegate");
    let mut command = Command::new(binary);
    command.current_dir(folder).env_clear();
    Ok(command)
}

//! What `compose.yaml` starts, as processes: its parts die one after the other, and its clients hear the truth.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tidegate_e2e::chat::request;
use tidegate_e2e::wait::in_time;
use tidegate_e2e::{Answer, Goodbye, Hello, Message, Prompt, SessionClient, all, eventually};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::files;

/// An answer of four seconds, long enough to lose something in its middle.
const LONG: &str = "mock:words=200,gap=20ms";
const SHORT: &str = "mock:words=5,gap=1ms";

/// A running `deploy/topology`. It ends everything that it started once its input ends, so when this is dropped or the test dies, too.
struct Topology {
    script: Child,
    proxy: SocketAddr,
    key: String,
    folder: PathBuf,
}

impl Topology {
    async fn start() -> Result<Self> {
        let port = free_port()?;
        let command = "echo $TIDEGATE_KEY $TIDEGATE_TOPOLOGY; exec cat";
        let mut script = Command::new(files::path("topology"))
            .args(["--port", &port.to_string(), "bash", "-c", command])
            .env("TIDEGATE_BINARY", tidegate_e2e::process::binary()?)
            // Worker and gateway are taken for dead sooner than in production.
            .envs([("TIDEGATE__QUEUE__LEASE", "2s"), ("TIDEGATE__SERVER__DRAIN", "2s")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut printed = BufReader::new(script.stdout.take().context("its output is a pipe")?).lines();
        let line = in_time("everything runs", printed.next_line()).await??.context("it ended at once")?;
        let (key, folder) = line.split_once(' ').context("a key and a folder")?;
        Ok(Self { script, proxy: local(port), key: key.to_owned(), folder: folder.into() })
    }

    /// A session by way of nginx.
    async fn session(&self) -> Result<SessionClient> {
        SessionClient::open(self.proxy, &self.hello()).await
    }

    fn hello(&self) -> Hello {
        Hello::resumable().key(&self.key)
    }

    /// Kills a process, and waits until another one has its name.
    async fn kill(&self, name: &str) -> Result<()> {
        let before = self.number(name, "pid")?;
        kill_process(Pid::from_raw(before).context("a process id is not zero")?, Signal::KILL)?;
        eventually(format!("another {name}"), async || self.number(name, "pid").ok().filter(|pid| *pid != before)).await?;
        Ok(())
    }

    /// The worker that runs something.
    async fn busy_worker(&self) -> Result<String> {
        eventually("a worker that runs something", async || {
            for name in ["worker-1", "worker-2", "worker-3", "worker-4"] {
                if self.metric(name, "tidegate_open_streams").await.ok()? > 0.0 {
                    return Some(name.to_owned());
                }
            }
            None
        })
        .await
    }

    async fn metric(&self, name: &str, metric: &str) -> Result<f64> {
        let addr = local(self.number(name, "port")?.try_into()?);
        let text = String::from_utf8(Answer::to(addr, &request("GET", "/metrics", &[], b"")).await?.bytes().await?)?;
        let line = text.lines().find(|line| line.starts_with(metric)).with_context(|| format!("{name} has no {metric}"))?;
        Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
    }

    fn number(&self, name: &str, file: &str) -> Result<i32> {
        let text = std::fs::read_to_string(self.folder.join(name).join(file))?;
        Ok(text.trim().parse()?)
    }

    /// Ends everything in order, and looks whether anything is left.
    async fn end(mut self) -> Result<()> {
        drop(self.script.stdin.take());
        let status = in_time("everything has ended", self.script.wait()).await??;
        ensure!(status.success() && !self.folder.exists(), "{status}");
        ensure!(TcpListener::bind(self.proxy).is_ok(), "nginx is still there");
        Ok(())
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A multiple of ten from which twenty ports are free, below those that the system gives to everybody.
fn free_port() -> Result<u16> {
    let first = u16::try_from(std::process::id() % 500)?;
    let ports = (0..500).map(|tried| 20_000 + (first + tried) % 500 * 20);
    let is_free = |port: &u16| (*port..port + 20).all(|port| TcpListener::bind(local(port)).is_ok());
    ports.into_iter().find(is_free).context("no twenty ports are free")
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_go_on_while_a_worker_a_gateway_and_redis_are_killed() -> Result<()> {
    let topology = Topology::start().await?;
    a_killed_worker_costs_the_answer_that_it_was_giving_and_nothing_else(&topology).await?;
    the_clients_of_a_killed_gateway_go_on_at_the_other(&topology).await?;
    every_prompt_ends_and_others_are_taken_after_redis_was_killed(&topology).await?;
    topology.end().await
}

async fn a_killed_worker_costs_the_answer_that_it_was_giving_and_nothing_else(topology: &Topology) -> Result<()> {
    let mut client = topology.session().await?;
    let running = client.ask(&Prompt::to(LONG)).await?;
    let waiting = client.ask(&Prompt::to(SHORT)).await?;
    client.tokens(&running, 3).await?;
    topology.kill(&topology.busy_worker().await?).await?;
    let end = client.end(&running).await?;
    let problem = end.problem().with_context(|| format!("{end:?}"))?;
    ensure!(problem.code == "upstream_cut" && problem.partial, "{problem:?}");
    let end = client.end(&waiting).await?;
    ensure!(matches!(end, Message::Complete { .. }), "{end:?}");
    client.close().await.map(drop)
}

async fn the_clients_of_a_killed_gateway_go_on_at_the_other(topology: &Topology) -> Result<()> {
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = topology.session().await?;
        let task = client.ask(&Prompt::to(LONG)).await?;
        client.tokens(&task, 3).await?;
        clients.push((client, task));
    }
    let on_it = topology.metric("gateway-1", "tidegate_sessions").await?;
    ensure!(on_it > 0.0, "nginx brought every session to one gateway");
    topology.kill("gateway-1").await?;
    all(clients.into_iter().map(|(client, task)| go_on(topology, client, task))).await
}

/// Reads to the end of an answer, on a second connection where the first one is cut, which may be after it.
async fn go_on(topology: &Topology, mut client: SessionClient, task: String) -> Result<()> {
    let session = client.id().await?;
    if client.end(&task).await.is_err() || client.ping().await.is_err() {
        ensure!(client.goodbye().await? == Goodbye::Cut, "a killed gateway says nothing");
        let (resumed, is_same) = SessionClient::resume(topology.proxy, &topology.hello(), &session, client.cut()?).await?;
        ensure!(is_same, "the session is gone");
        client = resumed;
    }
    let end = client.end(&task).await?;
    ensure!(matches!(end, Message::Complete { .. }), "{end:?}");
    ensure!(client.log().token_count(&task) == 200, "{:?}", client.log());
    client.close().await.map(drop)
}

async fn every_prompt_ends_and_others_are_taken_after_redis_was_killed(topology: &Topology) -> Result<()> {
    let mut client = topology.session().await?;
    let mut tasks = vec![client.ask(&Prompt::to(LONG)).await?];
    for _ in 0..3 {
        tasks.push(client.ask(&Prompt::to(SHORT)).await?);
    }
    client.tokens(&tasks[0], 3).await?;
    topology.kill("redis").await?;
    for task in &tasks {
        let end = client.end(task).await?;
        let is_typed = end.problem().is_none_or(|problem| problem.retryable);
        ensure!(is_typed, "{end:?}");
    }
    // Prompts are refused, and then they are taken again, in the same session.
    loop {
        match client.offer(&Prompt::to(SHORT)).await? {
            Message::Ack { task_id, .. } => {
                let end = client.end(&task_id).await?;
                ensure!(matches!(end, Message::Complete { .. }), "{end:?}");
                return client.close().await.map(drop);
            }
            refused => {
                let wait =
                    refused.problem().filter(|problem| problem.code == "gateway_overloaded").and_then(|problem| problem.retry_after_ms);
                // It waits as it was told to.
                tokio::time::sleep(Duration::from_millis(wait.with_context(|| format!("{refused:?}"))?)).await;
            }
        }
    }
}

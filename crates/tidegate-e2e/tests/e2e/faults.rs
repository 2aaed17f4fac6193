//! Sessions behind a queue whose server, gateways and workers die, freeze, stop and come back.

mod gateways;
mod outages;
mod readers;
mod workers;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tidegate_e2e::session::Log;
use tidegate_e2e::{Backend, Gateway, Hello, Member, Message, SessionClient, World, WorldBuilder, eventually};

/// A lease that a test can wait for, and that a busy machine renews in time.
pub(super) const LEASE: &str = "[queue]\nlease = \"2s\"\n";

/// Two gateways and two workers on one queue, whose provider plays `scenario`.
fn fleet(backend: Backend, scenario: &str) -> WorldBuilder {
    World::of(scenario).backend(backend).gateways(2).workers(2).more(LEASE)
}

/// Goes on with `session`, of which everything in `log` was seen, at `gateway`.
async fn back_at(gateway: &Gateway, session: &str, log: Log) -> Result<SessionClient> {
    let (client, resumed) = SessionClient::resume(gateway.addr(), &Hello::resumable(), session, log).await?;
    ensure!(resumed, "the session is gone");
    Ok(client)
}

/// A worker's record of a task, open or closed.
async fn record_at(worker: &Member, task: &str) -> Option<Value> {
    worker.records().await.ok()?.into_iter().find(|record| record["task_id"] == task)
}

/// Which of the workers runs a task now.
pub(super) async fn runner(world: &World, task: &str) -> Result<usize> {
    eventually(format!("somebody runs {task}"), async || {
        for (place, worker) in world.workers.iter().enumerate() {
            if record_at(worker, task).await.is_some_and(|record| record["status"].is_null()) {
                return Some(place);
            }
        }
        None
    })
    .await
}

/// Reads to the end of a task, which has to be a whole answer, and compares that with its worker's record.
async fn completes(world: &World, client: &mut SessionClient, task: &str) -> Result<String> {
    let end = client.end(task).await?;
    ensure!(matches!(end, Message::Complete { .. }), "{end:?}");
    let stream = end.stream().context("a stream")?;
    let is_it = |record: &Value| record["id"] == stream && record["status"].is_string();
    let record = eventually(stream, async || world.records().await.ok()?.into_iter().find(is_it)).await?;
    client.log().agree(task, &record)?;
    Ok(client.log().text(task))
}

//! Tens of thousands of tasks under random faults, cuts and stops: each is settled once, in its order, and its record says what its client saw.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tidegate_e2e::session::Log;
use tidegate_e2e::{Backend, Hello, Prompt, SessionClient, number_from};
use tokio::task::JoinSet;

use super::world;

// Behind a queue there are workers to be killed meanwhile: see the chaos among the faults.
on_memory!(every_task_is_settled_once_in_its_order_and_the_ledger_agrees);

/// Tasks in all, unless `LOAD_TASKS` says otherwise: 100,000 are what this was built for, and take minutes.
const TASKS: usize = 2_400;
/// Tasks of one session, and sessions at once.
const TASKS_EACH: usize = 60;
const AT_ONCE: usize = 40;
/// `LOAD_SEED` repeats a run.
const SEED: usize = 20_261_121;
/// Prompts that a session sends before it waits for their ends; as many as its queue has room for.
const MOST_AT_ONCE: usize = 16;

const MODELS: [(&str, &str); 6] = [
    ("short", "words 3 end"),
    ("paced", "2ms words 5 every 2ms end"),
    ("long", "words 60 every 5ms end"),
    ("cut", "words 3 cut"),
    ("refused", "status 500"),
    ("error", "'hel' error 'out of memory' done eof"),
];

async fn every_task_is_settled_once_in_its_order_and_the_ledger_agrees(backend: Backend) -> Result<()> {
    let (tasks, seed) = (number_from("LOAD_TASKS", TASKS), number_from("LOAD_SEED", SEED));
    eprintln!("LOAD_TASKS={tasks} LOAD_SEED={seed}");
    let scenario = MODELS.map(|(model, script)| format!("{model}: {script}")).join("; ");
    let world = world(backend, &scenario).more("[queue]\nmin_workers = 32\n").start().await?;

    let began = Instant::now();
    let (mut sessions, mut logs) = (JoinSet::new(), Vec::new());
    for n in 0..tasks.div_ceil(TASKS_EACH) {
        if sessions.len() == AT_ONCE {
            logs.extend(sessions.join_next().await.transpose()?.transpose()?);
        }
        let (addr, dice) = (world.gateway.addr(), StdRng::seed_from_u64((seed + n).try_into()?));
        sessions.spawn(async move { talk(addr, dice).await.with_context(|| format!("session {n} of LOAD_SEED={seed}")) });
    }
    while let Some(ended) = sessions.join_next().await {
        logs.push(ended??);
    }
    eprintln!("{tasks} tasks in {:?}", began.elapsed());

    let mut records = by_task(world.closed_records().await?)?;
    for log in &logs {
        for task in log.tasks() {
            match (log.end(task), records.remove(task)) {
                // It was stopped, or refused, before it became a stream.
                (Some(end), None) if end.stream().is_none() => {}
                (Some(_), Some(record)) => log.agree(task, &record)?,
                (end, record) => bail!("LOAD_SEED={seed}: {task} ended by {end:?} and is recorded as {record:?}"),
            }
        }
    }
    assert!(records.is_empty(), "LOAD_SEED={seed}: nobody sent {records:?}");
    Ok(())
}

/// One session's life. Its log judges each message as it comes: numbers, order, one end for each task.
async fn talk(addr: SocketAddr, mut dice: StdRng) -> Result<Log> {
    let mut client = SessionClient::open(addr, &Hello::resumable()).await?;
    let session = client.id().await?;
    let mut left = TASKS_EACH;
    while left > 0 {
        let mut batch = Vec::new();
        for _ in 0..dice.random_range(1..=MOST_AT_ONCE.min(left)) {
            let (model, _) = MODELS[dice.random_range(0..MODELS.len())];
            batch.push(client.ask(&Prompt::to(model)).await?);
        }
        left -= batch.len();
        if dice.random_bool(0.5) {
            client.cancel(&batch[dice.random_range(0..batch.len())]).await?;
        }
        if dice.random_bool(0.3) {
            let (resumed, is_same) = SessionClient::resume(addr, &Hello::resumable(), &session, client.cut()?).await?;
            ensure!(is_same, "the session is gone");
            client = resumed;
        }
        for task in &batch {
            client.end(task).await?;
        }
        // What was said grows with every prompt, and is not what this is about.
        client.send(&json!({"type": "RESET"})).await?;
    }
    client.close().await
}

/// Records by their tasks; two of one task are an error.
fn by_task(records: Vec<Value>) -> Result<HashMap<String, Value>> {
    let mut by_task = HashMap::new();
    for record in records {
        let task = record["task_id"].as_str().with_context(|| format!("no task in {record}"))?.to_owned();
        ensure!(by_task.insert(task.clone(), record).is_none(), "two records of {task}");
    }
    Ok(by_task)
}

//! Sessions whose providers fail and whose clients do whatever comes to their minds: what each client saw is right at every moment, and the
//! record of every task agrees with it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tidegate_e2e::session::Log;
use tidegate_e2e::{Backend, Hello, Message, Prompt, SessionClient};
use tokio::task::JoinSet;

use super::world;

// The record of a client that left says what it took; a worker's record says what its log took.
on_memory!(whatever_clients_and_providers_do_every_task_ends_once_and_as_its_record_says);

/// The run is repeatable but for the scheduler; another seed by `CHAOS_SEED`.
const SEED: u64 = 20_261_121;
/// How many clients there are, and what each one does.
const CLIENTS: u64 = 40;
const STEPS: usize = 60;
/// Nothing new is begun after this, so that the run is bounded on a slow machine too.
const LONGEST: Duration = Duration::from_secs(20);

/// What providers do.
const SCRIPTS: &[&str] = &[
    "words 20 every 2ms end",
    "words 20 every 2ms end",
    "burst words 300 end",
    "role 20ms reasoning 'hmm' words 5 every 5ms end",
    "fixture tools",
    "words 7 every 3ms cut",
    "words 7 every 3ms eof",
    "words 3 stall",
    "words 5 malformed end",
    "words 4 error 'out of memory' done eof",
    "role cut",
    "status 500",
    "stall",
];

async fn whatever_clients_and_providers_do_every_task_ends_once_and_as_its_record_says(backend: Backend) -> Result<()> {
    let seed = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    run(backend, seed).await.with_context(|| format!("CHAOS_SEED={seed}"))
}

async fn run(backend: Backend, seed: u64) -> Result<()> {
    let scenario: Vec<String> = SCRIPTS.iter().enumerate().map(|(n, script)| format!("m{n}: {script}")).collect();
    let world = world(backend, &scenario.join("; "))
        .model("timeouts = { first_byte = \"500ms\", idle = \"500ms\", total = \"20s\" }\n")
        .more("[queue]\nmax_queue_size = 3\npolicy = \"drop_oldest\"\n")
        .start()
        .await?;
    let (addr, began) = (world.gateway.addr(), Instant::now());
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        clients.spawn(async move {
            let mut dice = StdRng::seed_from_u64(seed + n);
            live(addr, &mut dice, began + LONGEST).await.with_context(|| format!("client {n}"))
        });
    }
    let mut logs = Vec::new();
    while let Some(log) = clients.join_next().await {
        logs.push(log??);
    }

    let records = world.closed_records().await?;
    let by_task: HashMap<&str, &Value> = records.iter().filter_map(|record| Some((record["task_id"].as_str()?, record))).collect();
    assert_eq!(by_task.len(), records.len(), "one record for each task");
    let mut asked = 0;
    for log in &logs {
        for task in log.tasks() {
            asked += 1;
            let ran = log.end(task).is_some_and(|end| end.stream().is_some());
            match by_task.get(task) {
                Some(record) => log.agree(task, record)?,
                None => ensure!(!ran, "{task} has no record: {log:#?}"),
            }
        }
    }
    ensure!(asked > 200, "this machine is too slow to say anything");
    Ok(())
}

/// One client's life. It ends when all of its tasks have.
async fn live(addr: SocketAddr, dice: &mut StdRng, until: Instant) -> Result<Log> {
    let mut client = SessionClient::open(addr, &Hello::resumable()).await?;
    let session = client.id().await?;
    for _ in 0..STEPS {
        if Instant::now() > until {
            break;
        }
        match dice.random_range(0..10) {
            0..4 => {
                client.offer(&Prompt::to(&format!("m{}", dice.random_range(0..SCRIPTS.len())))).await?;
            }
            4 | 5 => {
                let open: Vec<String> = unfinished(client.log()).collect();
                if !open.is_empty() {
                    client.cancel(&open[dice.random_range(0..open.len())]).await?;
                }
            }
            6 => client.send(&json!({"type": "RESET"})).await?,
            7 => {
                let log = client.cut()?;
                let seen = log.last_seq().saturating_sub(dice.random_range(0..20));
                let resumed;
                (client, resumed) = SessionClient::resume(addr, &Hello::resumable(), &session, log.forgetting(seen)).await?;
                ensure!(resumed, "the session is gone");
            }
            _ => {
                // It listens for a while: what it does next finds its tasks at any point.
                let more = client.log().last_seq() + dice.random_range(1..20);
                client
                    .see("more, or nothing to come", |log| (log.last_seq() >= more || unfinished(log).next().is_none()).then_some(()))
                    .await?;
            }
        }
    }
    // Behind the answer to this, every prompt has its ACK, and nothing is repeated any more.
    client.ping().await?;
    client.see("an end of each task", |log| unfinished(log).next().is_none().then_some(())).await?;
    let log = client.close().await?;
    ensure!(log.messages().iter().any(|message| matches!(message, Message::Ack { .. })), "it never asked anything");
    Ok(log)
}

fn unfinished(log: &Log) -> impl Iterator<Item = String> {
    log.tasks().filter(|task| log.end(task).is_none()).map(str::to_owned)
}

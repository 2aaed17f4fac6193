//! Many sessions, whose workers are killed all the time, whose gateway is killed once, and whose clients lose their connections: every task is
//! settled once in its client's eyes, in order, and the ledgers agree.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tidegate_e2e::session::Log;
use tidegate_e2e::wait::in_time;
use tidegate_e2e::{Backend, Hello, Message, Prompt, SessionClient, World, eventually, number_from};

on_every_server!(whoever_is_killed_every_task_is_settled_once_in_its_clients_eyes_and_the_ledgers_agree);

/// Another one by `CHAOS_SEED`.
const SEED: usize = 20_261_121;
/// How many tasks there are; others by `CHAOS_TASKS`.
const TASKS: usize = 400;
/// How many of them are in one session.
const IN_A_SESSION: usize = 10;
/// How many sessions there are at once; others by `CHAOS_SESSIONS`.
const AT_ONCE: usize = 40;
const WORKERS: usize = 3;
/// Milliseconds between two kills; others by `CHAOS_PEACE`.
const PEACE: usize = 700;
/// Before a refused prompt is sent again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What providers do.
const SCRIPTS: &[&str] = &[
    "words 8 every 10ms end",
    "words 40 every 10ms end",
    "burst words 20 end",
    "200ms words 3 every 20ms end",
    "words 5 every 5ms cut",
    "100ms refuse",
];

/// Where clients find a gateway. The places of those that are dead are empty.
type Gateways = Arc<Mutex<[Option<SocketAddr>; 2]>>;

/// A client that goes on until everything that it asked has an end.
struct Client {
    gateways: Gateways,
    dice: StdRng,
    session: String,
    /// Sessions that it lost before anything was acknowledged in them.
    unheard: Vec<String>,
    socket: SessionClient,
}

/// What a client knows in the end: all that it read, and the sessions that it lost before anything was acknowledged in them.
type Known = (Log, Vec<String>);

impl Client {
    async fn new(gateways: Gateways, seed: u64) -> Result<Self> {
        let mut dice = StdRng::seed_from_u64(seed);
        let (session, socket) = connect(&gateways, &mut dice, None).await?;
        Ok(Self { gateways, dice, session, unheard: Vec::new(), socket })
    }

    /// Asks `count` prompts, a few at a time, and reads to the end of each.
    async fn live(mut self, count: usize) -> Result<Known> {
        let mut asked = 0;
        while asked < count {
            let some = self.dice.random_range(1..=3).min(count - asked);
            let prompts: Vec<(String, Prompt)> = (asked..asked + some).map(|n| self.prompt(n)).collect();
            self.settle(&prompts).await?;
            asked += some;
        }
        Ok((self.socket.close().await?, self.unheard))
    }

    fn prompt(&mut self, n: usize) -> (String, Prompt) {
        let (id, model) = (format!("prompt-{n}"), format!("m{}", self.dice.random_range(0..SCRIPTS.len())));
        let prompt = Prompt::to(&model).with("id", id.as_str());
        (id, prompt)
    }

    /// Over as many connections as it takes.
    async fn settle(&mut self, prompts: &[(String, Prompt)]) -> Result<()> {
        // Some are cut by their client.
        let mut patience = if self.dice.random_ratio(1, 4) { self.dice.random_range(0..30) } else { usize::MAX };
        loop {
            for (id, prompt) in prompts {
                if task_of(self.socket.log(), id).is_none() {
                    // A connection that is gone shows by what is read.
                    let _sent = self.socket.send(prompt.json()).await;
                }
            }
            let (seen, refused) = (self.socket.log().messages().len(), refusals(self.socket.log()));
            let enough = seen.saturating_add(patience);
            let turn = self.socket.see("all ends", |log| {
                if prompts.iter().all(|(id, _)| task_of(log, id).is_some_and(|task| log.end(task).is_some())) {
                    return Some(Turn::Settled);
                }
                let left = (log.messages().len() >= enough).then_some(Turn::Leaves);
                if refusals(log) > refused { Some(Turn::AsksAgain) } else { left }
            });
            match in_time(format!("all ends in {}", self.session), turn).await.with_context(|| format!("{:#?}", self.socket.log()))? {
                Ok(Turn::Settled) => return Ok(()),
                Ok(Turn::AsksAgain) => {
                    // As it was told to.
                    tokio::time::sleep(RETRY_AFTER).await;
                    continue;
                }
                Ok(Turn::Leaves) => patience = usize::MAX,
                Err(_) if self.socket.has_ended() => {}
                Err(error) => return Err(error),
            }
            self.come_back().await?;
        }
    }

    async fn come_back(&mut self) -> Result<()> {
        let resume = Some((self.session.clone(), self.socket.log().clone()));
        let (session, socket) = connect(&self.gateways, &mut self.dice, resume).await?;
        let before = std::mem::replace(&mut self.session, session);
        if before != self.session {
            self.unheard.push(before);
        }
        self.socket = socket;
        Ok(())
    }
}

/// What a client does next.
enum Turn {
    Settled,
    AsksAgain,
    Leaves,
}

/// How many prompts the queue had no place for.
fn refusals(log: &Log) -> usize {
    let is_one = |message: &&Message| matches!(message, Message::Error(problem) if problem.id.is_some());
    log.messages().iter().filter(is_one).count()
}

/// The task that a prompt became.
fn task_of<'a>(log: &'a Log, id: &str) -> Option<&'a str> {
    log.messages().iter().find_map(|message| match message {
        Message::Ack { task_id, id: Some(theirs), .. } if theirs == id => Some(task_id.as_str()),
        _ => None,
    })
}

/// Connects to any gateway that lives, and goes on with a session; with a new one where there is none, or nothing was accepted in it.
async fn connect(gateways: &Gateways, dice: &mut StdRng, resume: Option<(String, Log)>) -> Result<(String, SessionClient)> {
    let (mut place, hello) = (dice.random_range(0..2), Hello::resumable());
    eventually("a connection", async || {
        place = 1 - place;
        let addr = gateways.lock().unwrap_or_else(PoisonError::into_inner)[place]?;
        // The gateway may be killed meanwhile.
        let mut client = match resume.clone() {
            None => SessionClient::open(addr, &hello).await.ok()?,
            Some((session, log)) => {
                let is_used = log.tasks().next().is_some();
                match SessionClient::resume(addr, &hello, &session, log).await.ok()? {
                    (_, false) if is_used => return Some(Err(anyhow!("{session} is gone at gateway {place}"))),
                    (client, _) => client,
                }
            }
        };
        Some(Ok((client.id().await.ok()?, client)))
    })
    .await?
}

/// Kills one worker after the other, and after some of them the second gateway, until it is dropped.
async fn kill(world: &mut World, gateways: &Gateways, dice: &mut StdRng, is_over: impl Fn() -> bool) -> Result<usize> {
    let (mut kills, peace) = (0, Duration::from_millis(number_from("CHAOS_PEACE", PEACE).try_into()?));
    while !is_over() {
        // This is what the test does to the others.
        tokio::time::sleep(peace).await;
        let victim = dice.random_range(0..WORKERS);
        world.workers[victim].kill().await?;
        world.workers[victim].start_again().await?;
        kills += 1;
        if kills == 3 {
            world.others[0].kill().await?;
            set(gateways, None);
            world.others[0].start_again().await?;
            world.others[0].process.reaches_its_queue().await?;
            set(gateways, Some(world.others[0].process.addr()));
        }
    }
    Ok(kills)
}

fn set(gateways: &Gateways, addr: Option<SocketAddr>) {
    gateways.lock().unwrap_or_else(PoisonError::into_inner)[1] = addr;
}

async fn whoever_is_killed_every_task_is_settled_once_in_its_clients_eyes_and_the_ledgers_agree(backend: Backend) -> Result<()> {
    let (seed, tasks, at_once) =
        (number_from("CHAOS_SEED", SEED), number_from("CHAOS_TASKS", TASKS), number_from("CHAOS_SESSIONS", AT_ONCE));
    eprintln!("CHAOS_SEED={seed} CHAOS_TASKS={tasks} CHAOS_SESSIONS={at_once}");
    let scenario: Vec<String> = SCRIPTS.iter().enumerate().map(|(n, script)| format!("m{n}: {script}")).collect();
    let world = World::of(&scenario.join("; ")).backend(backend).gateways(2).workers(WORKERS);
    let mut world = world.more("[queue]\nlease = \"1s\"\nmin_workers = 32\n[sessions]\nresume_ttl = \"20s\"\n").start().await?;
    let gateways: Gateways = Arc::new(Mutex::new([Some(world.gateway.addr()), Some(world.others[0].process.addr())]));
    let mut dice = StdRng::seed_from_u64(seed.try_into()?);

    let (began, is_over) = (Instant::now(), Cell::new(false));
    let seeds: Vec<u64> = (0..tasks.div_ceil(IN_A_SESSION)).map(|_| dice.random()).collect();
    let live = async |seed| Client::new(Arc::clone(&gateways), seed).await?.live(IN_A_SESSION).await;
    let clients = async {
        let known: Vec<Result<Known>> = stream::iter(seeds).map(live).buffer_unordered(at_once).collect().await;
        is_over.set(true);
        known
    };
    let (known, kills) = tokio::join!(clients, kill(&mut world, &gateways, &mut dice, || is_over.get()));
    let printed = || format!("CHAOS_SEED={seed}\n{}\n{}", world.gateway.printed(), world.others[0].process.printed());
    let (known, kills) = (known.into_iter().collect::<Result<Vec<_>>>().with_context(printed)?, kills?);
    eprintln!("{} sessions, {kills} workers killed, in {:?}", known.len(), began.elapsed());

    if let Ok(redis) = world.queue()?.redis() {
        let is_empty = async || redis.ask("KEYS tidegate:{queue}:*:sess_*").await.ok().filter(|keys| keys == "*0\r\n");
        eventually("nothing of the sessions is left", is_empty).await?;
    }
    // Records that killed workers left open are closed when these are back, and complete a moment later.
    let agreed = eventually("the ledgers agree", async || agree(&known, &world.closed_records().await.ok()?).ok()).await;
    let ends = match agreed {
        Ok(ends) => ends,
        Err(_) => agree(&known, &world.closed_records().await?).with_context(|| format!("CHAOS_SEED={seed}"))?,
    };
    eprintln!("{ends}");
    Ok(())
}

/// Counts the ends. A record says `completed` if and only if the client read COMPLETE, and every end that names a stream is in that one's record.
///
/// A prompt that was taken just when its client left may run in a session of which the client heard elsewhere that there is none: nothing in
/// it was acknowledged, so it sent the prompt again in another one.
fn agree(known: &[Known], records: &[Value]) -> Result<String> {
    let mut of_tasks: HashMap<&str, Vec<&Value>> = HashMap::new();
    for record in records {
        of_tasks.entry(record["task_id"].as_str().context("a task")?).or_default().push(record);
    }
    let (mut whole, mut failed) = (0, 0);
    for (log, _) in known {
        for task in log.tasks() {
            let end = log.end(task).context("an end")?;
            let records = of_tasks.remove(task).unwrap_or_default();
            let completed = records.iter().filter(|record| record["status"] == "completed").count();
            let both = || format!("{task} ended by {end:?}, and its records are {records:#?}");
            let Some(record) = records.iter().find(|record| end.stream().is_some_and(|stream| record["id"] == stream)) else {
                ensure!(completed == 0 && end.problem().is_some(), "{}", both());
                failed += 1;
                continue;
            };
            log.agree(task, record)?;
            let is_whole = matches!(end, Message::Complete { .. });
            ensure!(completed == usize::from(is_whole), "{}", both());
            if is_whole { whole += 1 } else { failed += 1 }
        }
    }
    let lost: HashSet<&str> = known.iter().flat_map(|(_, unheard)| unheard).map(String::as_str).collect();
    let is_of_lost = |record: &Value| record["session_id"].as_str().is_some_and(|session| lost.contains(session));
    let unheard = of_tasks.extract_if(|_, records| records.iter().all(|record| is_of_lost(record))).count();
    ensure!(of_tasks.is_empty(), "tasks that no client knows: {of_tasks:#?}");
    Ok(format!("{whole} whole answers, {failed} failed; {unheard} more in sessions lost before anything was acknowledged"))
}

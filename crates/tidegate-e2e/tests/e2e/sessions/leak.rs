//! Sessions that are opened and torn down in every state leave nothing behind.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tidegate_e2e::websocket::TEXT;
use tidegate_e2e::{Backend, Frame, Heard, Hello, Prompt, SessionClient, WebSocket, World, eventually, number_from};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::world;

// It weighs the one process that has sessions, prompts and their records.
on_memory!(sessions_torn_down_in_every_state_leave_nothing_behind);

/// Sessions in all, unless `LEAK_SESSIONS` says otherwise: 50,000 are what this was built for, and take minutes.
const SESSIONS: usize = 3_600;
/// Sessions that are there at once.
const AT_ONCE: usize = 300;
/// The process is weighed after each of so many parts. In the first half, what is made once and kept comes to be.
const PARTS: usize = 4;
/// By how much it may be heavier after the second half: a leak of 1 KiB a session is more than that in the short run, one of 60 bytes in the
/// long one.
const SLACK_KIB: u64 = 1_536;
/// What the ledger keeps of its file in memory, at most.
const LEDGER_CACHE_KIB: u64 = 16 * 1024;

/// In which state a session is, and how it ends.
#[derive(Debug, Clone, Copy)]
enum End {
    HalfHandshake,
    HandshakeUnread,
    HandshakeRefused,
    IdleClosed,
    IdleCut,
    IdleExpired,
    Broken,
    TooLarge,
    Queued,
    BeforeOutput,
    AfterOutput,
    AfterOutputCut,
    Cancelled,
    Answered,
    Resumed,
    WaitsForResume,
    RunsOnAndWaitsForResume,
}

impl End {
    const ALL: [Self; 17] = [
        Self::HalfHandshake,
        Self::HandshakeUnread,
        Self::HandshakeRefused,
        Self::IdleClosed,
        Self::IdleCut,
        Self::IdleExpired,
        Self::Broken,
        Self::TooLarge,
        Self::Queued,
        Self::BeforeOutput,
        Self::AfterOutput,
        Self::AfterOutputCut,
        Self::Cancelled,
        Self::Answered,
        Self::Resumed,
        Self::WaitsForResume,
        Self::RunsOnAndWaitsForResume,
    ];

    async fn come(self, addr: SocketAddr) -> Result<()> {
        let (plain, resumable) = (Hello::plain(), Hello::resumable());
        match self {
            Self::HalfHandshake => cut_handshake(addr, |bytes| &bytes[..bytes.len() / 2]).await,
            Self::HandshakeUnread => cut_handshake(addr, |bytes| bytes).await,
            Self::HandshakeRefused => plain.at("/v1/sessions?ticket=none").answer(addr).await.map(drop),
            Self::IdleClosed => SessionClient::open(addr, &resumable).await?.close().await.map(drop),
            Self::IdleCut => SessionClient::open(addr, &plain).await?.cut().map(drop),
            Self::IdleExpired => SessionClient::open(addr, &resumable).await?.goodbye().await.map(drop),
            Self::Broken => gateway_closes(addr, &Frame::new(TEXT, "{}").unmasked()).await,
            Self::TooLarge => gateway_closes(addr, &Frame::new(TEXT, vec![b' '; 2048])).await,
            Self::Queued => {
                let mut client = running(addr, &plain, "after").await?.0;
                for _ in 0..3 {
                    client.ask(&Prompt::to("after")).await?;
                }
                client.close().await.map(drop)
            }
            Self::BeforeOutput => {
                let mut client = SessionClient::open(addr, &plain).await?;
                client.ask(&Prompt::to("before")).await?;
                client.close().await.map(drop)
            }
            Self::AfterOutput => running(addr, &resumable, "after").await?.0.close().await.map(drop),
            Self::AfterOutputCut => running(addr, &plain, "after").await?.0.cut().map(drop),
            Self::Cancelled => {
                let (mut client, task) = running(addr, &plain, "after").await?;
                client.cancel(&task).await?;
                client.end(&task).await?;
                client.close().await.map(drop)
            }
            Self::Answered => {
                let mut client = SessionClient::open(addr, &resumable).await?;
                client.complete(&Prompt::to("whole")).await?;
                client.close().await.map(drop)
            }
            Self::Resumed => {
                let mut client = running(addr, &resumable, "after").await?.0;
                let session = client.id().await?;
                SessionClient::resume(addr, &resumable, &session, client.cut()?).await?.0.close().await.map(drop)
            }
            Self::WaitsForResume => {
                let mut client = SessionClient::open(addr, &resumable).await?;
                client.id().await?;
                client.cut().map(drop)
            }
            Self::RunsOnAndWaitsForResume => running(addr, &resumable, "after").await?.0.cut().map(drop),
        }
    }
}

/// A session with a prompt that has shown a piece of its answer and does not end.
async fn running(addr: SocketAddr, hello: &Hello, model: &str) -> Result<(SessionClient, String)> {
    let mut client = SessionClient::open(addr, hello).await?;
    let task = client.ask(&Prompt::to(model)).await?;
    client.tokens(&task, 1).await?;
    Ok((client, task))
}

async fn cut_handshake(addr: SocketAddr, part: impl FnOnce(&[u8]) -> &[u8]) -> Result<()> {
    let mut socket = TcpStream::connect(addr).await?;
    socket.write_all(part(&Hello::resumable().bytes())).await?;
    Ok(socket.set_zero_linger()?)
}

async fn gateway_closes(addr: SocketAddr, frame: &Frame) -> Result<()> {
    let mut socket = WebSocket::open(addr, "/v1/sessions", &[]).await?;
    socket.send(&frame.bytes()).await?;
    while let Heard::Frame(_) = socket.next().await? {}
    Ok(())
}

async fn sessions_torn_down_in_every_state_leave_nothing_behind(backend: Backend) -> Result<()> {
    let sessions = number_from("LEAK_SESSIONS", SESSIONS);
    eprintln!("LEAK_SESSIONS={sessions}");
    let settings = "[sessions]\nidle_ttl = \"3s\"\nresume_ttl = \"1s\"\nmax_message = \"1KiB\"\n[queue]\nmin_workers = 300\n";
    let world = world(backend, "before: stall; after: 'hel' stall; whole: words 3 end").more(settings).start().await?;
    let nothing = Traces::of(&world).await?;

    let began = Instant::now();
    let mut weights = Vec::new();
    for part in 1..=PARTS {
        for _ in 0..(sessions / PARTS).div_ceil(AT_ONCE) {
            batch(&world, &nothing).await?;
        }
        weights.push(weight_kib(&world).await?);
        eprintln!("part {part} of {PARTS} after {:?}: {} KiB", began.elapsed(), weights[part - 1]);
    }
    let (before, after) = (weights[PARTS / 2 - 1], weights[PARTS - 1]);
    assert!(after < before + SLACK_KIB, "{sessions} sessions weigh {weights:?} KiB");
    Ok(())
}

/// Opens sessions, all states in turn, lets them come to their ends, and waits until nothing is left of them.
async fn batch(world: &World, nothing: &Traces) -> Result<()> {
    let mut sessions = JoinSet::new();
    for end in End::ALL.into_iter().cycle().take(AT_ONCE) {
        let addr = world.gateway.addr();
        sessions.spawn(async move { end.come(addr).await.with_context(|| format!("{end:?}")) });
    }
    while let Some(ended) = sessions.join_next().await {
        ended??;
    }
    let mut last = Traces::of(world).await?;
    let gone = eventually("the end of all sessions", async || {
        last = Traces::of(world).await.ok()?;
        (last == *nothing).then_some(())
    });
    gone.await.with_context(|| format!("{last:?} are left, where there were {nothing:?}"))
}

/// What can be left of sessions.
#[derive(Debug, PartialEq)]
struct Traces {
    sessions: f64,
    waiting: f64,
    running: f64,
    waiting_for_the_pool: f64,
    streams: f64,
    pending: f64,
    /// Of the gateway's spawned tasks; one of them is the connection that asks.
    activities: f64,
    requests: usize,
}

impl Traces {
    async fn of(world: &World) -> Result<Self> {
        let gateway = &world.gateway;
        Ok(Self {
            sessions: gateway.metric("tidegate_sessions ").await?,
            waiting: gateway.metric("tidegate_tasks_waiting ").await?,
            running: gateway.metric("tidegate_tasks_running ").await?,
            waiting_for_the_pool: gateway.metric("tidegate_pool_waiting ").await?,
            streams: gateway.metric("tidegate_open_streams ").await?,
            pending: gateway.metric("tidegate_ledger_pending ").await?,
            activities: gateway.metric("tidegate_activities ").await?,
            requests: world.mock.journal().open(),
        })
    }
}

/// The gateway's memory once it has given back what it does not need, without the ledger's cache, which is as large as its file until it is full.
async fn weight_kib(world: &World) -> Result<u64> {
    // The last record waits for a count of its tokens, and the first count for the tokenizer to be made.
    world.closed_records().await?;
    let mut least = u64::MAX;
    for _ in 0..3 {
        // Another process is being watched: there is nothing to be woken by. Memory is given back every two seconds.
        tokio::time::sleep(Duration::from_secs(2)).await;
        least = least.min(world.gateway.resident_kib()?);
    }
    let ledger = std::fs::metadata(world.folder().join("tidegate.db"))?.len() / 1024;
    Ok(least - ledger.min(LEDGER_CACHE_KIB))
}

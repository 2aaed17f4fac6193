//! Thousands of streams under random faults and client aborts: for every single one, the client's view and the record agree.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidegate_e2e::{Answer, Chat, View, World, agree};
use tokio::task::JoinSet;

/// The run is repeatable but for the scheduler; another seed by `CHAOS_SEED`.
const SEED: u64 = 20_261_121;
/// Streams in all, and how many run at once.
const STREAMS: usize = 4_000;
const AT_ONCE: usize = 150;
/// No new stream begins after this, so that the run is bounded on a slow machine too.
const LONGEST: Duration = Duration::from_secs(60);

/// What providers do. Silence is rare, because it holds a place until a limit runs out.
const SCRIPTS: &[(u32, &str)] = &[
    (30, "words 20 every 2ms end"),
    (10, "burst words 300 end"),
    (5, "bytes 3 words 10 end"),
    (5, "role 20ms reasoning 'hmm' words 5 every 5ms end"),
    (5, "'hello' finish eof"),
    (3, "'hello' finish done stall"),
    (6, "words 7 every 3ms cut"),
    (5, "words 7 every 3ms eof"),
    (4, "words 3 half"),
    (2, "words 3 stall"),
    (4, "words 5 malformed end"),
    (4, "words 5 error 'out of memory' done eof"),
    (3, "role cut"),
    (2, "head eof"),
    (3, "refuse"),
    (1, "stall"),
    (2, "malformed"),
    (2, "error 'no'"),
    (2, "status 500"),
    (2, "status 429 retry-after 1s"),
    (1, "status 400"),
];

/// What one client does.
#[derive(Debug, Clone, Copy)]
enum Client {
    ReadsToTheEnd,
    WantsItWhole,
    WantsItCoherent,
    LeavesAfter(u64),
    ResetsAfter(u64),
}

impl Client {
    fn random(dice: &mut StdRng) -> Self {
        match dice.random_range(0..10) {
            0 | 1 => Self::LeavesAfter(dice.random_range(0..12)),
            2 => Self::ResetsAfter(dice.random_range(0..12)),
            3 => Self::WantsItWhole,
            4 => Self::WantsItCoherent,
            _ => Self::ReadsToTheEnd,
        }
    }

    fn request(self, model: &str) -> Chat {
        match self {
            Self::WantsItWhole => Chat::whole(model),
            Self::WantsItCoherent => Chat::new(model).header("x-tidegate-delivery", "coherent"),
            _ => Chat::new(model),
        }
    }

    async fn take(self, mut answer: Answer) -> Result<View> {
        let (Self::LeavesAfter(events) | Self::ResetsAfter(events)) = self else { return answer.view().await };
        let mut view = View::of(&answer);
        view.read_on(&mut answer, events).await?;
        if view.end.is_none() && matches!(self, Self::ResetsAfter(_)) {
            answer.reset()?;
        }
        Ok(view)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn for_each_of_thousands_of_streams_the_clients_view_and_the_record_agree() -> Result<()> {
    let seed = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    println!("CHAOS_SEED={seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let scenario: Vec<String> = SCRIPTS.iter().enumerate().map(|(n, (_, script))| format!("m{n}: {script}")).collect();
    let world = World::of(&scenario.join("; "))
        .server("head_after = \"50ms\"\nkeepalive = \"100ms\"")
        .model("timeouts = { first_byte = \"1500ms\", idle = \"1500ms\", total = \"20s\" }")
        .start()
        .await?;

    let (began, addr) = (Instant::now(), world.gateway.addr());
    let (mut running, mut ended) = (JoinSet::new(), Vec::new());
    for _ in 0..STREAMS {
        if began.elapsed() > LONGEST {
            break;
        }
        let (model, client) = (format!("m{}", weighted(&mut dice)), Client::random(&mut dice));
        if running.len() == AT_ONCE {
            ended.extend(running.join_next().await);
        }
        running.spawn(async move {
            let what = format!("{model} {client:?}");
            let view = match Answer::to(addr, &client.request(&model).bytes()).await {
                Ok(answer) => client.take(answer).await,
                Err(error) => Err(error),
            };
            view.map(|view| (what.clone(), view)).context(what)
        });
    }
    while let Some(stream) = running.join_next().await {
        ended.push(stream);
    }
    println!("{} streams in {:?}", ended.len(), began.elapsed());
    assert!(ended.len() >= STREAMS / 4, "this machine is too slow to say anything");

    let mut disagreements = Vec::new();
    for stream in ended {
        let (what, view) = stream??;
        let record = world.gateway.record(view.stream_id()).await.with_context(|| format!("{what}: {view:?}"))?;
        if let Err(disagreement) = agree(&view, &record) {
            disagreements.push(format!("{what}: {disagreement:#}"));
        }
    }
    assert!(disagreements.is_empty(), "CHAOS_SEED={seed}: {} disagree, first: {}", disagreements.len(), disagreements[0]);
    Ok(())
}

fn weighted(dice: &mut StdRng) -> usize {
    let mut left = dice.random_range(0..SCRIPTS.iter().map(|(weight, _)| weight).sum());
    for (n, (weight, _)) in SCRIPTS.iter().enumerate() {
        if left < *weight {
            return n;
        }
        left -= weight;
    }
    0
}

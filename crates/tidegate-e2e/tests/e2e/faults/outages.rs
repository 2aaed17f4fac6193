//! The queue's server, gone for a moment or for longer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::json;
use tidegate_e2e::session::Log;
use tidegate_e2e::{Backend, Chat, Gateway, Goodbye, Hello, Message, Prompt, SessionClient, World, eventually};

use super::{back_at, completes, fleet};

on_every_server!(
    a_server_that_is_killed_and_started_again_loses_nothing_that_was_queued,
    while_the_server_is_gone_everything_is_typed_and_once_it_is_back_all_is_well,
    a_server_that_hangs_is_as_good_as_gone,
    a_server_that_pauses_costs_nobody_a_session,
    a_resume_while_the_server_is_gone_is_refused_and_finds_its_session_later,
    a_resume_whose_takeover_is_heard_of_too_late_is_refused_and_finds_its_session_later,
    gateways_and_workers_that_start_before_their_server_wait_for_it,
);

/// Within this a prompt is refused while there is no queue. It is a promise.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Leases outlast every outage of these tests.
const PATIENT: &str = "[queue]\nlease = \"60s\"\n";

/// Waits until `gateway` knows that its queue is gone.
async fn notices(gateway: &Gateway) -> Result<()> {
    eventually("the queue is missed", async || gateway.metric("tidegate_queue_up").await.ok().filter(|up| *up == 0.0)).await.map(drop)
}

async fn a_server_that_is_killed_and_started_again_loses_nothing_that_was_queued(backend: Backend) -> Result<()> {
    let mut world = World::of("m: words 60 every 20ms end").backend(backend).apart().more(PATIENT).start().await?;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = world.session().await?;
        let tasks = [client.ask(&Prompt::to("m")).await?, client.ask(&Prompt::to("m")).await?, client.ask(&Prompt::to("m")).await?];
        clients.push((client, tasks));
    }
    let (first, tasks) = &mut clients[0];
    first.tokens(&tasks[0], 1).await?;
    world.queue()?.kill().await?;
    notices(&world.gateway).await?;
    world.queue()?.start_again().await?;
    for (client, tasks) in &mut clients {
        for task in tasks {
            completes(&world, client, task).await?;
        }
    }
    assert_eq!(world.requests("m").len(), 15);
    Ok(())
}

/// Not with Kafka: a broker takes longer to come back than three such leases, and then its gateway gives up what runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_in_an_outage_is_replaced_like_one_that_died() -> Result<()> {
    let mut world = fleet(Backend::Redis, "quiet: stall | 'hello' end; m: words 5 stall").apart().start().await?;
    let (mut unseen, mut seen) = (world.session().await?, world.session().await?);
    let (first, second) = (unseen.ask(&Prompt::to("quiet")).await?, seen.ask(&Prompt::to("m")).await?);
    world.journal("quiet", |_| true).await?;
    seen.tokens(&second, 5).await?;
    world.queue()?.kill().await?;
    // Who cannot renew its lease gives up by itself when that has run out.
    world.journal("quiet", |entry| entry.peer_left_at.is_some()).await?;
    world.journal("m", |entry| entry.peer_left_at.is_some()).await?;
    world.queue()?.start_again().await?;
    assert_eq!(completes(&world, &mut unseen, &first).await?, "hello");
    let end = seen.end(&second).await?;
    assert_eq!((end.code(), end.problem().map(|problem| problem.partial)), ("upstream_cut", Some(true)));
    assert_eq!(world.requests("m").len(), 1);
    Ok(())
}

/// A prompt is refused, typed and at once; after its ACK where the gateway has yet to notice that there is no queue.
async fn is_refused(client: &mut SessionClient) -> Result<()> {
    let asked = Instant::now();
    let told = match client.offer(&Prompt::to("m")).await? {
        Message::Ack { task_id, .. } => client.end(&task_id).await?,
        told => told,
    };
    let problem = told.problem().with_context(|| format!("{told:?}"))?;
    assert!(asked.elapsed() < AT_ONCE, "after {:?}", asked.elapsed());
    assert_eq!((problem.code.as_str(), problem.partial, problem.retryable), ("gateway_overloaded", false, true), "{problem:?}");
    assert!(problem.retry_after_ms.is_some(), "{problem:?}");
    Ok(())
}

/// While the server is gone: what runs ends typed, what is asked is refused, and what needs no queue is as ever. Afterwards all is well.
async fn outlives_an_outage(
    world: &mut World,
    gone: impl AsyncFn(&mut World) -> Result<()>,
    back: impl AsyncFn(&mut World) -> Result<()>,
) -> Result<()> {
    let (mut shown, mut waiting) = (world.session().await?, world.session().await?);
    let (running, quiet) = (shown.ask(&Prompt::to("slow")).await?, waiting.ask(&Prompt::to("quiet")).await?);
    let queued = waiting.ask(&Prompt::to("m")).await?;
    shown.tokens(&running, 3).await?;
    world.journal("quiet", |_| true).await?;
    let stream = world.gateway.send(&Chat::new("long")).await?;

    gone(world).await?;
    let mut fresh = world.session().await?;
    notices(&world.gateway).await?;
    is_refused(&mut fresh).await?;
    assert!(world.chat(&Chat::new("m")).await?.completed());
    for (client, task, partial) in [(0, &running, true), (1, &quiet, false), (1, &queued, false)] {
        let end = [&mut shown, &mut waiting][client].end(task).await?;
        let problem = end.problem().with_context(|| format!("{end:?}"))?;
        assert_eq!((problem.code.as_str(), problem.partial, problem.retryable), ("gateway_overloaded", partial, true), "{problem:?}");
    }
    is_refused(&mut shown).await?;
    assert!(stream.view().await?.completed(), "it has nothing to do with the queue");

    back(world).await?;
    for client in [&mut fresh, &mut shown, &mut waiting] {
        let taken = eventually("it is taken again", async || match client.offer(&Prompt::to("m")).await {
            Ok(Message::Ack { task_id, .. }) => Some(task_id),
            _ => None,
        });
        let task = taken.await.with_context(|| format!("{:#?}\n{}", client.log(), world.gateway.printed()))?;
        assert_eq!(completes(world, client, &task).await?, "hello");
    }
    // What was told meanwhile is known elsewhere, too.
    let (session, seen) = (shown.id().await?, shown.log().clone().forgetting(0));
    world.gateway.signal(Signal::KILL)?;
    let mut shown = back_at(&world.others[0].process, &session, seen).await?;
    shown.ping().await?;
    assert_eq!(shown.complete(&Prompt::to("m")).await?.1, "hello");
    Ok(())
}

const MIXED: &str = "m: 'hello' end; slow: words 3 stall; quiet: stall; long: words 150 every 100ms end";

async fn while_the_server_is_gone_everything_is_typed_and_once_it_is_back_all_is_well(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, MIXED).apart().start().await?;
    let (gone, back) =
        (async |world: &mut World| world.queue()?.kill().await, async |world: &mut World| world.queue()?.start_again().await);
    outlives_an_outage(&mut world, gone, back).await
}

async fn a_server_that_hangs_is_as_good_as_gone(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, MIXED).apart().start().await?;
    let (gone, back) = (async |world: &mut World| world.queue()?.freeze(), async |world: &mut World| world.queue()?.thaw());
    outlives_an_outage(&mut world, gone, back).await
}

async fn a_server_that_pauses_costs_nobody_a_session(backend: Backend) -> Result<()> {
    /// Longer than a call waits for its answer, shorter than an outage.
    const PAUSE: Duration = Duration::from_millis(1500);
    let mut world = fleet(backend, "m: 'hello' end").apart().start().await?;
    let mut client = world.session().await?;
    let session = client.id().await?;
    client.complete(&Prompt::to("m")).await?;
    world.queue()?.freeze()?;
    client.send_at_once(&[Prompt::to("m").json(), Prompt::to("m").json()]).await?;
    tokio::time::sleep(PAUSE).await;
    world.queue()?.thaw()?;
    let answers = |log: &Log| log.messages().iter().filter(|message| matches!(message, Message::Ack { .. } | Message::Error(_))).count();
    client.see("both are accepted, or refused", |log| (answers(log) >= 3).then_some(())).await?;
    // Whatever this gateway has told is known at the other at once.
    let mut client = back_at(&world.others[0].process, &session, client.log().clone()).await?;
    let tasks: Vec<String> = client.log().tasks().map(str::to_owned).collect();
    for task in &tasks[1..] {
        completes(&world, &mut client, task).await?;
    }
    Ok(())
}

/// While the server is gone nobody is told that a session is; and nobody who was told to come again has lost it.
async fn a_resume_waits(
    world: &mut World,
    gone: impl AsyncFn(&mut World) -> Result<()>,
    back: impl AsyncFn(&mut World) -> Result<()>,
) -> Result<()> {
    let mut client = world.session().await?;
    let session = client.id().await?;
    client.complete(&Prompt::to("m")).await?;
    let log = client.cut()?;
    gone(world).await?;
    let elsewhere = world.others[0].process.addr();
    let (said, goodbye) = SessionClient::resume_in_vain(elsewhere, &Hello::resumable(), &session, log.last_seq()).await?;
    let told = ["type", "code", "partial", "retryable", "retryAfterMs", "seq"].map(|member| &said[member]);
    assert_eq!(json!(told), json!(["ERROR", "gateway_overloaded", false, true, 1000, null]), "{said}");
    assert_eq!(goodbye, Goodbye::Closed(1013, "gateway_overloaded".to_owned()));
    back(world).await?;
    let mut client = eventually("its session", async || back_at(&world.others[0].process, &session, log.clone()).await.ok()).await?;
    let task = eventually("a prompt is taken", async || client.ask(&Prompt::to("m")).await.ok()).await?;
    completes(world, &mut client, &task).await?;
    // It is the old conversation still.
    assert_eq!(world.conversations("m")?.last().and_then(|asked| asked.as_array().map(Vec::len)), Some(3));
    Ok(())
}

async fn a_resume_while_the_server_is_gone_is_refused_and_finds_its_session_later(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, "m: 'hello' end").apart().start().await?;
    let (gone, back) =
        (async |world: &mut World| world.queue()?.kill().await, async |world: &mut World| world.queue()?.start_again().await);
    a_resume_waits(&mut world, gone, back).await
}

async fn a_resume_whose_takeover_is_heard_of_too_late_is_refused_and_finds_its_session_later(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, "m: 'hello' end").apart().start().await?;
    let (gone, back) = (async |world: &mut World| world.queue()?.freeze(), async |world: &mut World| world.queue()?.thaw());
    a_resume_waits(&mut world, gone, back).await
}

async fn gateways_and_workers_that_start_before_their_server_wait_for_it(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, "m: 'hello' end").apart().start().await?;
    world.queue()?.kill().await?;
    world.kill_and_restart().await?;
    for worker in &mut world.workers {
        worker.kill().await?;
        worker.start_again().await?;
    }
    let mut client = world.session().await?;
    is_refused(&mut client).await?;
    world.queue()?.start_again().await?;
    world.gateway.reaches_its_queue().await?;
    let task = eventually("a prompt is taken", async || client.ask(&Prompt::to("m")).await.ok()).await?;
    assert_eq!(completes(&world, &mut client, &task).await?, "hello");
    Ok(())
}

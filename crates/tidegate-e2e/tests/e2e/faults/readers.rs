//! Clients that read slowly, or not at all: behind a queue, too, their worker's provider waits, and nothing piles up in between.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tidegate_e2e::{Backend, Hello, Message, Prompt, SessionClient, World, WorldBuilder, eventually};

use super::{back_at, fleet};

/// Less than waits for a client that reads nothing.
const MUCH: u64 = 200 << 10;
/// More than is ever kept of a session whose conversation is short: what waits, and what a resume repeats.
const TOO_MUCH: u64 = 2 << 20;

/// More than all sockets on the way hold, in tokens of a thousand bytes.
fn flood(tokens: usize) -> String {
    format!("burst repeat {tokens} ('{}') end", "x".repeat(1000))
}

/// What Redis keeps of a session, in bytes.
async fn size(world: &mut World, session: &str) -> Result<u64> {
    let mut size = 0;
    for kind in ["log", "session"] {
        let told = world.queue()?.redis()?.ask(&format!("MEMORY USAGE tidegate:{{queue}}:{kind}:{session} SAMPLES 0")).await?;
        size += told.trim_start_matches(':').trim().parse::<u64>().context(told)?;
    }
    Ok(size)
}

/// The same once nothing more is said in it.
async fn full_size(world: &mut World, session: &str) -> Result<u64> {
    let mut last = 0;
    eventually("nothing more is said", async || {
        // Back-pressure has come through when nothing was said for a while.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let size = size(world, session).await.ok()?;
        let is_full = size > MUCH && size == last;
        last = size;
        is_full.then_some(size)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_reads_fills_no_redis_whether_its_client_is_there_or_not() -> Result<()> {
    let mut world = fleet(Backend::Redis, &format!("m: {}; well: 'hello' end", flood(20_000))).start().await?;
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::resumable().reluctant()).await?;
    let session = client.id().await?;
    client.send(Prompt::to("m").json()).await?;
    let (sent, size) = (world.provider_stops("m").await?, full_size(&mut world, &session).await?);
    assert!(sent < 15 << 20 && size < TOO_MUCH, "{sent} bytes were sent, {size} are in Redis");
    // Who is away takes nothing either.
    let log = client.cut()?;
    let size = full_size(&mut world, &session).await?;
    assert!(size < TOO_MUCH, "{size} bytes are in Redis");
    let mut client = back_at(&world.gateway, &session, log).await?;
    let task = client.see("the task", |log| log.tasks().next().map(str::to_owned)).await?;
    super::completes(&world, &mut client, &task).await?;
    assert_eq!(client.log().text(&task).len(), 20_000_000);
    client.complete(&Prompt::to("well")).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_of_a_session_that_cannot_be_resumed_does_not_stay_in_redis() -> Result<()> {
    // More than a conversation keeps, of which the end of its task says nothing then.
    let mut world = fleet(Backend::Redis, &format!("m: {}", flood(5000))).start().await?;
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::plain()).await?;
    client.complete(&Prompt::to("m")).await?;
    let session = client.id().await?;
    let size = size(&mut world, &session).await?;
    assert!(size < TOO_MUCH, "{size} bytes of five million are still there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_gateway_is_killed_while_its_worker_waits_gets_everything_elsewhere() -> Result<()> {
    let mut world = fleet(Backend::Redis, &format!("m: {}", flood(20_000))).start().await?;
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::resumable().reluctant()).await?;
    let session = client.id().await?;
    client.send(Prompt::to("m").json()).await?;
    let sent = world.provider_stops("m").await?;
    world.gateway.signal(Signal::KILL)?;
    world.gateway.ended().await?;
    assert_eq!(world.provider_stops("m").await?, sent, "nobody is there who could take more");
    let mut client = back_at(&world.others[0].process, &session, client.cut()?).await?;
    let task = client.see("the task", |log| log.tasks().next().map(str::to_owned)).await?;
    super::completes(&world, &mut client, &task).await?;
    assert_eq!((client.log().text(&task).len(), world.requests("m").len()), (20_000_000, 1));
    Ok(())
}

/// One worker with one place.
fn one_place(scenario: &str) -> WorldBuilder {
    World::of(scenario).backend(Backend::Redis).more("[queue]\nmin_workers = 1\nmax_workers = 1\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_whose_reader_does_not_go_on_ends_typed_at_its_deadline_and_frees_its_place() -> Result<()> {
    let soon = "timeouts = { connect = \"1s\", first_byte = \"1s\", idle = \"1s\", total = \"3s\" }\n";
    let world = one_place(&format!("m: {}; well: 'hello' end", flood(200_000))).model(soon).start().await?;
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::resumable().reluctant()).await?;
    client.send(Prompt::to("m").json()).await?;
    world.provider_stops("m").await?;
    let mut other = world.session().await?;
    assert_eq!(other.complete(&Prompt::to("well")).await?.1, "hello");
    let task = client.see("the task", |log| log.tasks().next().map(str::to_owned)).await?;
    let end = client.end(&task).await?;
    let problem = end.problem().context("an error")?;
    assert_eq!((problem.code.as_str(), problem.partial), ("deadline_exceeded", true), "{problem:?}");
    client.log().agree(&task, &world.record_of_task(&task).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_whole_before_it_was_shown_is_read_at_its_readers_pace_and_holds_no_place() -> Result<()> {
    let mut world = one_place(&format!("m: {}; well: 'hello' end", flood(5000))).model("delivery = \"coherent\"\n").start().await?;
    let mut client = world.session().await?;
    let session = client.id().await?;
    client.send(Prompt::to("m").json()).await?;
    world.journal("m", |entry| entry.finished).await?;
    let mut other = world.session().await?;
    assert_eq!(other.complete(&Prompt::to("well")).await?.1, "hello");
    let size = full_size(&mut world, &session).await?;
    assert!(size < TOO_MUCH, "{size} bytes of five million are in Redis");
    let task = client.see("the task", |log| log.tasks().next().map(str::to_owned)).await?;
    assert!(matches!(client.end(&task).await?, Message::Complete { .. }));
    assert_eq!(client.log().text(&task).len(), 5_000_000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_for_a_reader_holds_up_no_shutdown() -> Result<()> {
    let mut world = one_place(&format!("m: {}", flood(200_000))).server("drain = \"500ms\"").start().await?;
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::resumable().reluctant()).await?;
    client.send(Prompt::to("m").json()).await?;
    world.provider_stops("m").await?;
    let worker = &mut world.workers[0].process;
    worker.signal(Signal::TERM)?;
    assert_eq!(worker.ended().await?.code(), Some(0), "{}", worker.printed());
    let task = client.see("the task", |log| log.tasks().next().map(str::to_owned)).await?;
    let end = client.end(&task).await?;
    assert_eq!((end.code(), end.problem().map(|problem| problem.partial)), ("gateway_draining", Some(true)), "{end:?}");
    client.log().agree(&task, &world.record_of_task(&task).await?)
}

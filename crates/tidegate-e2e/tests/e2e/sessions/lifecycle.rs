//! How sessions end: by their client, by its silence, or by its death.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tidegate_e2e::session::Log;
use tidegate_e2e::{Backend, Goodbye, Hello, Message, Prompt, SessionClient, World};

use super::world;

on_every_backend!(
    a_plain_client_takes_its_session_with_its_connection,
    a_close_frame_ends_any_session_at_once,
    a_provider_that_bills_anyway_is_read_to_its_end,
    a_frozen_client_is_found_within_two_heartbeats,
    a_frozen_client_that_thaws_goes_on,
    a_client_that_answers_pings_lives,
    an_idle_session_is_closed_and_a_busy_one_is_not,
);

/// Within a tenth of a second on a quiet machine; these tests have company.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How long after `then` the provider saw that nobody wants its answer any more.
async fn noticed(world: &World, model: &str, then: Instant) -> Result<Duration> {
    let entry = world.journal(model, |entry| entry.peer_left_at.is_some()).await?;
    Ok((entry.received_at + entry.peer_left_at.context("it left")?).saturating_duration_since(then))
}

async fn a_plain_client_takes_its_session_with_its_connection(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'one' stall; next: 'hello' end; well: 'hello' end").start().await?;
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::plain()).await?;
    let (task, queued) = (client.ask(&Prompt::to("m")).await?, client.ask(&Prompt::to("next")).await?);
    client.tokens(&task, 1).await?;
    let session = client.id().await?;
    let cut = Instant::now();
    let log = client.cut()?;
    let noticed = noticed(&world, "m", cut).await?;
    assert!(noticed < AT_ONCE, "{noticed:?}");
    let record = world.record_of_task(&task).await?;
    assert_eq!((&record["code"], &record["disconnect_source"]), (&json!("client_gone"), &json!("client")), "{record}");
    log.agree(&task, &record)?;

    let (mut client, resumed) = SessionClient::resume(world.gateway.addr(), &Hello::resumable(), &session, Log::default()).await?;
    assert!(!resumed);
    client.complete(&Prompt::to("well")).await?;
    assert_eq!(world.requests("next").len(), 0, "{queued} was forgotten");
    Ok(())
}

async fn a_close_frame_ends_any_session_at_once(backend: Backend) -> Result<()> {
    let world = world(backend, "quiet: stall; m: 'one' stall; next: 'hello' end").start().await?;
    for (model, tokens) in [("quiet", 0), ("m", 1)] {
        let mut client = world.session().await?;
        let task = client.ask(&Prompt::to(model)).await?;
        client.ask(&Prompt::to("next")).await?;
        client.tokens(&task, tokens).await?;
        world.journal(model, |_| true).await?;
        let session = client.id().await?;
        let closed = Instant::now();
        let log = client.close().await?;
        let noticed = noticed(&world, model, closed).await?;
        assert!(noticed < AT_ONCE, "{noticed:?}");
        log.agree(&task, &world.record_of_task(&task).await?)?;
        let (_, resumed) = SessionClient::resume(world.gateway.addr(), &Hello::resumable(), &session, Log::default()).await?;
        assert!(!resumed);
    }
    assert_eq!(world.requests("next").len(), 0);
    Ok(())
}

async fn a_provider_that_bills_anyway_is_read_to_its_end(backend: Backend) -> Result<()> {
    let world = world(backend, "m: words 20 every 20ms end").model("on_disconnect = \"drain\"").start().await?;
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::plain()).await?;
    let task = client.ask(&Prompt::to("m")).await?;
    client.tokens(&task, 2).await?;
    let log = client.cut()?;
    let record = world.record_of_task(&task).await?;
    assert_eq!((&record["status"], &record["usage"]["source"]), (&json!("cancelled_after_output"), &json!("provider")), "{record}");
    let entry = world.journal("m", |entry| entry.finished || entry.peer_left_at.is_some()).await?;
    assert_eq!((entry.finished, entry.output_events_sent), (true, 20));
    log.agree(&task, &record)
}

async fn a_frozen_client_is_found_within_two_heartbeats(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'one' stall").more("[sessions]\nheartbeat = \"1s\"\n").start().await?;
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::plain()).await?;
    let task = client.ask(&Prompt::to("m")).await?;
    client.tokens(&task, 1).await?;
    // From here on nobody reads, so no ping is answered, while the kernel keeps the connection: a process that is frozen looks the same.
    let frozen = Instant::now();
    let noticed = noticed(&world, "m", frozen).await?;
    // A ping may be on its way already: then it is one heartbeat, and no sooner.
    assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&noticed), "{noticed:?}");
    let record = world.record_of_task(&task).await?;
    assert_eq!(record["code"], "client_gone", "{record}");
    client.log().agree(&task, &record)
}

async fn a_frozen_client_that_thaws_goes_on(backend: Backend) -> Result<()> {
    let world = world(backend, "m: words 60 every 100ms end").more("[sessions]\nheartbeat = \"1s\"\n").start().await?;
    let mut client = world.session().await?;
    let task = client.ask(&Prompt::to("m")).await?;
    let session = client.id().await?;
    client.tokens(&task, 1).await?;
    // Two heartbeats and some time more: its connection is given up, its session is not.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(client.goodbye().await?, Goodbye::Cut);
    assert!(client.log().end(&task).is_none(), "the answer takes twice as long");
    let (mut client, resumed) = SessionClient::resume(world.gateway.addr(), &Hello::resumable(), &session, client.log().clone()).await?;
    assert!(resumed && matches!(client.end(&task).await?, Message::Complete { .. }));
    client.log().agree(&task, &world.record_of_task(&task).await?)
}

async fn a_client_that_answers_pings_lives(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 4s 'hello' end").more("[sessions]\nheartbeat = \"1s\"\n").start().await?;
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::plain()).await?;
    // Four heartbeats of silence, in which the client only reads.
    assert_eq!(client.complete(&Prompt::to("m")).await?.1, "hello");
    Ok(())
}

async fn an_idle_session_is_closed_and_a_busy_one_is_not(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 2500ms 'hello' end").more("[sessions]\nidle_ttl = \"1s\"\n").start().await?;
    let mut busy = world.session().await?;
    let (task, queued) = (busy.ask(&Prompt::to("m")).await?, busy.ask(&Prompt::to("m")).await?);
    let began = Instant::now();
    let mut idle = world.session().await?;
    assert_eq!(idle.goodbye().await?, Goodbye::Closed(1000, "idle".to_owned()));
    assert!(began.elapsed() > Duration::from_millis(800), "{:?}", began.elapsed());
    for task in [task, queued] {
        assert!(matches!(busy.end(&task).await?, Message::Complete { .. }));
    }
    assert_eq!(busy.goodbye().await?, Goodbye::Closed(1000, "idle".to_owned()));
    Ok(())
}

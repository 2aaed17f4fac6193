//! Going down: what runs may finish, nothing new begins, and nobody is left without an ending.

use anyhow::Result;
use rustix::process::Signal;
use tidegate_e2e::{Chat, View, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_readiness_flips_new_streams_are_refused_and_running_ones_finish() -> Result<()> {
    let mut world = World::start("m: words 30 every 100ms end").await?;
    let mut running = world.gateway.send(&Chat::new("m")).await?;
    running.event().await?;
    assert_eq!(world.gateway.get("/readyz").await?.status, 200);

    world.gateway.signal(Signal::TERM)?;
    eventually("readiness flips", async || world.gateway.get("/readyz").await.ok().filter(|view| view.status == 503)).await?;
    assert_eq!(world.gateway.get("/healthz").await?.status, 200);
    let refused = world.chat(&Chat::new("m")).await?;
    assert_eq!((refused.status, refused.code()), (503, "gateway_draining"), "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");

    let view = running.view().await?;
    assert!(view.completed(), "{view:?}");
    assert_eq!(world.gateway.ended().await?.code(), Some(0), "{}", world.gateway.printed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_window_a_running_stream_gets_a_typed_ending_and_a_record() -> Result<()> {
    let mut world = World::of("m: words 500 every 50ms end").server("drain = \"500ms\"").start().await?;
    let mut running = world.gateway.send(&Chat::new("m")).await?;
    running.event().await?;
    world.gateway.signal(Signal::TERM)?;
    let view = running.view().await?;
    assert_eq!((view.code(), view.partial(), view.done), ("gateway_draining", Some(true), false), "{view:?}");
    assert_eq!(world.gateway.ended().await?.code(), Some(0), "{}", world.gateway.printed());

    world.start_again().await?;
    let record = world.gateway.record(view.stream_id()).await?;
    assert_eq!((&record["status"], &record["disconnect_source"]), (&"failed_after_output".into(), &"gateway_shutdown".into()), "{record}");
    tidegate_e2e::agree(&view, &record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once_and_still_typed() -> Result<()> {
    let mut world = World::start("m: words 500 every 50ms end").await?;
    let mut running = world.gateway.send(&Chat::new("m")).await?;
    running.event().await?;
    world.gateway.signal(Signal::TERM)?;
    eventually("readiness flips", async || world.gateway.get("/readyz").await.ok().filter(|view| view.status == 503)).await?;
    world.gateway.signal(Signal::TERM)?;
    let view = running.view().await?;
    assert!(!view.completed() && view.output_events < 400, "{view:?}");
    assert_eq!(view.code(), "gateway_draining", "{view:?}");
    world.gateway.ended().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_read_on_for_nobody_keeps_what_its_client_got_in_the_record() -> Result<()> {
    let caps = "on_disconnect = \"drain\"\ndrain = { max_tokens = 500, max_time = \"20s\" }";
    let mut world = World::of("m: words 500 every 50ms end").server("drain = \"300ms\"").model(caps).start().await?;
    let mut running = world.gateway.send(&Chat::new("m")).await?;
    let mut view = View::of(&running);
    view.read_on(&mut running, 2).await?;
    drop(running);
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    world.gateway.signal(Signal::TERM)?;
    world.gateway.ended().await?;

    world.start_again().await?;
    let record = world.gateway.record(view.stream_id()).await?;
    assert_eq!((&record["status"], &record["code"]), (&"cancelled_after_output".into(), &"client_gone".into()), "{record}");
    tidegate_e2e::agree(&view, &record)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_running_streams_it_ends_at_once() -> Result<()> {
    let mut world = World::start("m: 'hello' end").await?;
    assert!(world.chat(&Chat::new("m")).await?.completed());
    world.gateway.signal(Signal::INT)?;
    assert_eq!(world.gateway.ended().await?.code(), Some(0), "{}", world.gateway.printed());
    Ok(())
}

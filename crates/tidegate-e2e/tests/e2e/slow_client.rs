//! A client that reads slowly slows its own stream and nothing else.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tidegate_e2e::{Answer, Chat, World, eventually};
use tokio::io::AsyncReadExt;

/// 200 MB of text as fast as it can be written: far more than all socket buffers on the way hold.
fn flood(model: &str) -> String {
    format!("{model}: burst repeat 200000 ('{}') end", "x".repeat(1000))
}

/// A request whose client reads nothing by itself.
async fn unread(world: &World, model: &str) -> Result<Answer> {
    Answer::to_reluctant(world.gateway.addr(), &Chat::new(model).bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_stops_the_provider_and_delays_nobody_else() -> Result<()> {
    let world = World::start(&format!("{}; quick: words 20 every 10ms end", flood("flood"))).await?;
    let stopped = unread(&world, "flood").await?;
    // Back-pressure has come through when the provider has sent nothing for a while.
    let mut last = 0;
    eventually("the provider stops", async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let sent = world.mock.journal().entries().first().map_or(0, |entry| entry.bytes_sent);
        let stopped = sent > 0 && sent == last;
        last = sent;
        stopped.then_some(())
    })
    .await?;
    assert!(last < 32 << 20, "{last} bytes went into a stream that nobody reads");
    assert!(world.gateway.resident_kib()? < 128 << 10, "the gateway holds {} KiB", world.gateway.resident_kib()?);

    let began = Instant::now();
    let quick = world.chat(&Chat::new("quick")).await?;
    assert!(quick.completed() && began.elapsed() < Duration::from_secs(2), "{:?} for 200 ms of words", began.elapsed());
    drop(stopped);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_on_gets_everything() -> Result<()> {
    let world = World::start(&format!("m: burst repeat 20000 ('{}') end", "x".repeat(1000))).await?;
    let answer = unread(&world, "m").await?;
    // Long enough that the provider had to stop, short of the slow client's limit.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let view = answer.view().await?;
    assert_eq!((view.completed(), view.text.len()), (true, 20_000_000));
    let record = world.gateway.record(view.stream_id()).await?;
    assert_eq!(record["delivered"]["output_events"], 20_000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_for_longer_than_the_idle_limit_is_no_silence_of_the_provider() -> Result<()> {
    let scenario = format!("m: burst repeat 40000 ('{}') end", "x".repeat(1000));
    let world = World::of(&scenario).model("profile = \"hasty\"").more("[profiles.hasty]\nidle = \"500ms\"").start().await?;
    let answer = unread(&world, "m").await?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let view = answer.view().await?;
    assert_eq!((view.completed(), view.text.len()), (true, 40_000_000), "{:?}", view.error);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_limit_a_slow_client_is_cut_off_and_recorded() -> Result<()> {
    let world = World::of(&flood("m")).server("slow_client = \"500ms\"").start().await?;
    let answer = unread(&world, "m").await?;
    let id = answer.header("x-tidegate-stream-id").context("a stream id")?.to_owned();
    let record = world.gateway.record(&id).await?;
    assert_eq!((&record["code"], &record["partial"]), (&"slow_client".into(), &true.into()), "{record}");
    world.journal("m", |entry| entry.peer_left_at.is_some()).await?;
    drop(answer);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_of_an_answer_that_is_complete_is_recorded_as_slow() -> Result<()> {
    let scenario = format!("m: burst repeat 3000 ('{}') end", "x".repeat(1000));
    let world = World::of(&scenario).server("slow_client = \"500ms\"").model("delivery = \"coherent\"").start().await?;
    let answer = unread(&world, "m").await?;
    let id = answer.header("x-tidegate-stream-id").context("a stream id")?.to_owned();
    let record = world.gateway.record(&id).await?;
    assert_eq!(record["code"], "slow_client", "{record}");
    drop(answer);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_only_sips_at_a_complete_answer_does_not_keep_its_place_for_ever() -> Result<()> {
    let scenario = format!("m: burst repeat 220 ('{}') end", "x".repeat(1000));
    let world = World::of(&scenario).server("slow_client = \"1s\"\nmax_streams = 1").start().await?;
    let mut answer = Answer::to_reluctant(world.gateway.addr(), &Chat::whole("m").bytes()).await?;
    let id = answer.header("x-tidegate-stream-id").context("a stream id")?.to_owned();
    let began = Instant::now();
    let mut sips = 0;
    // A sip in every tenth of a second is never silence, and would take half a minute.
    while answer.socket().read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) && began.elapsed() < Duration::from_secs(20) {
        sips += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(sips > 15, "{sips} in {:?}", began.elapsed());
    let record = world.gateway.record(&id).await?;
    assert_eq!((&record["status"], &record["code"]), (&"cancelled_after_output".into(), &"slow_client".into()), "{record}");
    Ok(())
}

//! A client that reads slowly, or not at all.

use std::time::Duration;

use anyhow::Result;
use tidegate_e2e::{Backend, Hello, Message, Prompt, SessionClient, eventually};
use tokio_tungstenite::tungstenite::protocol::Message as Frame;

use super::world;

on_every_backend!(
    a_slow_reader_slows_its_provider_and_gets_everything,
    a_client_that_reads_nothing_is_given_up_however_lively_it_is,
    questions_without_end_from_one_who_reads_no_answer_fill_no_memory,
);

async fn a_slow_reader_slows_its_provider_and_gets_everything(backend: Backend) -> Result<()> {
    let world = world(backend, &format!("m: burst repeat 20000 ('{}') end", "x".repeat(1000))).start().await?;
    let before = world.gateway.resident_kib()?;
    // With a socket as others have: through a small one, twenty megabytes take as long as the kernel likes.
    let mut client = world.session().await?;
    client.send(Prompt::to("m").json()).await?;
    let stopped = world.provider_stops("m").await?;
    let more = world.gateway.resident_kib()?.saturating_sub(before);
    assert!(stopped < 15 << 20, "{stopped} bytes went into a session that nobody reads");
    assert!(more < 16 << 10, "{more} KiB wait for it");
    let task = client.see("the answer", |log| log.tasks().next().map(str::to_owned)).await?;
    assert!(matches!(client.end(&task).await?, Message::Complete { .. }));
    assert_eq!(client.log().text(&task).len(), 20_000_000);
    client.log().agree(&task, &world.record_of_task(&task).await?)
}

async fn a_client_that_reads_nothing_is_given_up_however_lively_it_is(backend: Backend) -> Result<()> {
    let scenario = format!("m: burst repeat 200000 ('{}') end", "x".repeat(1000));
    let world = world(backend, &scenario).server("slow_client = \"1s\"").start().await?;
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::plain().reluctant()).await?;
    client.send(Prompt::to("m").json()).await?;
    let entry = eventually("the provider is let go", async || {
        // It says that it lives, as often as it likes.
        client.frame(Frame::Ping("x".into())).await.ok();
        world.requests("m").into_iter().find(|entry| entry.peer_left_at.is_some())
    });
    assert!(!entry.await?.finished);
    let record =
        eventually("its record", async || world.records().await.ok()?.into_iter().find(|record| record["status"].is_string())).await?;
    assert_eq!((&record["code"], &record["partial"]), (&"slow_client".into(), &true.into()), "{record}");
    Ok(())
}

async fn questions_without_end_from_one_who_reads_no_answer_fill_no_memory(backend: Backend) -> Result<()> {
    let world = world(backend, "m: stall").start().await?;
    let before = world.gateway.resident_kib()?;
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::plain().reluctant()).await?;
    let flood = async {
        for _ in 0..1_000_000 {
            // Each is answered by far more than it says.
            client.frame(Frame::text("{}")).await?;
        }
        anyhow::Ok(())
    };
    // It comes to a stop, because it is no longer read.
    let stopped = tokio::time::timeout(Duration::from_secs(5), flood).await;
    let more = world.gateway.resident_kib()?.saturating_sub(before);
    assert!(stopped.is_err() && more < 8 << 10, "{more} KiB for {stopped:?}");
    let mut other = world.session().await?;
    other.ping().await
}

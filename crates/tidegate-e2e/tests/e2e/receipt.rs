//! What the record says was delivered is what the client's socket took: no more of an answer that waits, no less of one that is cut off.

use anyhow::{Context, Result};
use tidegate_e2e::{Answer, Chat, View, World, agree};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Three megabytes in 3,000 events: more than all buffers on the way hold.
fn large() -> String {
    format!("m: burst repeat 3000 ('{}') end", "x".repeat(1000))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_counts_for_what_was_taken_of_it() -> Result<()> {
    let world = World::start(&large()).await?;
    let mut answer = Answer::to_reluctant(world.gateway.addr(), &Chat::whole("m").bytes()).await?;
    let id = answer.header("x-tidegate-stream-id").context("an id")?.to_owned();
    let mut read = 0;
    while read < 1_000_000 {
        read += answer.socket().read(&mut [0; 4096]).await? as u64;
    }
    drop(answer);
    let record = world.gateway.record(&id).await?;
    let bytes = record["delivered"]["bytes"].as_u64().context("a number")?;
    assert!((read..3_000_000).contains(&bytes), "{read} bytes were read: {record}");
    assert_eq!((&record["status"], &record["code"]), (&"cancelled_after_output".into(), &"client_gone".into()), "{record}");
    assert_eq!(record["partial"], true, "{record}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_left_in_a_flood_counts_every_event_that_was_seen() -> Result<()> {
    let world = World::start(&large()).await?;
    for delivery in ["stream", "coherent"] {
        for events in [1, 300, 1500] {
            let chat = Chat::new("m").header("x-tidegate-delivery", delivery);
            let mut answer = Answer::to_reluctant(world.gateway.addr(), &chat.bytes()).await?;
            let mut view = View::of(&answer);
            view.read_on(&mut answer, events).await?;
            drop(answer);
            let record = world.gateway.record(view.stream_id()).await?;
            agree(&view, &record)?;
            // What the sockets hold on the way is a few hundred of these events.
            assert!(record["delivered"]["output_events"].as_u64().is_some_and(|taken| taken < events + 1000), "{record}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_still_waits_is_not_delivered_because_the_next_request_begins() -> Result<()> {
    let world = World::start(&format!("{}; next: 'hello' end", large())).await?;
    let requests = [Chat::whole("m").bytes(), Chat::new("next").bytes()].concat();
    let answer = Answer::to_reluctant(world.gateway.addr(), &requests).await?;
    let id = answer.header("x-tidegate-stream-id").context("an id")?.to_owned();
    drop(answer);
    let record = world.gateway.record(&id).await?;
    assert_eq!((&record["status"], &record["code"]), (&"cancelled_after_output".into(), &"client_gone".into()), "{record}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_were_sent_ahead_are_answered_in_order() -> Result<()> {
    let world = World::start("a: words 5 every 20ms end; b: 'second' end; c: 'third' end").await?;
    let mut socket = TcpStream::connect(world.gateway.addr()).await?;
    socket.write_all(&[Chat::new("a").bytes(), Chat::whole("b").bytes()].concat()).await?;
    world.journal("a", |entry| entry.output_events_sent > 0).await?;
    // This one comes while the first is answered.
    let last = String::from_utf8(Chat::whole("c").bytes())?.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    socket.write_all(last.as_bytes()).await?;
    let mut text = String::new();
    socket.read_to_string(&mut text).await?;
    let place = |needle: &str| text.find(needle).with_context(|| format!("{needle} in {text}"));
    assert!(place("[DONE]")? < place("second")? && place("second")? < place("third")?);
    Ok(())
}

//! While nothing flows the client hears a comment, at event boundaries only, and never in place of an answer.

use std::time::Duration;

use anyhow::Result;
use tidegate_e2e::{Chat, World, agree};

const OFTEN: &str = "head_after = \"200ms\"\nkeepalive = \"300ms\"";

#[tokio::test(flavor = "multi_thread")]
async fn the_head_goes_out_and_comments_come_before_the_first_output() -> Result<()> {
    let world = World::of("m: 2s 'hello' end").server(OFTEN).start().await?;
    let answer = world.gateway.send(&Chat::new("m")).await?;
    assert!(answer.head_at < Duration::from_millis(1500), "the head came at {:?}", answer.head_at);
    let view = answer.view().await?;
    assert!((3..=8).contains(&view.comments), "{view:?}");
    assert!(view.completed() && view.text == "hello", "{view:?}");
    let record = world.gateway.record(view.stream_id()).await?;
    assert_eq!(record["events"]["keepalive"], view.comments);
    agree(&view, &record)
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_fill_the_silence_between_two_events_and_split_none() -> Result<()> {
    // Half an event before the silence, its other half after it: the comment has to wait for a boundary.
    let world = World::of("m: 'one' 1s 'two' bytes 40 burst 'three' end").server(OFTEN).start().await?;
    let view = world.chat(&Chat::new("m")).await?;
    assert!(view.comments >= 2 && view.completed(), "{view:?}");
    assert_eq!(view.text, "onetwothree");
    for event in view.events.iter().filter(|event| event.data.is_none()) {
        assert!(event.raw.starts_with(':') && event.raw.ends_with("\n\n"), "{:?}", event.raw);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_flows_gets_no_comment() -> Result<()> {
    let world = World::of("m: words 20 every 50ms end").server(OFTEN).start().await?;
    let view = world.chat(&Chat::new("m")).await?;
    assert_eq!((view.comments, view.completed()), (0, true), "{view:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quick_failure_keeps_its_real_status() -> Result<()> {
    let world = World::of("m: 50ms status 500").server("head_after = \"2s\"").start().await?;
    let view = world.chat(&Chat::new("m")).await?;
    assert_eq!((view.status, view.comments), (502, 0), "{view:?}");
    Ok(())
}

//! `tidegate streams`: what an operator asks the ledger, beside a running gateway.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::Value;
use tidegate_e2e::{Chat, Process, World, eventually, run};

/// Streams until one of them is printed: from here on the command sees every end.
async fn until_it_looks(world: &World, tail: &Process) -> Result<()> {
    eventually("a line of the tail", async || {
        world.chat(&Chat::new("warm")).await.ok()?;
        Some(()).filter(|()| tail.printed().contains("warm"))
    })
    .await
}

/// The printed lines with this text.
fn lines(tail: &Process, text: &str) -> Vec<String> {
    tail.printed().lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_prints_each_stream_when_it_ends_and_ends_itself_when_interrupted() -> Result<()> {
    let world = World::start("warm: 'one' end; m: words 3 every 5ms end; cut: 'hel' cut; runs: 'one' 30s end").await?;
    let before = world.chat(&Chat::new("m")).await?;
    let (mut tail, mut json) = (world.spawn(&["streams", "tail"])?, world.spawn(&["streams", "tail", "--json"])?);
    until_it_looks(&world, &tail).await?;
    until_it_looks(&world, &json).await?;

    let mut running = world.gateway.send(&Chat::new("runs")).await?;
    running.event().await?;
    let id = running.header("x-tidegate-stream-id").context("a stream id")?.to_owned();
    let (cut, record) = world.chat_and_record(&Chat::new("cut")).await?;
    let line = eventually("the cut stream", async || lines(&tail, cut.stream_id()).pop()).await?;
    for word in ["cut", "mock", "failed_after_output", "upstream_cut", " ms"] {
        assert!(line.contains(word), "{word} is missing in {line}");
    }
    let whole = eventually("the cut stream as JSON", async || lines(&json, cut.stream_id()).pop()).await?;
    assert_eq!(serde_json::from_str::<Value>(&whole)?, record);

    // One that runs is no end; it becomes one when its client leaves.
    assert_eq!(lines(&tail, &id), Vec::<String>::new());
    drop(running);
    let line = eventually("the stream that was left", async || lines(&tail, &id).pop()).await?;
    assert!(line.contains("cancelled_after_output") && line.contains("client_gone"), "{line}");

    for tail in [&mut tail, &mut json] {
        tail.signal(Signal::INT)?;
        let status = tail.ended().await?;
        assert_eq!(status.code(), Some(0), "{status}");
        assert_eq!(lines(tail, before.stream_id()), Vec::<String>::new(), "it ended before");
        assert_eq!(lines(tail, cut.stream_id()).len(), 1, "{}", tail.printed());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_ends_quietly_when_nobody_reads_it_any_more() -> Result<()> {
    let world = World::start("warm: 'one' end").await?;
    let mut tail = world.spawn(&["streams", "tail"])?;
    until_it_looks(&world, &tail).await?;
    tail.stop_reading();
    eventually("its end", async || {
        world.chat(&Chat::new("warm")).await.ok()?;
        Some(()).filter(|()| tail.has_ended())
    })
    .await?;
    assert_eq!(tail.ended().await?.code(), Some(0), "{}", tail.printed());
    Ok(())
}

/// The ids in the output of `streams list --json` with these further arguments.
async fn listed(world: &World, arguments: &[&str]) -> Result<Vec<String>> {
    let printed = world.command(&[&["streams", "list", "--json"], arguments].concat()).await?;
    let id = |line| serde_json::from_str::<Value>(line).ok()?["id"].as_str().map(str::to_owned);
    printed.lines().map(id).collect::<Option<_>>().context(printed.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn list_shows_the_newest_streams_that_pass_all_filters() -> Result<()> {
    let (world, key) = World::of("a: 'one' end; b: 'one' end; cut: 'hel' cut; runs: 'one' 30s end").start_with_key().await?;
    let mut ids = Vec::new();
    for model in ["a", "b", "cut", "a"] {
        let view = world.chat(&Chat::new(model).key(&key)).await?;
        // The order is that of the last changes, so each has to have ended before the next one begins.
        world.gateway.record_with_key(view.stream_id(), Some(&key)).await?;
        ids.push(view.stream_id().to_owned());
    }
    let mut running = world.gateway.send(&Chat::new("runs").key(&key)).await?;
    running.event().await?;
    let runs = running.header("x-tidegate-stream-id").context("a stream id")?.to_owned();
    // Another process reads the database, which the gateway gives its rows some moments later.
    eventually("all five", async || listed(&world, &[]).await.ok().filter(|all| all.len() == 5)).await?;

    let [a, b, cut, last] = [0, 1, 2, 3].map(|n| ids[n].as_str());
    let cases: [(&[&str], &[&str]); 9] = [
        (&[], &[&runs, last, cut, b, a]),
        (&["--limit", "2"], &[&runs, last]),
        (&["--status", "running"], &[&runs]),
        (&["--status", "completed"], &[last, b, a]),
        (&["--status", "failed_after_output"], &[cut]),
        (&["--model", "a"], &[last, a]),
        (&["--team", "search", "--model", "b"], &[b]),
        (&["--team", "nobody"], &[]),
        (&["--model", "a", "--status", "completed", "--limit", "1"], &[last]),
    ];
    for (arguments, expected) in cases {
        assert_eq!(listed(&world, arguments).await?, expected, "{arguments:?}");
    }
    let table = world.command(&["streams", "list", "--status", "running"]).await?;
    assert!(table.contains(&runs) && table.contains("running") && !table.contains(cut), "{table}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_listed_or_shown_is_said() -> Result<()> {
    let world = World::start("m: 'one' end").await?;
    let cases: [(&[&str], i32, &str); 4] = [
        (&["streams", "list", "--status", "finished"], 2, "completed"),
        (&["streams", "show", "nonsense"], 2, "strm_"),
        (&["streams", "show", "strm_01hzzzzzzzzzzzzzzzzzzzzzzz"], 1, "no stream"),
        (&["--config", "elsewhere.toml", "streams", "list"], 2, "elsewhere.toml"),
    ];
    for (arguments, code, word) in cases {
        let output = run(world.folder(), arguments).await?;
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && printed.contains(word), "{arguments:?}: {} {printed}", output.status);
    }
    let empty = tempfile::TempDir::new()?;
    let output = run(empty.path(), &["streams", "list"]).await?;
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && printed.contains("tidegate.db"), "{printed}");
    assert_eq!(std::fs::read_dir(empty.path())?.count(), 0, "looking made a ledger");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_old_enough_are_gone_after_a_start_and_keys_are_not() -> Result<()> {
    let world = World::of("m: 'one' end; runs: 'one' 30s end").more("[ledger]\nretention = \"1s\"\n");
    let (mut world, key) = world.start_with_key().await?;
    assert!(world.command(&["config", "show"]).await?.contains("retention = \"1s\""));
    let old = world.chat(&Chat::new("m").key(&key)).await?.stream_id().to_owned();
    eventually("the record", async || listed(&world, &[]).await.ok().filter(|ids| *ids == [old.clone()])).await?;
    // A record's age is that of the calendar, which cannot be simulated for another process.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut running = world.gateway.send(&Chat::new("runs").key(&key)).await?;
    running.event().await?;
    let interrupted = running.header("x-tidegate-stream-id").context("a stream id")?.to_owned();

    world.kill_and_restart().await?;
    eventually("the old record's end", async || listed(&world, &[]).await.ok().filter(|ids| *ids == [interrupted.clone()])).await?;
    let shown = run(world.folder(), &["streams", "show", &old]).await?;
    assert_eq!(shown.status.code(), Some(1), "{}", String::from_utf8_lossy(&shown.stdout));
    assert_eq!(world.gateway.get_with_key(&format!("/v1/streams/{old}"), Some(&key)).await?.status, 404);
    assert_eq!(world.gateway.record_with_key(&interrupted, Some(&key)).await?["status"], "interrupted");
    Ok(())
}

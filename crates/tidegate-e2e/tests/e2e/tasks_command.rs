//! `tidegate tasks replay`: what an operator reads of prompts in Kafka's log.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tidegate_e2e::process::run_with;
use tidegate_e2e::{Backend, Hello, Message, Prompt, SessionClient, World, run};

use super::faults::{LEASE, runner};

/// In every prompt and every answer.
const SAID: &str = "spoken-in-confidence";

/// A prompt that says it, for this model.
fn prompt(model: &str) -> Prompt {
    Prompt::of(SAID).with("model", model)
}

async fn replayed(world: &World, arguments: &[&str]) -> Result<Vec<Value>> {
    let printed = world.command(&[&["tasks", "replay", "--json"], arguments].concat()).await?;
    assert!(!printed.contains(SAID), "{printed}");
    printed.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_tells_what_became_of_each_prompt_and_nothing_of_what_was_said() -> Result<()> {
    let scenario = format!("whole: '{SAID}' '{SAID}' end; cut: '{SAID}' cut; lost: stall | '{SAID}' end; runs: '{SAID}' stall");
    let (mut world, key) = World::of(&scenario).backend(Backend::Kafka).workers(2).more(LEASE).start_with_key().await?;
    let open = async |hello: Hello| SessionClient::open(world.gateway.addr(), &hello.key(&key)).await;
    let (mut client, mut other) = (open(Hello::resumable()).await?, open(Hello::plain()).await?);
    let whole = client.ask(&prompt("whole")).await?;
    let complete = client.end(&whole).await?;
    let cut = client.ask(&prompt("cut")).await?;
    client.end(&cut).await?;
    let lost = client.ask(&prompt("lost")).await?;
    world.journal("lost", |_| true).await?;
    let killed = runner(&world, &lost).await?;
    world.workers[killed].kill().await?;
    assert!(matches!(client.end(&lost).await?, Message::Complete { .. }));
    let runs = other.ask(&prompt("runs")).await?;
    other.tokens(&runs, 1).await?;

    let told = replayed(&world, &["--since", "1h"]).await?;
    let fates: Vec<Value> = told.iter().map(|task| json!([task["task_id"], task["status"], task["code"], task["partial"]])).collect();
    let expected = [
        json!([whole, "completed", null, false]),
        json!([cut, "failed", "upstream_cut", true]),
        json!([lost, "completed", null, false]),
        json!([runs, null, null, null]),
    ];
    assert_eq!(fates, expected);
    let outputs = |task: &Value| -> Vec<u64> {
        task["attempts"].as_array().into_iter().flatten().filter_map(|attempt| attempt["outputs"].as_u64()).collect()
    };
    assert_eq!(told.iter().map(outputs).collect::<Vec<_>>(), [vec![2], vec![1], vec![0, 1], vec![1]]);
    assert_eq!((&told[0]["session_id"], &told[0]["stream_id"]), (&json!(client.id().await?), &json!(complete.stream())));
    assert!(told[0]["ended_at"].as_str() > told[0]["submitted_at"].as_str() && told[3]["ended_at"].is_null(), "{told:#?}");

    let record = world.record_of_task(&whole).await?;
    assert!(record["key_id"].is_string() && told.iter().all(|task| task["key_id"] == record["key_id"]), "{record} {told:#?}");

    let submitted = told[3]["submitted_at"].as_str().context("a moment")?;
    for only in [["--since", submitted].as_slice(), &["--since", "1h", "--session", &other.id().await?]] {
        assert_eq!(replayed(&world, only).await?, told[3..], "{only:?}");
    }
    let table = world.command(&["tasks", "replay", "--since", "1h"]).await?;
    let line = table.lines().find(|line| line.contains(&cut)).context("a line for each")?;
    assert!(line.contains("upstream_cut") && table.lines().count() == 5 && !table.contains(SAID), "{table}");

    // It was read, and nothing was done again.
    client.complete(&prompt("whole")).await?;
    assert_eq!(["whole", "cut", "lost", "runs"].map(|model| world.requests(model).len()), [2, 1, 2, 1]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_replayed_is_said() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let cases: [(&[&str], &str); 5] = [
        (&["--since", "1h"], "queue.backend is \"memory\""),
        (&[], "--since"),
        (&["--since", "yesterday"], "2026-11-21T10:00:00Z"),
        (&["--since", "2999-01-01T00:00:00Z"], "still to come"),
        (&["--since", "1h", "--session", "nonsense"], "sess_"),
    ];
    for (arguments, word) in cases {
        let output = run(folder.path(), &[&["tasks", "replay"], arguments].concat()).await?;
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && printed.contains(word), "{arguments:?}: {} {printed}", output.status);
    }
    // Nobody listens on this port.
    let nobody = [("QUEUE_TYPE", "kafka"), ("KAFKA_BROKERS", "127.0.0.1:1")];
    let output = run_with(folder.path(), &["tasks", "replay", "--since", "1h"], &nobody).await?;
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && printed.contains("127.0.0.1:1: the queue is not available"), "{} {printed}", output.status);
    Ok(())
}

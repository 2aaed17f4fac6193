//! The record: written before the provider is asked, closed whatever happens, and true.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use tidegate_e2e::{Chat, World, agree, eventually};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn a_record_says_everything_that_the_contract_lists() -> Result<()> {
    let world = World::start("m: 200ms words 10 every 20ms end").await?;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (view, record) = world.chat_and_record(&Chat::new("m").header("x-request-id", "app-17").header("traceparent", trace)).await?;
    let text = |member: &str| record[member].as_str().unwrap_or_default().to_owned();
    assert_eq!(text("id"), view.stream_id());
    assert_eq!((text("status"), text("client_request_id")), ("completed".into(), "app-17".into()), "{record}");
    assert_eq!(text("trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!((text("endpoint_family"), text("delivery")), ("chat_completions".into(), "stream".into()));
    assert_eq!((text("requested_model"), text("selected_model"), text("provider")), ("m".into(), "m".into(), "mock".into()));
    assert_eq!((&record["code"], &record["partial"], &record["key_id"]), (&Value::Null, &false.into(), &Value::Null));

    let times: Vec<u64> = ["time_to_head_ms", "time_to_first_output_ms", "time_to_last_output_ms", "completed_ms"]
        .iter()
        .map(|member| record[member].as_u64().with_context(|| format!("{member} in {record}")))
        .collect::<Result<_>>()?;
    assert!(times.is_sorted() && times[1] >= 190 && times[2] >= times[1] + 150, "{record}");
    assert_eq!(record["events"]["output"], 10);
    assert_eq!((&record["delivered"]["output_events"], &record["usage"]["source"]), (&10.into(), &"provider".into()));

    let attempt = &record["attempts"][0];
    assert_eq!((&attempt["n"], &attempt["outcome"], &attempt["decision"]), (&1.into(), &"used".into(), &"deliver".into()), "{attempt}");
    assert_eq!((&attempt["http_status"], &attempt["provider"]), (&200.into(), &"mock".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_with_two_hundred_running_streams_loses_no_row() -> Result<()> {
    let mut world = World::start("m: words 2 60s end").await?;
    let mut starting = JoinSet::new();
    for _ in 0..200 {
        let (addr, bytes) = (world.gateway.addr(), Chat::new("m").bytes());
        starting.spawn(async move {
            let mut answer = tidegate_e2e::Answer::to(addr, &bytes).await?;
            answer.event().await?;
            anyhow::Ok(answer)
        });
    }
    let running = starting.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    let ids: Vec<String> = running.iter().filter_map(|answer| answer.header("x-tidegate-stream-id")).map(str::to_owned).collect();
    assert_eq!(ids.len(), 200);

    world.kill_and_restart().await?;
    for id in &ids {
        let record = world.gateway.record(id).await?;
        assert_eq!(record["status"], "interrupted", "{record}");
    }
    assert!(world.chat(&Chat::new("m")).await.is_ok() || world.gateway.get("/readyz").await?.status == 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_can_be_looked_at_while_it_runs() -> Result<()> {
    let world = World::start("m: 'one' 30s end").await?;
    let mut answer = world.gateway.send(&Chat::new("m")).await?;
    answer.event().await?;
    let id = answer.header("x-tidegate-stream-id").context("a stream id")?.to_owned();
    let open = world.gateway.get(&format!("/v1/streams/{id}")).await?.body.context("a record")?;
    assert_eq!((&open["id"], &open["status"]), (&id.into(), &Value::Null), "{open}");
    assert_eq!(world.gateway.get("/v1/streams/strm_01hzzzzzzzzzzzzzzzzzzzzzzz").await?.status, 404);
    assert_eq!(world.gateway.get("/v1/streams/nonsense").await?.status, 404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_another_process_locks_the_ledger_no_stream_hangs_and_none_is_lost() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    assert!(world.chat(&Chat::new("m")).await?.completed());
    let lock = Locked::the_ledger(&world).await?;
    let mut served = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        let view = world.chat(&Chat::new("m")).await?;
        assert!(began.elapsed() < Duration::from_secs(5), "an answer took {:?}", began.elapsed());
        // A stream may be taken where its record is safe elsewhere; else it has to be refused before the provider is asked.
        match view.status {
            200 => served.push(view),
            _ => assert_eq!((view.status, view.code()), (503, "ledger_unavailable"), "{view:?}"),
        }
    }
    assert_eq!(world.mock.journal().entries().len(), 1 + served.len(), "what cannot be recorded is not asked for");

    lock.release().await?;
    let after = eventually("it recovers", async || world.chat(&Chat::new("m")).await.ok().filter(|view| view.status == 200)).await?;
    for view in served.iter().chain([&after]) {
        agree(view, &world.gateway.record(view.stream_id()).await?)?;
    }
    Ok(())
}

/// Another process that holds SQLite's write lock on the ledger.
struct Locked(tokio::process::Child);

impl Locked {
    async fn the_ledger(world: &World) -> Result<Self> {
        use tokio::io::{AsyncBufReadExt, BufReader};
        let program = "import sqlite3, sys; c = sqlite3.connect('tidegate.db', timeout=20, isolation_level=None); \
                       c.execute('begin immediate'); print('locked', flush=True); sys.stdin.read(); c.execute('rollback')";
        let mut child = tokio::process::Command::new("python3")
            .args(["-c", program])
            .current_dir(world.folder())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line).await?;
        anyhow::ensure!(line == "locked\n", "the lock was not taken");
        Ok(Self(child))
    }

    async fn release(mut self) -> Result<()> {
        drop(self.0.stdin.take());
        self.0.wait().await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_lists_and_shows_what_the_ledger_holds() -> Result<()> {
    let world = World::start("m: 'hello' end; cut: 'hel' cut").await?;
    let (whole, _) = world.chat_and_record(&Chat::new("m")).await?;
    let (cut, record) = world.chat_and_record(&Chat::new("cut")).await?;
    let expected = [whole.stream_id(), cut.stream_id(), "completed", "failed_after_output", "upstream_cut"];
    // Another process reads the database, which the gateway gives its rows some moments later.
    eventually("both streams in the list", async || {
        let list = world.command(&["streams", "list"]).await.ok()?;
        expected.iter().all(|word| list.contains(word)).then_some(())
    })
    .await?;
    let shown: Value = serde_json::from_str(&world.command(&["streams", "show", cut.stream_id()]).await?)?;
    assert_eq!(shown, record);
    Ok(())
}

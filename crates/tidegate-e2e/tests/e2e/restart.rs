//! Restarts: half an answer begins again where the client agreed to it, as a stream of its own, and is never mixed with the new one in secret.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidegate_e2e::{Answer, Case, Chat, Sdk, View, World, WorldBuilder, agree, eventually};

/// Failures before output are repeated soon.
const QUICK: &str = "[retry]\nbackoff = \"10ms\"\njitter = \"1ms\"\n";

/// A world whose model `m` is served by these models of the mock, in this order.
fn routed(scenario: &str, targets: &[&str]) -> WorldBuilder {
    let routes: Vec<String> = targets.iter().map(|model| format!("{{ provider = \"mock\", model = \"{model}\" }}")).collect();
    World::of(scenario).recovers(QUICK).more(&format!("[models.m]\nroutes = [{}]\n", routes.join(", ")))
}

/// A request that agrees to restarts.
fn agreed(model: &str) -> Chat {
    Chat::new(model).header("x-tidegate-restart", "allow")
}

/// What came of one stream inside an answer: the restart event that began it, and everything up to the next one.
#[derive(Debug, Default)]
struct Part {
    restart: Option<Value>,
    text: String,
    outputs: u64,
    bytes: u64,
    models: Vec<String>,
}

/// The streams of an answer, in order.
fn parts(view: &View) -> Result<Vec<Part>> {
    let mut parts = vec![Part::default()];
    for event in &view.events {
        let data = event.data.as_deref().and_then(|data| serde_json::from_str::<Value>(data).ok()).unwrap_or_default();
        if event.raw.starts_with("event: restart\n") {
            parts.push(Part { restart: Some(data["tidegate"]["restart"].clone()), ..Part::default() });
        }
        let part = parts.last_mut().context("there is one")?;
        part.bytes += u64::try_from(event.raw.len())?;
        let text = data["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
        part.text += text;
        part.outputs += u64::from(!text.is_empty());
        part.models.extend(data["model"].as_str().map(str::to_owned));
    }
    Ok(parts)
}

/// The records of an answer's streams, each of which has to say what the client saw of it and with whom it is linked.
async fn records(world: &World, view: &View, parts: &[Part]) -> Result<Vec<Value>> {
    let mut ids = vec![view.stream_id().to_owned()];
    ids.extend(parts.iter().filter_map(|part| part.restart.as_ref()?["restarted_as"].as_str().map(str::to_owned)));
    ensure!(ids.len() == parts.len(), "{parts:?}");
    let mut records = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        let record = world.gateway.record(&ids[n]).await?;
        let linked = (&record["restarted_from"], &record["restarted_as"]);
        assert_eq!(linked, (&json!(n.checked_sub(1).map(|n| &ids[n])), &json!(ids.get(n + 1))), "{record}");
        let delivered = json!({"output_events": part.outputs, "bytes": part.bytes});
        assert_eq!(record["delivered"], delivered, "{part:?} {record}");
        let begun_again = parts.get(n + 1).and_then(|next| next.restart.as_ref());
        if let Some(restart) = begun_again {
            assert_eq!((&restart["restarted_from"], &restart["code"]), (&json!(ids[n]), &record["code"]), "{restart} {record}");
            assert_eq!((&record["status"], &record["partial"]), (&"failed_after_output".into(), &true.into()), "{record}");
        }
        records.push(record);
    }
    Ok(records)
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_answer_begins_again_after_an_event_that_says_so() -> Result<()> {
    let faults = [
        ("cut", "upstream_cut"),
        ("eof", "upstream_cut"),
        ("malformed", "upstream_malformed"),
        ("error 'out of memory'", "upstream_error"),
    ];
    let broken = faults.iter().enumerate().map(|(n, (fault, _))| format!("a{n}: 'hel' 'l' {fault}; "));
    let scenario = broken.collect::<String>() + "b: 'hello' ' there' ' again' end";
    let routes =
        |n| format!("[models.m{n}]\nroutes = [{{ provider = \"mock\", model = \"a{n}\" }}, {{ provider = \"mock\", model = \"b\" }}]\n");
    let world = World::of(&scenario).recovers(QUICK).more(&(0..faults.len()).map(routes).collect::<String>()).start().await?;
    for (n, (_, code)) in faults.into_iter().enumerate() {
        let view = world.chat(&agreed(&format!("m{n}"))).await?;
        assert!(view.done && view.error.is_none(), "{view:?}");
        let parts = parts(&view)?;
        let texts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        assert_eq!(texts, ["hell", "hello there again"], "{view:?}");
        assert!(
            parts[0].models.iter().all(|model| *model == format!("a{n}")) && parts[1].models.iter().all(|model| model == "b"),
            "{parts:?}"
        );
        let records = records(&world, &view, &parts).await?;
        assert_eq!((&records[0]["code"], &records[0]["provider"]), (&code.into(), &"mock".into()), "{}", records[0]);
        assert_eq!((&records[1]["status"], &records[1]["selected_model"]), (&"completed".into(), &"b".into()), "{}", records[1]);
        assert_eq!(records[0]["usage"]["source"], "estimated", "half an answer costs, too: {}", records[0]);
        assert_eq!(records[0]["parent_request_id"], records[1]["parent_request_id"], "one request made both");
        assert!(records[1]["attempts"].as_array().is_some_and(|attempts| attempts.len() == 1), "{}", records[1]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_after_output_begins_again_too_and_the_new_stream_may_fail_over() -> Result<()> {
    let scenario = "a: 'hel' stall | 'hello' end; c: role cut";
    let soon = "timeouts = { first_byte = \"500ms\", idle = \"500ms\", total = \"20s\" }\n";
    let world = routed(scenario, &["a", "c"]).more(soon).start().await?;
    let view = world.chat(&agreed("m")).await?;
    let parts = parts(&view)?;
    assert_eq!((parts.len(), parts[1].text.as_str(), view.done), (2, "hello", true), "{view:?}");
    let records = records(&world, &view, &parts).await?;
    assert_eq!(records[0]["code"], "idle_timeout", "{}", records[0]);
    let asked: Vec<_> = records[1]["attempts"].as_array().context("attempts")?.iter().map(|attempt| &attempt["model"]).collect();
    assert_eq!(asked, ["c", "a"], "who has just failed is asked last: {}", records[1]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_consent_or_where_it_cannot_help_half_an_answer_is_the_end() -> Result<()> {
    let blocked = r#"data '{"error":{"message":"no","type":"invalid_request_error","code":"content_filter","param":null}}' eof"#;
    let scenario = format!("a: 'hel' cut; blocked: 'hel' {blocked}; b: 'WRONG' end");
    let more = "[models.n]\nroutes = [{ provider = \"mock\", model = \"blocked\" }, { provider = \"mock\", model = \"b\" }]\n";
    let world = routed(&scenario, &["a", "b"]).more(more).start().await?;
    for (chat, code) in [(Chat::new("m"), "upstream_cut"), (agreed("n"), "content_blocked")] {
        let (view, record) = world.chat_and_record(&chat).await?;
        assert_eq!((view.code(), view.partial(), view.done, view.text.as_str()), (code, Some(true), false, "hel"), "{view:?}");
        assert_eq!((&record["restarted_as"], parts(&view)?.len()), (&Value::Null, 1), "{record}");
        agree(&view, &record)?;
    }
    let refused = world.chat(&Chat::new("m").header("x-tidegate-restart", "yes")).await?;
    assert_eq!((refused.status, refused.code()), (400, "invalid_request"), "{refused:?}");
    assert!(refused.error.context("an error")?["message"].as_str().is_some_and(|text| text.contains("X-Tidegate-Restart")));
    assert!(world.mock.journal().entries().iter().all(|entry| entry.model != "b"));

    // What nobody has seen needs no consent, and no event.
    for delivery in ["coherent", "buffered"] {
        let (view, record) = world.chat_and_record(&agreed("m").header("x-tidegate-delivery", delivery)).await?;
        assert!(view.completed() && view.text == "WRONG", "{view:?}");
        assert_eq!((parts(&view)?.len(), &record["restarted_as"]), (1, &Value::Null), "{record}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_begins_again_twice_at_most_and_then_ends_typed() -> Result<()> {
    let world = routed("a: 'hel' 'lo' cut", &["a"]).start().await?;
    let view = world.chat(&agreed("m")).await?;
    let parts = parts(&view)?;
    assert_eq!((parts.len(), view.code(), view.partial(), view.done), (3, "upstream_cut", Some(true), false), "{view:?}");
    let records = records(&world, &view, &parts).await?;
    assert_eq!(view.error.context("an error")?["tidegate"]["stream_id"], records[2]["id"], "the error is that of the stream that ended");
    assert_eq!(world.mock.journal().entries().len(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_nobody_answers_ends_typed_without_output_of_its_own() -> Result<()> {
    let world = routed("a: 'hel' cut | status 500; b: status 503", &["a", "b"]).start().await?;
    let view = world.chat(&agreed("m")).await?;
    let parts = parts(&view)?;
    assert_eq!((parts.len(), view.code(), view.partial(), view.done), (2, "upstream_error", Some(false), false), "{view:?}");
    let records = records(&world, &view, &parts).await?;
    assert_eq!((&records[1]["status"], &records[1]["partial"]), (&"failed_before_output".into(), &false.into()), "{}", records[1]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_is_the_same_one_and_has_to_leave_time() -> Result<()> {
    let scenario = "a: 'hel' 600ms cut; b: 'lo' stall";
    // Of 2400 ms, 1200 are left after the overhead.
    let timed =
        |least: &str| routed(scenario, &["a", "b"]).recovers(&format!("{QUICK}[deadline]\noverhead = \"1200ms\"\nleast = \"{least}\"\n"));
    let world = timed("100ms").start().await?;
    let view = world.chat(&agreed("m").header("x-tidegate-timeout-ms", "2400")).await?;
    let both = parts(&view)?;
    assert_eq!((both.len(), view.code(), view.partial()), (2, "deadline_exceeded", Some(true)), "{view:?}");
    let records = records(&world, &view, &both).await?;
    let (first, second) = (&records[0]["deadline_ms"], records[1]["deadline_ms"].as_u64().context("a deadline")?);
    assert!(*first == 1_200 && (1..=600).contains(&second), "{first}, {second}");
    assert!(view.events.last().is_some_and(|event| event.at < Duration::from_secs(5)), "{view:?}");

    let world = timed("1s").start().await?;
    let view = world.chat(&agreed("m").header("x-tidegate-timeout-ms", "2400")).await?;
    assert_eq!((parts(&view)?.len(), view.code()), (1, "upstream_cut"), "no time is left for another attempt: {view:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_after_the_restart_cancels_the_new_stream_and_both_records_say_so() -> Result<()> {
    let world = routed("a: 'hel' cut; b: stall; c: 'one' stall", &["a", "b"]);
    let world = world.server("max_streams = 1").start().await?;
    let mut answer = world.gateway.send(&agreed("m")).await?;
    let mut view = View::of(&answer);
    while !view.events.last().is_some_and(|event| event.raw.starts_with("event: restart")) {
        view.events.push(answer.event().await?.context("a restart event")?);
    }
    world.journal("b", |entry| entry.peer_left_at.is_none()).await?;
    drop(answer);
    world.journal("b", |entry| entry.peer_left_at.is_some()).await?;
    let data: Value = serde_json::from_str(view.events.last().and_then(|event| event.data.as_deref()).context("data")?)?;
    let second = world.gateway.record(data["tidegate"]["restart"]["restarted_as"].as_str().context("an id")?).await?;
    assert_eq!((&second["status"], &second["code"]), (&"cancelled_before_output".into(), &"client_gone".into()), "{second}");
    assert_eq!(second["delivered"]["output_events"], 0, "{second}");
    let first = world.gateway.record(view.stream_id()).await?;
    assert_eq!((&first["status"], &first["delivered"]["output_events"]), (&"failed_after_output".into(), &1.into()), "{first}");
    assert_eq!((&first["restarted_as"], &second["restarted_from"]), (&second["id"], &first["id"]));
    // Both streams had one permit between them, and it is free again.
    eventually("a free permit", async || world.gateway.send(&Chat::new("c")).await.ok().filter(|answer| answer.status == 200)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_behind_gets_all_of_the_first_part_before_the_second() -> Result<()> {
    let world = routed("a: burst repeat 4000 ('abcdefgh ') cut; b: 'the end' end", &["a", "b"]).start().await?;
    let mut answer = Answer::to_reluctant(world.gateway.addr(), &agreed("m").bytes()).await?;
    let mut view = View::of(&answer);
    view.read_on(&mut answer, 10).await?;
    // Meanwhile the provider's cut comes in, and most of what it sent waits for the client.
    tokio::time::sleep(Duration::from_millis(300)).await;
    view.read_on(&mut answer, u64::MAX).await?;
    let parts = parts(&view)?;
    assert_eq!((parts.len(), view.done), (2, true), "{:?}", view.events.last());
    assert_eq!(parts[1].text, "the end");
    assert!(parts[0].outputs > 100, "{}", parts[0].outputs);
    records(&world, &view, &parts).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn official_sdks_read_on_through_a_restart() -> Result<()> {
    let world = routed("a: 'hel' cut; b: 300ms 'hello' end", &["a", "b"]).start().await?;
    for sdk in Sdk::ALL {
        let case = || Case::stream("m").set("headers", json!({"x-tidegate-restart": "allow"}));
        let with_usage = case().set("extra", json!({"stream_options": {"include_usage": true}}));
        let views = sdk.run(&world.gateway.base_url(), "none", &[case(), with_usage]).await?;
        for view in &views {
            assert!(view.completed() && view.text == "helhello", "{sdk:?}: {view:?}");
            assert_eq!(view.outcome["finish_reason"], "stop", "{sdk:?}: {view:?}");
        }
        assert!(views[1].outcome["usage"]["completion_tokens"].is_u64(), "{sdk:?}: {views:?}");
    }
    Ok(())
}

//! The guard of slow answers: a route below its rate is replaced while nobody has seen anything of it.

use std::time::Duration;

use anyhow::{Context, Result};
use tidegate_e2e::{Chat, World, WorldBuilder, agree, all};

use super::{NOTICE, attempts, text};

/// A model with these routes, whose answers have to come at twenty characters a second.
fn guarded(scenario: &str, routes: &[&str], more: &str) -> WorldBuilder {
    let routes: Vec<String> = routes.iter().map(|model| format!("{{ provider = \"mock\", model = \"{model}\" }}")).collect();
    let slow = "slow = { chars_per_second = 20, window = \"500ms\" }";
    World::of(scenario)
        .recovers("[retry]\nbackoff = \"10ms\"\njitter = \"1ms\"\n")
        .more(&format!("[models.m]\nroutes = [{}]\n{slow}\n{more}\n", routes.join(", ")))
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_that_answer_too_slowly_are_replaced_unseen() -> Result<()> {
    let scenario = "drip: repeat 8 ('a ' 200ms) end; drop: 'b ' stall; quick: 'quick' ' answer' end";
    let world = guarded(scenario, &["drip", "drop", "quick"], "").start().await?;
    let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
    assert!(view.completed() && view.text == "quick answer", "{view:?}");
    let replaced = ("mock", "failed", "next_target");
    assert_eq!(attempts(&record), [replaced, replaced, ("mock", "used", "deliver")], "{record}");
    for attempt in [&record["attempts"][0], &record["attempts"][1]] {
        assert_eq!(text(attempt, "code"), "idle_timeout", "{record}");
        assert!(text(attempt, "decision_reason").contains("slowly"), "{record}");
    }
    assert_eq!(record["selected_model"], "quick", "{record}");
    agree(&view, &record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_is_quick_enough_stays_and_loses_nothing() -> Result<()> {
    let scenario = "steady: repeat 40 ('abcd ' 30ms) end; brief: 'yes' end; flood: burst repeat 3000 ('abcd ') end; other: 'WRONG' end";
    for (model, words) in [("steady", 40), ("flood", 3_000)] {
        let world = guarded(scenario, &[model, "other"], "").start().await?;
        let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
        assert!(view.completed() && view.text == "abcd ".repeat(words), "{model}: {} {record}", view.text);
        assert_eq!(attempts(&record), [("mock", "used", "deliver")], "{record}");
        let shown = view.events.iter().find(|event| event.raw.contains("abcd")).context("output")?;
        assert!(shown.at < Duration::from_millis(450), "nobody waits for the window's end once it gave enough: {shown:?}");
        agree(&view, &record)?;
    }

    // An answer that is complete within the window is no slow one, however short.
    let world = guarded(scenario, &["brief", "other"], "").start().await?;
    let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
    assert!(view.completed() && view.text == "yes", "{view:?}");
    agree(&view, &record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_is_kept_where_nobody_else_would_give_one() -> Result<()> {
    let scenario = "drip: repeat 8 ('a ' 200ms) end; dead: status 500; quick: 'quick' end";
    let text = "a ".repeat(8);
    // The only route; the last route; only an empty cache behind it; only a model that the key may not use.
    let cases: &[(&[&str], &str)] = &[
        (&["drip"], ""),
        (&["dead", "drip"], ""),
        (&["drip"], "degrade = [{ cached = \"1h\" }]"),
        (&["drip"], "degrade = [{ static = \"sorry\" }]"),
        (&["drip"], "degrade = [{ model = \"quick\" }]\n[models.quick]"),
    ];
    all(cases.iter().map(async |(routes, more)| {
        let (world, _) = guarded(scenario, routes, more).start_with_key().await?;
        let key = world.make_key(&["--models", "m"]).await?;
        let view = world.chat(&Chat::new("m").key(&key)).await?;
        let record = world.gateway.record_with_key(view.stream_id(), Some(&key)).await?;
        assert!(view.completed() && view.text == text, "{routes:?} {more}: {view:?} {record}");
        agree(&view, &record)
    }))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_is_kept_while_the_other_routes_rest() -> Result<()> {
    let scenario = "drip: repeat 8 ('a ' 200ms) end; dead: status 500";
    let recovers = "[retry]\nattempts = 2\nbackoff = \"10ms\"\njitter = \"1ms\"\n[breaker]\nfailures = 1\n";
    let world = guarded(scenario, &["drip", "dead"], "").recovers(recovers).start().await?;
    assert_eq!(world.chat(&Chat::new("dead")).await?.code(), "upstream_error");
    let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
    assert!(view.completed() && view.text == "a ".repeat(8), "{view:?} {record}");
    agree(&view, &record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_goes_before_an_answer_whose_rate_was_measured() -> Result<()> {
    let scenario = "dead: status 500; steady: repeat 8 ('abcdefgh ' 100ms) end; drip: 'a' 600ms 'b' end; spare: status 500";
    for fast in ["steady", "drip"] {
        let chain = format!("degrade = [{{ model = \"{fast}\" }}, {{ model = \"spare\" }}]\n[models.{fast}]\n[models.spare]");
        let (world, _) = guarded(scenario, &["dead"], &chain).start_with_key().await?;
        // The last model is in the plan, so that the rate is measured, and may not be asked, so that even a slow answer is kept.
        let key = world.make_key(&["--models", &format!("m,{fast}")]).await?;
        let view = world.chat(&Chat::new("m").key(&key)).await?;
        assert!(view.completed(), "{view:?}");
        assert!(view.events[0].raw.contains(NOTICE) && view.comments == 1, "{fast}: {view:?}");
    }
    Ok(())
}

//! How long a repetition is waited for, and what ends the wait.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tidegate_e2e::{Chat, QUICK, World, chain};
use tidegate_scenario::JournalEntry;

/// The pauses between the requests for `model`.
fn pauses(world: &World, model: &str) -> Vec<Duration> {
    world.requests(model).windows(2).map(|pair| pair[1].received_at - pair[0].received_at).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_settings_a_repetition_waits_a_second_and_then_two_and_up_to_a_second_more() -> Result<()> {
    let world = World::of("p: status 500 | status 500 | 'saved' end").recovers("").start().await?;
    let (view, record) = world.chat_and_record(&Chat::new("p")).await?;
    assert_eq!(chain(&record, ""), "p:upstream_error>retry_same p:upstream_error>retry_same p", "{view:?}");
    let pauses: Vec<f64> = pauses(&world, "p").iter().map(Duration::as_secs_f64).collect();
    assert!((1.0..2.8).contains(&pauses[0]) && (2.0..3.8).contains(&pauses[1]), "{pauses:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_is_not_worth_waiting_for_is_left_to_the_next_route_or_to_the_client() -> Result<()> {
    let scenario = "p: status 429 retry-after 30s; q: status 429 retry-after 30s; s: 'spare' end";
    let world = World::of(scenario).recovers(QUICK).routes("spared", &["p", "s"]).start().await?;
    let began = Instant::now();
    let (view, record) = world.chat_and_record(&Chat::new("spared")).await?;
    assert_eq!((chain(&record, "").as_str(), view.text.as_str()), ("p:upstream_rate_limited>next_target s", "spare"), "{view:?}");
    let limited = Chat::new("q").header("x-tidegate-timeout-ms", "20000");
    let (view, record) = world.chat_and_record(&limited).await?;
    assert_eq!((chain(&record, "").as_str(), view.status), ("q:upstream_rate_limited>fail", 429), "{view:?}");
    let wait: u64 = view.header("retry-after").context("a pause")?.parse()?;
    assert!((29..=30).contains(&wait) && view.header("x-should-retry").is_none(), "{view:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_deadline_bounds_all_attempts_and_each_provider_is_told_what_is_left() -> Result<()> {
    let world =
        World::of("p: 600ms status 503").recovers(&format!("{QUICK}[deadline]\nleast = \"100ms\"\noverhead = \"200ms\"\n")).start().await?;
    let began = Instant::now();
    let (view, record) = world.chat_and_record(&Chat::whole("p").header("x-tidegate-timeout-ms", "2000")).await?;
    let took = began.elapsed();
    let repeated = "p:upstream_error>retry_same";
    assert_eq!(chain(&record, ""), format!("{repeated} {repeated} p:deadline_exceeded>fail"), "{view:?}");
    assert_eq!((view.status, view.code()), (504, "deadline_exceeded"), "{view:?}");
    assert!((1_800..2_000).contains(&took.as_millis()) && record["deadline_ms"] == 1_800, "{took:?}: {record}");
    let told = |entry: &JournalEntry| entry.headers.iter().find(|(name, _)| name == "x-tidegate-timeout-ms")?.1.parse::<u64>().ok();
    let left: Vec<u64> = world.requests("p").iter().filter_map(told).collect();
    assert!(left.len() == 3 && (1_500..=1_800).contains(&left[0]) && left.is_sorted_by(|a, b| *a >= b + 600), "{left:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_while_a_repetition_is_waited_for_ends_it() -> Result<()> {
    let patient = QUICK.replace("20ms", "1500ms");
    let world = World::of("p: status 503").recovers(&patient).server("head_after = \"50ms\"\n").start().await?;
    let answer = world.gateway.send(&Chat::new("p")).await?;
    let id = answer.header("x-tidegate-stream-id").context("an id")?.to_owned();
    answer.reset()?;
    let record = world.gateway.record(&id).await?;
    assert_eq!(
        (&record["status"], chain(&record, "").as_str()),
        (&json!("cancelled_before_output"), "p:upstream_error>retry_same"),
        "{record}"
    );
    // What must not happen has to be waited for.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.requests("p").len(), 1);
    Ok(())
}

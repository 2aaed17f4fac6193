//! What a stream used and cost, and with which of the provider's keys.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tidegate_e2e::world::PROVIDER_KEY;
use tidegate_e2e::{Chat, World, eventually};

/// USD per million tokens, easy to tell apart.
const PRICES: &str = "[prices.\"*\"]\ninput = 1.0\noutput = 1000.0\n";

fn tokens(usage: &Value, kind: &str) -> u64 {
    usage[kind].as_u64().expect("the tokens are known")
}

/// What `usage` costs at [`PRICES`].
fn cost(usage: &Value) -> f64 {
    let float = |tokens: u64| f64::from(u32::try_from(tokens).expect("few tokens"));
    (float(tokens(usage, "input_tokens")) + 1000.0 * float(tokens(usage, "output_tokens"))) / 1e6
}

fn assert_costs(told: &Value, expected: f64, record: &Value) {
    let told = told.as_f64().expect("the cost is known");
    assert!((told - expected).abs() < 1e-9, "{told} instead of {expected} in {record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_own_count_is_priced() -> Result<()> {
    let world = World::of("m: words 20 end").more(PRICES).start().await?;
    for chat in [Chat::new("m"), Chat::whole("m")] {
        let (_, record) = world.chat_and_record(&chat).await?;
        let usage = &record["usage"];
        assert_eq!((&usage["source"], &usage["output_tokens"]), (&json!("provider"), &json!(20)), "{record}");
        assert_costs(&record["cost_usd"], cost(usage), &record);
        assert_eq!(record["attempts"][0]["cost_usd"], record["cost_usd"]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_counted_is_estimated_and_marked() -> Result<()> {
    let scenario = "cut: words 40 cut; quiet: words 40 finish done eof; head: role cut; endless: words 100 every 20ms stall";
    let world = World::of(scenario).more(PRICES).start().await?;
    for (model, most) in [("cut", 60), ("quiet", 60), ("head", 0)] {
        let (_, record) = world.chat_and_record(&Chat::new(model)).await?;
        let usage = &record["usage"];
        assert_eq!(usage["source"], "estimated", "{record}");
        assert!((3..30).contains(&tokens(usage, "input_tokens")), "{record}");
        let output = tokens(usage, "output_tokens");
        assert!(output <= most && (output >= 30 || most == 0), "{output} tokens of forty words: {record}");
        assert_costs(&record["cost_usd"], cost(usage), &record);
    }
    // A client that leaves has cost what it was shown, and what was asked.
    let mut answer = world.gateway.send(&Chat::new("endless")).await?;
    let mut view = tidegate_e2e::View::of(&answer);
    view.read_on(&mut answer, 20).await?;
    let id = view.stream_id().to_owned();
    drop(answer);
    let record = world.gateway.record(&id).await?;
    assert_eq!((&record["status"], &record["usage"]["source"]), (&json!("cancelled_after_output"), &json!("estimated")), "{record}");
    assert!(tokens(&record["usage"], "output_tokens") >= 20, "{record}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_that_was_answered_is_paid_for_and_a_refused_one_is_not() -> Result<()> {
    let routes =
        "[models.x]\nroutes = [{ provider = \"mock\", model = \"a\" }, { provider = \"mock\", model = \"b\" }]\ndelivery = \"coherent\"\n";
    let retries = "[retry]\nbackoff = \"10ms\"\njitter = \"1ms\"\n";
    let scenario = "a: status 503 | words 30 cut; b: words 10 end";
    let world = World::of(scenario).recovers(retries).more(PRICES).more(routes).start().await?;
    let (view, record) = world.chat_and_record(&Chat::new("x")).await?;
    assert!(view.completed(), "{view:?}");
    let attempts = record["attempts"].as_array().context("attempts")?;
    let sources: Vec<&Value> = attempts.iter().map(|attempt| &attempt["usage"]["source"]).collect();
    assert_eq!(sources, ["unknown", "estimated", "provider"], "{record}");
    assert_eq!(attempts[0]["cost_usd"], Value::Null, "{record}");
    let sum = cost(&attempts[1]["usage"]) + cost(&attempts[2]["usage"]);
    assert_costs(&record["cost_usd"], sum, &record);
    assert_eq!((&record["usage"]["output_tokens"], &record["usage"]["source"]), (&json!(10), &json!("provider")), "{record}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_price_the_cost_is_not_known() -> Result<()> {
    let world = World::start("m: words 5 end").await?;
    let (_, record) = world.chat_and_record(&Chat::new("m")).await?;
    assert_eq!((&record["cost_usd"], &record["usage"]["source"]), (&Value::Null, &json!("provider")), "{record}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_take_turns_and_a_refused_one_is_told_and_left_out() -> Result<()> {
    const REFUSED: &str = "sk-refused-0123456789abcdef";
    let world = World::of("m: 'hello' end").recovers("").provider_keys(&[PROVIDER_KEY, REFUSED]).start().await?;
    let mut codes = Vec::new();
    for _ in 0..6 {
        codes.push(world.chat(&Chat::new("m")).await?.code().to_owned());
    }
    assert_eq!(codes, ["", "upstream_credentials", "", "", "", ""], "it is never tried with another key, and its own is tried once");
    let told = |text: &str| world.gateway.printed().matches(text).count();
    eventually("the operator is told", async || (told("refuses the gateway's key") == 1).then_some(())).await?;
    assert_eq!(told(REFUSED) + told(PROVIDER_KEY), 0);
    assert!((world.gateway.metric("tidegate_provider_keys{provider=\"mock\",state=\"resting\"}").await? - 1.0).abs() < 0.5);
    assert!((world.gateway.metric("tidegate_provider_keys{provider=\"mock\",state=\"serving\"}").await? - 1.0).abs() < 0.5);
    let ready = world.gateway.text("/readyz").await?;
    assert!(ready.contains("\"targets\":[]"), "one refused key of two opens no breaker: {ready}");
    Ok(())
}

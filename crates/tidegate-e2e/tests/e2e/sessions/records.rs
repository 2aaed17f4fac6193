//! One record for each task, which says what its client saw.

use anyhow::{Context, Result};
use serde_json::json;
use tidegate_e2e::{Backend, Message, Prompt};

use super::world;

on_every_backend!(each_task_has_one_record_with_its_session_usage_and_cost, an_estimate_stands_where_nobody_told_the_usage);

const PRICES: &str = "[prices.\"*\"]\ninput = 1.0\noutput = 1000.0\n";

async fn each_task_has_one_record_with_its_session_usage_and_cost(backend: Backend) -> Result<()> {
    let world = world(backend, "m: words 20 end; cut: words 3 cut; stop: 'one' stall").more(PRICES).start().await?;
    let mut clients = [world.session().await?, world.session().await?];
    for client in &mut clients {
        for model in ["m", "cut", "m"] {
            let task = client.ask(&Prompt::to(model)).await?;
            client.end(&task).await?;
        }
        let stopped = client.ask(&Prompt::to("stop")).await?;
        client.tokens(&stopped, 1).await?;
        client.cancel(&stopped).await?;
        client.end(&stopped).await?;
    }
    for client in &clients {
        for task in client.log().tasks() {
            let record = world.record_of_task(task).await?;
            client.log().agree(task, &record)?;
            assert_eq!((&record["delivery"], record["attempts"].as_array().map(Vec::len)), (&json!("stream"), Some(1)), "{record}");
            assert!(record["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{record}");
            if let Some(Message::Complete { usage, .. }) = client.log().end(task) {
                assert_eq!((&usage["output_tokens"], &record["usage"]["source"]), (&json!(20), &json!("provider")), "{record}");
                let input = usage["input_tokens"].as_u64().context("input tokens")?;
                let cost = f64::from(u32::try_from(input)?) / 1e6 + 20.0 * 1000.0 / 1e6;
                assert!(record["cost_usd"].as_f64().is_some_and(|told| (told - cost).abs() < 1e-9), "{cost} in {record}");
            }
        }
    }
    assert_eq!(world.records().await?.len(), 8, "one for each task");
    Ok(())
}

async fn an_estimate_stands_where_nobody_told_the_usage(backend: Backend) -> Result<()> {
    let world = world(backend, "m: words 40 finish done eof").more(PRICES).start().await?;
    let mut client = world.session().await?;
    let task = client.complete(&Prompt::to("m")).await?.0;
    let record = world.record_of_task(&task).await?;
    assert_eq!(record["usage"]["source"], "estimated", "{record}");
    assert!(record["usage"]["output_tokens"].as_u64().is_some_and(|tokens| (30..60).contains(&tokens)), "{record}");
    client.log().agree(&task, &record)
}

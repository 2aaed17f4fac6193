//! The ways to hand over an answer: as it comes, only when it is proved whole, or as one body.

use std::time::Duration;

use anyhow::{Context, Result};
use tidegate_e2e::{Chat, World, agree};

const HALF_AN_ANSWER: &str = "good: words 10 every 50ms end; bad: 'hel' 100ms cut";

fn coherent(model: &str) -> Chat {
    Chat::new(model).header("x-tidegate-delivery", "coherent")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coherent_answer_comes_at_once_and_only_when_it_is_whole() -> Result<()> {
    let world = World::start(HALF_AN_ANSWER).await?;
    let (view, record) = world.chat_and_record(&coherent("good")).await?;
    assert!(view.completed() && view.output_events == 10, "{view:?}");
    let times: Vec<Duration> = view.events.iter().map(|event| event.at).collect();
    let (first, last) = (times[0], times[times.len() - 1]);
    assert!(first >= Duration::from_millis(400), "text came at {first:?}, before the answer was whole");
    assert!(last - first < Duration::from_millis(200), "{times:?}");
    assert_eq!(record["delivery"], "coherent");
    agree(&view, &record)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_coherent_answer_that_dies_nobody_sees_a_word() -> Result<()> {
    let world = World::start(HALF_AN_ANSWER).await?;
    let (view, record) = world.chat_and_record(&coherent("bad")).await?;
    assert_eq!((view.status, view.code(), view.text.as_str()), (502, "upstream_cut", ""), "{view:?}");
    assert_eq!(record["status"], "failed_before_output");
    agree(&view, &record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coherent_answer_is_kept_alive_and_then_fails_in_band() -> Result<()> {
    let world = World::of("m: 'hel' 1s cut").server("head_after = \"100ms\"\nkeepalive = \"200ms\"").start().await?;
    let (view, record) = world.chat_and_record(&coherent("m")).await?;
    assert!(view.comments >= 2 && view.text.is_empty() && !view.done, "{view:?}");
    assert_eq!((view.status, view.code(), view.partial()), (200, "upstream_cut", Some(false)), "{view:?}");
    agree(&view, &record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_is_put_together_from_the_providers_stream() -> Result<()> {
    let scenario = r#"m: role 'hel' 'lo'
        chunk '"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]'
        chunk '"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":null}]'
        finish 'tool_calls' usage done eof"#;
    let world = World::start(scenario).await?;
    for chat in [Chat::whole("m"), Chat::new("m").header("x-tidegate-delivery", "buffered")] {
        let (view, record) = world.chat_and_record(&chat).await?;
        let body = view.body.clone().context("a body")?;
        assert_eq!((view.status, view.text.as_str(), view.finish_reason.as_deref()), (200, "hello", Some("tool_calls")), "{body}");
        assert_eq!(body["object"], "chat.completion", "{body}");
        assert_eq!(body["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "f", "{body}");
        assert_eq!(body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{}", "{body}");
        assert!(body["usage"]["total_tokens"].is_u64(), "{body}");
        assert_eq!(record["delivery"], "buffered");
        agree(&view, &record)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_may_take_longer_than_a_provider_may_be_silent() -> Result<()> {
    let limits = "timeouts = { first_byte = \"1s\", idle = \"1s\", total = \"20s\" }";
    let world = World::of("m: words 30 every 100ms end").model(limits).start().await?;
    for chat in [Chat::new("m").header("x-tidegate-delivery", "buffered"), Chat::whole("m")] {
        let (view, record) = world.chat_and_record(&chat).await?;
        assert!(view.completed(), "three seconds of words are no silence: {view:?}");
        agree(&view, &record)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_waits_out_the_head_time_without_an_early_200() -> Result<()> {
    let world = World::of("m: 'hel' 600ms cut").server("head_after = \"100ms\"").start().await?;
    let (view, record) = world.chat_and_record(&Chat::whole("m")).await?;
    assert_eq!((view.status, view.code()), (502, "upstream_cut"), "{view:?}");
    agree(&view, &record)
}

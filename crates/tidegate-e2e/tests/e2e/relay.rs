//! A healthy stream: what the provider said is what the client reads, event by event.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tidegate_e2e::raw::Event;
use tidegate_e2e::world::PROVIDER_KEY;
use tidegate_e2e::{Answer, Chat, World, agree};

/// Everything that a chat stream may carry, several choices included.
const RICH: &str = r#"m: role 'hel' reasoning 'hmm' refusal 'no'
    chunk '"choices":[{"index":1,"delta":{"role":"assistant","content":"other"},"logprobs":{"content":[{"token":"o","logprob":-0.1,"bytes":[111],"top_logprobs":[]}]},"finish_reason":null}]'
    chunk '"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]'
    chunk '"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"a\\":\\"\\u00e9 \\ud83d\\ude00\\"}"}}]},"finish_reason":null}],"x_unknown":{"kept":1.50}'
    data '{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[ ],"spaced" : true}'
    chunk '"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]'
    finish 'tool_calls' usage done eof"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_event_reaches_the_client_byte_for_byte() -> Result<()> {
    let world = World::start(RICH).await?;
    let chat = Chat::new("m").with("stream_options", json!({"include_usage": true}));
    let direct = events(Answer::to(world.mock.addr(), &chat.clone().key(PROVIDER_KEY).bytes()).await?).await?;
    let relayed = events(world.gateway.send(&chat).await?).await?;
    assert!(direct.len() > 8, "the script has many events: {direct:?}");
    assert_eq!(relayed, direct);
    Ok(())
}

/// Data of all events, without the two members that the mock makes up for each request.
async fn events(mut answer: Answer) -> Result<Vec<String>> {
    let mut events = Vec::new();
    while let Some(Event { data: Some(data), .. }) = answer.event().await? {
        events.push(without_member(&without_member(&data, "\"id\":\"chatcmpl"), "\"created\":"));
    }
    Ok(events)
}

fn without_member(data: &str, start: &str) -> String {
    let Some(at) = data.find(start) else { return data.to_owned() };
    let length = data[at..].find(',').unwrap_or(0);
    format!("{}{}", &data[..at], &data[at + length..])
}

#[tokio::test(flavor = "multi_thread")]
async fn any_grouping_of_bytes_gives_the_same_answer() -> Result<()> {
    let scenario = "one: words 60 end; bytes: bytes 1 words 60 end; sevens: bytes 7 words 60 end; burst: burst words 60 end; \
                    crlf: lines crlf words 60 end; threes: burst 3 words 60 end";
    let world = World::start(scenario).await?;
    let mut texts = Vec::new();
    for model in ["one", "bytes", "sevens", "burst", "crlf", "threes"] {
        let (view, record) = world.chat_and_record(&Chat::new(model)).await.context(model)?;
        assert!(view.completed() && view.output_events == 60, "{model}: {view:?}");
        agree(&view, &record).context(model)?;
        texts.push(view.text);
    }
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_word_arrives_when_it_was_said() -> Result<()> {
    let world = World::start("m: words 20 every 50ms end").await?;
    let view = world.chat(&Chat::new("m")).await?;
    let times: Vec<Duration> = view.events.iter().filter(|event| event.raw.contains("\"content\":\"")).map(|event| event.at).collect();
    let spread = times[times.len() - 1] - times[0];
    assert!(spread > Duration::from_millis(800), "19 gaps of 50 ms became {spread:?}: something gathers events");
    let bunched = times.windows(2).filter(|pair| pair[1] - pair[0] < Duration::from_millis(10)).count();
    assert!(bunched <= 4, "{bunched} of 19 events came together with the one before: {times:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_says_what_proxies_and_clients_need_to_know() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let view = world.chat(&Chat::new("m").header("x-request-id", "app-17")).await?;
    assert!(view.header("content-type").is_some_and(|value| value.starts_with("text/event-stream")), "{view:?}");
    let cache = view.header("cache-control").context("cache-control")?;
    assert!(cache.contains("no-cache") && cache.contains("no-transform"), "{cache}");
    assert_eq!(view.header("x-accel-buffering"), Some("no"));
    assert_eq!(view.header("x-request-id"), Some("app-17"));
    assert_eq!((view.header("x-tidegate-provider"), view.header("x-tidegate-attempts")), (Some("mock"), Some("1")));
    assert!(view.stream_id().starts_with("strm_"), "{view:?}");
    assert_eq!(view.header("content-length"), None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_reaches_the_provider_as_it_was_but_for_the_usage_and_the_credentials() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let chat = Chat::new("m")
        .with("temperature", 0.25)
        .with("x_vendor", json!({"deep": [1, null, "é"]}))
        .header("authorization", "Bearer client-secret")
        .header("cookie", "session=1")
        .header("x-tidegate-delivery", "stream");
    let view = world.chat(&chat).await?;
    assert!(view.completed() && view.usage.is_none(), "a client that did not ask for usage gets none: {view:?}");

    let entry = world.journal("m", |entry| entry.finished).await?;
    let mut body: Value = serde_json::from_slice(&entry.body)?;
    assert_eq!(body["stream_options"].take(), json!({"include_usage": true}));
    assert_eq!((&body["temperature"], &body["x_vendor"]), (&json!(0.25), &json!({"deep": [1, null, "é"]})));
    let header = |name: &str| entry.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(header("authorization"), Some(format!("Bearer {PROVIDER_KEY}").as_str()));
    assert_eq!((header("cookie"), header("x-tidegate-delivery")), (None, None));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proved_end_without_its_marker_is_completed_and_gets_one() -> Result<()> {
    let world = World::start("eof: 'hello' finish eof; cut: 'hello' finish cut; lingers: 'hello' finish done stall").await?;
    for model in ["eof", "cut", "lingers"] {
        let (view, record) = world.chat_and_record(&Chat::new(model)).await.context(model)?;
        assert!(view.completed() && view.text == "hello", "{model}: {view:?}");
        agree(&view, &record).context(model)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_recorded_though_the_client_did_not_ask_for_it() -> Result<()> {
    let world = World::start("m: words 5 end").await?;
    let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
    assert!(view.usage.is_none(), "{view:?}");
    assert_eq!(record["usage"]["source"], "provider", "{record}");
    assert!(record["usage"]["output_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{record}");

    let asked = world.chat(&Chat::new("m").with("stream_options", json!({"include_usage": true}))).await?;
    assert!(asked.usage.is_some_and(|usage| usage["completion_tokens"].is_u64()));
    Ok(())
}

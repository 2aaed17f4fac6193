//! A provider that fails before it showed anything: the client gets an error with its own code, never a 200 without an answer.

use std::time::Duration;

use anyhow::{Context, Result};
use tidegate_e2e::{Chat, TransportEnd, World, agree};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// What the provider does, the HTTP status and the code that the client reads.
const FAULTS: &[(&str, &str, u16, &str)] = &[
    ("refused", "refuse", 502, "connect_failed"),
    ("silent", "stall", 504, "first_byte_timeout"),
    ("silent-after-head", "head stall", 504, "first_byte_timeout"),
    ("comments-only", "repeat 200 (comment 20ms) stall", 504, "first_byte_timeout"),
    ("cut-after-head", "head cut", 502, "upstream_cut"),
    ("cut-after-role", "role cut", 502, "upstream_cut"),
    ("empty", "head eof", 502, "upstream_cut"),
    ("unproved", "role eof", 502, "upstream_cut"),
    ("half", "half", 502, "upstream_cut"),
    ("malformed", "malformed", 502, "upstream_malformed"),
    ("html", "answer 200 'text/html' '<html>hello</html>'", 502, "upstream_malformed"),
    ("error-event", "error 'out of memory'", 502, "upstream_error"),
    ("error-after-role", "role error 'out of memory'", 502, "upstream_error"),
    ("status-500", "status 500", 502, "upstream_error"),
    ("status-503", "status 503", 502, "upstream_error"),
    ("status-529", "status 529", 502, "upstream_error"),
    ("status-429", "status 429 retry-after 7s", 429, "upstream_rate_limited"),
    ("status-401", "status 401", 502, "upstream_credentials"),
    ("status-403", "status 403", 502, "upstream_credentials"),
    ("status-400", "status 400 message 'temperature is too hot'", 400, "upstream_rejected"),
    ("status-404", "status 404", 404, "upstream_rejected"),
    ("status-422", "status 422", 422, "upstream_rejected"),
];

/// Short limits, so that silence is a failure soon; long enough that a busy machine does not make one.
const SOON: &str = "timeouts = { first_byte = \"1s\", idle = \"1s\", total = \"20s\" }";

pub(crate) fn scenario(faults: &[(&str, &str, u16, &str)], before: &str) -> String {
    faults.iter().map(|(model, script, ..)| format!("{model}: {before} {script}")).collect::<Vec<_>>().join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_an_http_error_with_its_own_code_and_the_record_agrees() -> Result<()> {
    for delivery in ["stream", "buffered"] {
        // A world for each: a provider that limits requests is left alone for a while.
        let world = World::of(&scenario(FAULTS, "")).model(SOON).start().await?;
        for (model, _, status, code) in FAULTS {
            let chat = Chat::new(model).header("x-tidegate-delivery", delivery);
            let (view, record) = world.chat_and_record(&chat).await.context(*model)?;
            assert_eq!((view.status, view.code()), (*status, *code), "{model}: {view:?}");
            assert_eq!((view.end, view.partial()), (Some(TransportEnd::Complete), Some(false)), "{model}: {view:?}");
            assert_eq!(view.header("content-type"), Some("application/json"), "{model}");
            assert_eq!(record["attempts"].as_array().map(Vec::len), Some(1), "{model}: {record}");
            assert_eq!(record["attempts"][0]["code"], *code, "{model}: {record}");
            agree(&view, &record).context(*model)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_head_each_fault_is_an_error_event_without_an_end_marker() -> Result<()> {
    // Refused connections and HTTP errors come after the wait too: the mock waits before it answers at all.
    let world = World::of(&scenario(FAULTS, "400ms")).server("head_after = \"100ms\"").model(SOON).start().await?;
    for (model, _, _, code) in FAULTS {
        let (view, record) = world.chat_and_record(&Chat::new(model)).await.context(*model)?;
        assert_eq!((view.status, view.code(), view.partial()), (200, *code, Some(false)), "{model}: {view:?}");
        assert!(!view.done && view.output_events == 0, "{model}: {view:?}");
        assert_eq!(record["status"], "failed_before_output", "{model}");
        agree(&view, &record).context(*model)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_says_whether_and_when_to_come_again() -> Result<()> {
    let world = World::of(&scenario(FAULTS, "")).model(SOON).start().await?;
    let limited = world.chat(&Chat::new("status-429")).await?;
    assert_eq!(limited.header("retry-after"), Some("7"));
    let error = limited.error.clone().context("an error")?;
    assert_eq!(error["tidegate"]["retryable"], true);
    assert!(error["tidegate"]["retry_after_ms"].as_u64().is_some_and(|wait| (6000..=7000).contains(&wait)), "{error}");
    assert_eq!(error["tidegate"]["stream_id"], limited.stream_id());

    let useless = world.chat(&Chat::new("status-401")).await?;
    assert_eq!(useless.header("x-should-retry"), Some("false"), "{useless:?}");
    assert!(!useless.error.context("an error")?.to_string().contains("401"), "the operator's trouble is not the client's to read");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_carries_the_providers_own_reason() -> Result<()> {
    let world = World::start("m: status 400 code 'unsupported_value' message 'temperature is too hot'").await?;
    let view = world.chat(&Chat::new("m")).await?;
    assert!(view.error.context("an error")?["message"].as_str().is_some_and(|text| text.contains("temperature is too hot")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_or_does_not_answer_the_connection_is_told_apart() -> Result<()> {
    let gone = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    // A full accept queue drops every further SYN: the connection neither comes nor fails.
    let deaf = TcpSocket::new_v4()?;
    deaf.bind("127.0.0.1:0".parse()?)?;
    let deaf = deaf.listen(1)?;
    let deaf_addr = deaf.local_addr()?;
    let mut queue = Vec::new();
    while let Ok(Ok(socket)) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(deaf_addr)).await {
        queue.push(socket);
    }
    let more = format!(
        "[providers.gone]\nkind = \"openai\"\nbase_url = \"http://{gone}/v1\"\n\
         [providers.deaf]\nkind = \"openai\"\nbase_url = \"http://{deaf_addr}/v1\"\n\
         [models.gone]\nroutes = [{{ provider = \"gone\" }}]\n\
         [models.deaf]\nroutes = [{{ provider = \"deaf\" }}]\ntimeouts = {{ connect = \"300ms\" }}\n"
    );
    let world = World::of("").more(&more).start().await?;
    for (model, status, code) in [("gone", 502, "connect_failed"), ("deaf", 504, "connect_timeout")] {
        let (view, record) = world.chat_and_record(&Chat::new(model)).await?;
        assert_eq!((view.status, view.code()), (status, code), "{view:?}");
        agree(&view, &record)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_connections_in_use_for_the_whole_pool_wait_is_an_overload() -> Result<()> {
    let world = World::of("m: 'one' stall").provider("max_connections = 1\npool_wait = \"300ms\"").start().await?;
    let mut first = world.gateway.send(&Chat::new("m")).await?;
    first.event().await?;
    let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
    assert_eq!((view.status, view.code()), (503, "gateway_overloaded"), "{view:?}");
    agree(&view, &record)
}

//! What an application with an official SDK lives through: the whole answer, or an exception. Never a silent short answer.

use anyhow::Result;
use serde_json::json;
use tidegate_e2e::{Case, Sdk, SdkView, World};

const SOON: &str = "timeouts = { first_byte = \"1s\", idle = \"1s\", total = \"20s\" }";

/// What the provider does before any output, the status and the code that the SDK's exception carries.
const BEFORE: &[(&str, &str, u16, &str)] = &[
    ("refused", "refuse", 502, "connect_failed"),
    ("silent", "stall", 504, "first_byte_timeout"),
    ("cut-after-role", "role cut", 502, "upstream_cut"),
    ("unproved", "role eof", 502, "upstream_cut"),
    ("malformed", "malformed", 502, "upstream_malformed"),
    ("html", "answer 200 'text/html' '<html>hello</html>'", 502, "upstream_malformed"),
    ("error-event", "error 'out of memory'", 502, "upstream_error"),
    ("status-500", "status 500", 502, "upstream_error"),
    ("status-429", "status 429 retry-after 1s", 429, "upstream_rate_limited"),
    ("status-401", "status 401", 502, "upstream_credentials"),
    ("status-400", "status 400", 400, "upstream_rejected"),
];

/// What it does after `'hel'`, and the code.
const AFTER: &[(&str, &str, &str)] = &[
    ("after-cut", "cut", "upstream_cut"),
    ("after-eof", "eof", "upstream_cut"),
    ("after-half", "half", "upstream_cut"),
    ("after-stall", "stall", "idle_timeout"),
    ("after-malformed", "malformed 'lo' end", "upstream_malformed"),
    ("after-error", "error 'out of memory'", "upstream_error"),
    ("after-error-done", "error 'out of memory' done eof", "upstream_error"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_arrives_exactly_streamed_or_not() -> Result<()> {
    let scenario = r#"plain: 'hel' 'lo' ' wörld 🌊' end; slow: 700ms 'hello' 700ms ' again' end; long: words 2000 end;
        tool: role chunk '"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":null}]' finish 'tool_calls' usage done eof"#;
    let world = World::of(scenario).server("head_after = \"100ms\"\nkeepalive = \"200ms\"").start().await?;
    let mut long = Vec::new();
    for sdk in Sdk::ALL {
        let cases = [
            Case::stream("plain"),
            Case::whole("plain"),
            Case::stream("slow"),
            Case::whole("slow"),
            Case::stream("long"),
            Case::stream("tool"),
            Case::stream("plain").set("extra", json!({"stream_options": {"include_usage": true}})),
            Case::stream("plain").set("headers", json!({"x-tidegate-delivery": "coherent"})),
        ];
        let views = sdk.run(&world.gateway.base_url(), "none", &cases).await?;
        assert!(views.iter().all(SdkView::completed), "{sdk:?}: {views:?}");
        let texts: Vec<&str> = views.iter().map(|view| view.text.as_str()).collect();
        assert_eq!(texts[..4], ["hello wörld 🌊", "hello wörld 🌊", "hello again", "hello again"], "{sdk:?}");
        assert_eq!(texts[6..], ["hello wörld 🌊", "hello wörld 🌊"], "{sdk:?}");
        assert_eq!(views[5].outcome["tools"][0]["function"]["name"], "f", "{sdk:?}: {views:?}");
        assert_eq!((&views[0].outcome["finish_reason"], &views[5].outcome["finish_reason"]), (&"stop".into(), &"tool_calls".into()));
        assert!(views[0].outcome["usage"].is_null() && views[6].outcome["usage"]["completion_tokens"].is_u64(), "{sdk:?}: {views:?}");
        assert_eq!(views[4].deltas.len(), 2000, "{sdk:?}");
        long.push(views[4].text.clone());
    }
    assert_eq!(long[0], long[1]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn words_reach_the_application_one_by_one() -> Result<()> {
    let world = World::start("m: words 20 every 50ms end").await?;
    for sdk in Sdk::ALL {
        let views = sdk.run(&world.gateway.base_url(), "none", &[Case::stream("m")]).await?;
        let deltas = &views[0].deltas;
        let spread = deltas[deltas.len() - 1].1 - deltas[0].1;
        assert!(spread > 800.0, "{sdk:?}: a second of words came within {spread} ms");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_before_output_is_an_exception_with_its_status() -> Result<()> {
    let scenario: Vec<String> = BEFORE.iter().map(|(model, script, ..)| format!("{model}: {script}")).collect();
    let world = World::of(&scenario.join("; ")).model(SOON).start().await?;
    for sdk in Sdk::ALL {
        let cases: Vec<Case> = BEFORE.iter().flat_map(|(model, ..)| [Case::stream(model), Case::whole(model)]).collect();
        let views = sdk.run(&world.gateway.base_url(), "none", &cases).await?;
        for ((model, _, status, code), views) in BEFORE.iter().zip(views.chunks(2)) {
            // A whole answer has no first byte before its last: only the total bounds it.
            let of_whole = if *code == "first_byte_timeout" { "deadline_exceeded" } else { code };
            for (view, code) in views.iter().zip([code, of_whole]) {
                assert!(view.raised() && view.text.is_empty(), "{sdk:?} {model}: {view:?}");
                assert_eq!((&view.outcome["status"], &view.outcome["code"]), (&json!(status), &json!(code)), "{sdk:?} {model}: {view:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_the_head_is_an_exception_too() -> Result<()> {
    let scenario: Vec<String> = BEFORE.iter().map(|(model, script, ..)| format!("{model}: 400ms {script}")).collect();
    let world = World::of(&scenario.join("; ")).server("head_after = \"100ms\"\nkeepalive = \"100ms\"").model(SOON).start().await?;
    for sdk in Sdk::ALL {
        let cases: Vec<Case> = BEFORE.iter().map(|(model, ..)| Case::stream(model)).collect();
        let views = sdk.run(&world.gateway.base_url(), "none", &cases).await?;
        for ((model, _, _, code), view) in BEFORE.iter().zip(views) {
            assert!(view.raised() && view.text.is_empty(), "{sdk:?} {model}: {view:?}");
            assert_eq!(view.outcome["code"], *code, "{sdk:?} {model}: {view:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_output_is_an_exception_and_never_a_short_answer() -> Result<()> {
    let scenario: Vec<String> = AFTER.iter().map(|(model, script, _)| format!("{model}: 'hel' {script}")).collect();
    let world = World::of(&scenario.join("; ")).model(SOON).start().await?;
    for sdk in Sdk::ALL {
        let cases: Vec<Case> = AFTER.iter().flat_map(|(model, ..)| [Case::stream(model), Case::whole(model)]).collect();
        let views = sdk.run(&world.gateway.base_url(), "none", &cases).await?;
        for ((model, _, code), views) in AFTER.iter().zip(views.chunks(2)) {
            assert!(views[0].raised() && views[0].text == "hel", "{sdk:?} {model}: {views:?}");
            assert_eq!(views[0].outcome["code"], *code, "{sdk:?} {model}: {views:?}");
            assert!(views[1].raised() && views[1].text.is_empty(), "{sdk:?} {model}: {views:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sdks_repeat_what_may_help_and_leave_what_is_useless() -> Result<()> {
    let scenario = "busy: status 503 | 'hello' end; hopeless: status 401 | 'hello' end; wrong: status 400 | 'hello' end";
    for sdk in Sdk::ALL {
        // A world for each: the mock counts requests.
        let world = World::start(scenario).await?;
        let cases = [Case::stream("busy"), Case::stream("hopeless"), Case::stream("wrong")];
        let views = sdk.run_with_retries(&world.gateway.base_url(), "none", 2, &cases).await?;
        assert!(views[0].completed() && views[0].text == "hello", "{sdk:?}: {views:?}");
        assert!(views[1].raised() && views[2].raised(), "{sdk:?}: {views:?}");
        assert_eq!(world.mock.journal().entries().len(), 4, "{sdk:?}: the useless ones were repeated");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_stops_reading_a_stream_ends_the_providers_request() -> Result<()> {
    for sdk in Sdk::ALL {
        let world = World::start("m: words 5 every 10ms 20s end").await?;
        let views = sdk.run(&world.gateway.base_url(), "none", &[Case::abort("m", 2)]).await?;
        assert_eq!(views[0].outcome["outcome"], "aborted", "{sdk:?}: {views:?}");
        let entry = world.journal("m", |entry| entry.peer_left_at.is_some()).await?;
        assert!(!entry.finished, "{sdk:?}: {entry:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_an_authentication_error() -> Result<()> {
    let (world, key) = World::of("m: 'hello' end").start_with_key().await?;
    for (sdk, class) in [(Sdk::Python, "AuthenticationError"), (Sdk::Node, "AuthenticationError")] {
        let good = sdk.run(&world.gateway.base_url(), &key, &[Case::stream("m")]).await?;
        let bad = sdk.run(&world.gateway.base_url(), "tg_wrong", &[Case::stream("m"), Case::whole("m")]).await?;
        assert!(good[0].completed(), "{sdk:?}: {good:?}");
        assert!(bad.iter().all(|view| view.outcome["class"] == class && view.outcome["status"] == 401), "{sdk:?}: {bad:?}");
    }
    Ok(())
}

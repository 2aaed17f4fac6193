//! The degradation chain: when no route answers, a faster model, a stored answer or a fixed text does, and everybody is told.

mod slow;

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tidegate_e2e::{Case, Chat, Sdk, View, World, WorldBuilder, agree, all};

/// Each model is asked once; what follows is the chain's business.
const ONCE: &str = "[retry]\nattempts = 1\n[breaker]\nfailures = 1000\n";
const NOTICE: &str = "taking longer than usual, trying a faster model";

/// A world whose model `main` has this chain; its targets are models of the mock.
fn degrading(scenario: &str, chain: &str) -> WorldBuilder {
    World::of(scenario).recovers(ONCE).more(&format!("[models.main]\ndegrade = [{chain}]\n[models.fast]\n"))
}

fn attempts(record: &Value) -> Vec<(&str, &str, &str)> {
    let list = record["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|attempt| (text(attempt, "provider"), text(attempt, "outcome"), text(attempt, "decision"))).collect()
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}

/// What the chunks, or the whole answer, say that they are: `cached`, `static`, nothing for a model's own.
fn mark(view: &View) -> Option<String> {
    let of = |value: &Value| value["tidegate"]["answer"].as_str().map(str::to_owned);
    if let Some(body) = &view.body {
        return of(body);
    }
    let chunks = chunks(view);
    let marks: Vec<_> = chunks.iter().map(of).collect();
    assert!(marks.iter().all(|mark| *mark == marks[0]), "every chunk carries the mark, or none: {view:?}");
    marks[0].clone()
}

/// The answer's chunks, without notices.
fn chunks(view: &View) -> Vec<Value> {
    let data = view.events.iter().filter(|event| !event.raw.starts_with("event:")).filter_map(|event| event.data.as_deref());
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

fn body(world: &World, model: &str) -> Result<Value> {
    let entry = world.mock.journal().entries().into_iter().rfind(|entry| entry.model == model).context("it was asked")?;
    Ok(serde_json::from_slice(&entry.body)?)
}

fn deliveries(model: &str) -> [Chat; 4] {
    let streamed = Chat::new(model);
    [
        streamed.clone(),
        Chat::whole(model),
        streamed.clone().header("x-tidegate-delivery", "coherent"),
        streamed.header("x-tidegate-delivery", "buffered"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faster_model_takes_over_with_the_smaller_bound_and_the_record_tells_the_chain() -> Result<()> {
    let world = degrading("main: status 500; fast: 'quick ' 'answer' end", "{ model = \"fast\", max_tokens = 64 }").start().await?;
    for chat in deliveries("main") {
        let (view, record) = world.chat_and_record(&chat).await?;
        assert!(view.completed() && view.text == "quick answer" && mark(&view).is_none(), "{view:?}");
        assert_eq!((view.header("x-tidegate-model"), view.header("x-tidegate-attempts")), (Some("fast"), Some("2")), "{view:?}");
        assert_eq!(attempts(&record), [("mock", "failed", "degrade"), ("mock", "used", "deliver")], "{record}");
        assert_eq!((&record["requested_model"], &record["selected_model"]), (&"main".into(), &"fast".into()));
        assert_eq!((&record["plan"], &record["attempts"][0]["code"]), (&json!(["mock/main", "mock/fast"]), &"upstream_error".into()));
        agree(&view, &record)?;
    }
    for (asked, bound) in [(None, 64), (Some(16), 16), (Some(4096), 64)] {
        for member in ["max_tokens", "max_completion_tokens"] {
            let chat = asked.map_or(Chat::new("main"), |asked| Chat::new("main").with(member, asked));
            assert!(world.chat(&chat).await?.completed());
            let (main, fast) = (body(&world, "main")?, body(&world, "fast")?);
            assert_eq!(main[member], json!(asked), "the model that was asked for has the client's own bound: {main}");
            let bounds = ["max_tokens", "max_completion_tokens"].map(|member| &fast[member]);
            assert!(
                bounds.iter().any(|told| **told == bound) && bounds.iter().all(|told| told.is_null() || **told == bound),
                "{asked:?}: {fast}"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_answer_to_the_same_request_serves_whichever_way_it_is_handed_over() -> Result<()> {
    let scenario = "main: 'stored ' 'answer' ' with some more words in it' end | status 500";
    for first in deliveries("main") {
        let world = degrading(scenario, "{ cached = \"1h\" }, { static = \"sorry\" }").start().await?;
        let fresh = world.chat(&first).await?;
        assert!(fresh.completed() && mark(&fresh).is_none(), "{fresh:?}");
        for again in deliveries("main") {
            let (view, record) = world.chat_and_record(&again).await?;
            assert!(view.completed() && view.text == "stored answer with some more words in it", "{view:?}");
            assert_eq!((mark(&view).as_deref(), view.finish_reason.as_deref()), (Some("cached"), Some("stop")), "{view:?}");
            assert_eq!(view.header("x-tidegate-provider"), Some("cache"), "{view:?}");
            assert_eq!(attempts(&record), [("mock", "failed", "degrade"), ("cache", "used", "deliver")], "{record}");
            assert_eq!((&record["provider"], &record["plan"]), (&"cache".into(), &json!(["mock/main", "cache", "static"])), "{record}");
            assert_eq!(record["attempts"][1]["cost_usd"], 0.0, "it was paid for already: {record}");
            assert!(view.body.is_some() || view.output_events > 1, "a stream comes in pieces: {view:?}");
            agree(&view, &record)?;
        }
        let with_usage = Chat::new("main").with("stream_options", json!({"include_usage": true}));
        assert!(world.chat(&with_usage).await?.usage.is_some(), "the client asked for the usage chunk");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_same_request_within_its_time_and_only_a_whole_answer_is_served_again() -> Result<()> {
    let world = degrading("main: 'stored' end | status 500", "{ cached = \"1200ms\" }").start().await?;
    let asked = Chat::new("main").with("temperature", 0.5).with("seed", 7);
    assert!(world.chat(&asked).await?.completed());
    let reordered = Chat::new("main").with("seed", 7).with("temperature", 0.5);
    assert_eq!(mark(&world.chat(&reordered).await?).as_deref(), Some("cached"));
    let other_text = json!([{"role": "user", "content": "Say hello!"}]);
    for other in [Chat::new("main"), asked.clone().with("temperature", 0.6), asked.clone().with("messages", other_text)] {
        let (view, record) = world.chat_and_record(&other).await?;
        assert_eq!((view.status, view.code()), (502, "upstream_error"), "{view:?}");
        assert_eq!(attempts(&record)[1], ("cache", "skipped", "next_target"), "{record}");
        assert!(record["attempts"][1]["decision_reason"].as_str().is_some_and(|reason| reason.contains("nothing cached")), "{record}");
    }
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_eq!(world.chat(&asked).await?.code(), "upstream_error", "it is too old");

    for unfit in ["'half' finish 'length' done eof", "'half' finish 'content_filter' done eof", "'half' cut", "role finish 'stop' done cut"]
    {
        let world = degrading(&format!("main: {unfit} | status 500"), "{ cached = \"1h\" }").start().await?;
        world.chat(&Chat::new("main")).await?;
        let view = world.chat(&Chat::new("main")).await?;
        let served_again = mark(&view).is_some();
        assert_eq!(served_again, unfit.starts_with("role"), "{unfit}: {view:?}");
    }
    // A faster model's answer is not what the model itself said.
    let chain = "{ model = \"fast\" }, { cached = \"1h\" }";
    let world = degrading("main: status 500; fast: 'quick' end | status 500", chain).start().await?;
    assert_eq!(world.chat(&Chat::new("main")).await?.text, "quick");
    assert_eq!(world.chat(&Chat::new("main")).await?.code(), "upstream_error");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_answer_stays_within_its_team() -> Result<()> {
    let chain = "{ cached = \"1h\" }";
    let (world, key) = degrading("main: 'for search' end | status 500", chain).start_with_key().await?;
    let colleague = world.make_key(&["--team", "search"]).await?;
    let stranger = world.make_key(&["--team", "ads"]).await?;
    let loner = world.make_key(&[]).await?;
    assert!(world.chat(&Chat::new("main").key(&key)).await?.completed());
    for (key, serves) in [(&key, true), (&colleague, true), (&stranger, false), (&loner, false)] {
        let view = world.chat(&Chat::new("main").key(key)).await?;
        assert_eq!(view.text == "for search", serves, "{view:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_calls_and_refusals_survive_being_stored() -> Result<()> {
    let call = r#"{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}"#;
    let scenario = format!(
        "main: chunk '\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"tool_calls\":[{}]}},\"finish_reason\":null}}]' \
         finish 'tool_calls' usage done eof | status 500",
        call.replace('\\', "\\\\")
    );
    let world = degrading(&scenario, "{ cached = \"1h\" }").start().await?;
    assert!(world.chat(&Chat::new("main")).await?.completed());
    let whole = world.chat(&Chat::whole("main")).await?;
    let answer = whole.body.as_ref().context("a body")?;
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{\"a\":1}", "{answer}");
    let streamed = world.chat(&Chat::new("main")).await?;
    let delta = chunks(&streamed).into_iter().find(|chunk| chunk["choices"][0]["delta"]["tool_calls"].is_array()).context("a call")?;
    assert_eq!(delta["choices"][0]["delta"]["tool_calls"], json!([serde_json::from_str::<Value>(call)?]), "{delta}");
    assert_eq!(streamed.finish_reason.as_deref(), Some("tool_calls"), "{streamed:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fixed_text_comes_last_marked_and_whole() -> Result<()> {
    let text = "We are busy just now. Please ask again in a few minutes; nothing is lost. — Ihr Team 🌊";
    let chain = format!("{{ model = \"fast\" }}, {{ cached = \"1h\" }}, {{ static = \"{text}\" }}");
    let world = degrading("main: status 503; fast: role cut", &chain).start().await?;
    for chat in deliveries("main").into_iter().chain([Chat::new("main").with("n", 2)]) {
        let (view, record) = world.chat_and_record(&chat).await?;
        assert!(view.completed() && view.text == text, "{view:?}");
        assert_eq!((mark(&view).as_deref(), view.finish_reason.as_deref()), (Some("static"), Some("stop")), "{view:?}");
        assert_eq!((view.header("x-tidegate-provider"), &record["provider"]), (Some("static"), &"static".into()), "{view:?}");
        let expected = [
            ("mock", "failed", "degrade"),
            ("mock", "failed", "degrade"),
            ("cache", "skipped", "next_target"),
            ("static", "used", "deliver"),
        ];
        assert_eq!(attempts(&record), expected, "{record}");
        assert_eq!(record["plan"], json!(["mock/main", "mock/fast", "cache", "static"]), "{record}");
        agree(&view, &record)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_model_of_the_chain_has_attempts_of_its_own_and_one_that_rests_is_passed_over() -> Result<()> {
    let scenario = "main: status 500; fast: status 500 | status 503 | 'quick' end";
    let recovers = "[retry]\nattempts = 3\nbackoff = \"10ms\"\njitter = \"1ms\"\n[breaker]\nfailures = 3\n";
    let world = degrading(scenario, "{ model = \"fast\" }").recovers(recovers).start().await?;
    let (view, record) = world.chat_and_record(&Chat::new("main")).await?;
    assert!(view.completed() && view.text == "quick", "{view:?}");
    let (again, last) = (("mock", "failed", "retry_same"), ("mock", "failed", "degrade"));
    assert_eq!(attempts(&record), [again, again, last, again, again, ("mock", "used", "deliver")], "{record}");

    // Its breaker has opened: nobody waits for it again.
    let (view, record) = world.chat_and_record(&Chat::new("main")).await?;
    assert!(view.completed() && view.text == "quick", "{view:?}");
    assert_eq!(attempts(&record), [("mock", "skipped", "next_target"), ("mock", "used", "deliver")], "{record}");
    assert!(text(&record["attempts"][0], "decision_reason").contains("breaker is open"), "{record}");
    assert!(view.events[0].raw.contains(NOTICE), "{view:?}");
    agree(&view, &record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_pause_is_not_waited_for_where_the_chain_goes_on() -> Result<()> {
    let scenario = "main: status 429 retry-after 20s; fast: 'quick' end";
    let world = degrading(scenario, "{ model = \"fast\" }").recovers("").start().await?;
    for outcome in ["failed", "skipped"] {
        let (view, record) = world.chat_and_record(&Chat::new("main")).await?;
        assert!(view.completed() && view.text == "quick", "{view:?}");
        assert_eq!((attempts(&record)[0].1, attempts(&record).len()), (outcome, 2), "{record}");
        assert!(record["completed_ms"].as_u64().is_some_and(|ms| ms < 5_000), "{record}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gateway_has_itself_needs_no_time() -> Result<()> {
    let soon = "timeouts = { first_byte = \"400ms\", idle = \"15s\", total = \"20s\" }";
    let more = format!("[models.main]\n{soon}\ndegrade = [{{ model = \"fast\" }}, {{ static = \"sorry\" }}]\n[models.fast]\n");
    let world = World::of("main: stall; fast: 'quick' end").recovers("").more(&more).start().await?;
    // A second is left after the overhead, and six tenths of it after the silence: too little for another model.
    let (view, record) = world.chat_and_record(&Chat::new("main").header("x-tidegate-timeout-ms", "3000")).await?;
    assert!(view.completed() && view.text == "sorry", "{view:?}");
    assert_eq!(
        attempts(&record),
        [("mock", "failed", "degrade"), ("mock", "skipped", "next_target"), ("static", "used", "deliver")],
        "{record}"
    );
    assert!(text(&record["attempts"][1], "decision_reason").contains("deadline"), "{record}");
    agree(&view, &record)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_closed_never_degrades() -> Result<()> {
    let scenario = "m400: status 400; m401: status 401; m403: status 403; m404: status 404; m422: status 422; \
                    filtered: status 400 code 'content_filter'; long: status 400 code 'context_length_exceeded'; \
                    moderated: 'I cannot' finish 'content_filter' done eof; quota: status 429 code 'insufficient_quota'; fast: 'quick' end";
    let refused = [
        ("m400", 400, "upstream_rejected"),
        ("m401", 502, "upstream_credentials"),
        ("m403", 502, "upstream_credentials"),
        ("m404", 404, "upstream_rejected"),
        ("m422", 422, "upstream_rejected"),
        ("filtered", 400, "content_blocked"),
        ("long", 400, "upstream_rejected"),
        ("quota", 502, "upstream_credentials"),
    ];
    let chain = "degrade = [{ model = \"fast\" }, { cached = \"1h\" }, { static = \"sorry\" }]";
    let models: Vec<String> =
        refused.iter().map(|(model, ..)| *model).chain(["moderated"]).map(|model| format!("[models.{model}]\n{chain}\n")).collect();
    let world = World::of(scenario).recovers("").more(&(models.concat() + "[models.fast]\n")).start().await?;
    for (model, status, code) in refused {
        let (view, record) = world.chat_and_record(&Chat::new(model)).await?;
        assert_eq!((view.status, view.code()), (status, code), "{model}: {view:?}");
        assert_eq!(attempts(&record), [("mock", "failed", "fail")], "{model}: {record}");
    }
    let view = world.chat(&Chat::new("moderated")).await?;
    assert_eq!((view.text.as_str(), view.finish_reason.as_deref(), view.done), ("I cannot", Some("content_filter"), true), "{view:?}");
    assert!(world.mock.journal().entries().iter().all(|entry| entry.model != "fast"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_the_key_may_not_use_is_skipped() -> Result<()> {
    let chain = "{ model = \"fast\" }, { static = \"sorry\" }";
    let (world, _) = degrading("main: status 500; fast: 'quick' end", chain).start_with_key().await?;
    let narrow = world.make_key(&["--models", "main"]).await?;
    let view = world.chat(&Chat::new("main").key(&narrow)).await?;
    let record = world.gateway.record_with_key(view.stream_id(), Some(&narrow)).await?;
    assert_eq!((view.text.as_str(), mark(&view).as_deref()), ("sorry", Some("static")), "{view:?}");
    assert_eq!(attempts(&record)[1], ("mock", "skipped", "next_target"), "{record}");
    assert!(record["attempts"][1]["decision_reason"].as_str().is_some_and(|reason| reason.contains("may not use")), "{record}");
    assert!(world.mock.journal().entries().iter().all(|entry| entry.model == "main"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_is_told_while_the_faster_model_is_tried() -> Result<()> {
    let scenario = "main: 400ms status 500; fast: 600ms 'quick' end";
    let world = degrading(scenario, "{ model = \"fast\" }").server("head_after = \"100ms\"").start().await?;
    for (asked, is_event) in [(false, false), (true, true)] {
        let chat = if asked { Chat::new("main").header("x-tidegate-notices", "events") } else { Chat::new("main") };
        let view = world.chat(&chat).await?;
        assert!(view.completed() && view.text == "quick", "{view:?}");
        let notice = view.events.iter().position(|event| event.raw.contains(NOTICE)).context("a notice")?;
        let answer = view.events.iter().position(|event| event.raw.contains("quick")).context("an answer")?;
        let (told, answered) = (&view.events[notice], &view.events[answer]);
        assert!(notice < answer && told.at + Duration::from_millis(400) < answered.at, "it comes while the answer is awaited: {view:?}");
        assert_eq!((told.data.is_some(), told.raw.starts_with("event: notice\n")), (is_event, is_event), "{told:?}");
        if let Some(data) = &told.data {
            let data: Value = serde_json::from_str(data)?;
            assert_eq!(data["tidegate"]["notice"]["code"], "degraded", "{data}");
        }
        assert_eq!(view.events.iter().filter(|event| event.raw.contains("degraded")).count(), 1, "{view:?}");
    }
    let refused = world.chat(&Chat::new("main").header("x-tidegate-notices", "loud")).await?;
    assert_eq!((refused.status, refused.code()), (400, "invalid_request"));
    assert!(refused.error.context("an error")?["message"].as_str().is_some_and(|text| text.contains("X-Tidegate-Notices")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_goes_before_the_answer_also_where_the_head_waits_for_it() -> Result<()> {
    let scenario = "main: status 500; fast: 'quick' ' answer' end; gone: status 500";
    let gone = "[models.gone]\ndegrade = [{ static = \"sorry\" }]\n";
    let world = degrading(scenario, "{ model = \"fast\" }").more(gone).start().await?;
    for model in ["main", "gone"] {
        for delivery in ["stream", "coherent"] {
            let view = world.chat(&Chat::new(model).header("x-tidegate-delivery", delivery)).await?;
            assert!(view.completed(), "{view:?}");
            assert!(view.events[0].raw.starts_with(": degraded: "), "{model}, {delivery}: {view:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn official_sdks_complete_with_every_degraded_answer_and_are_not_hurt_by_notices() -> Result<()> {
    let scenario = "main: 150ms status 500; fast: 150ms 'quick' end; stored: 'stored' end | 150ms status 500; last: 150ms status 500";
    let more = "[models.stored]\ndegrade = [{ cached = \"1h\" }]\n[models.last]\ndegrade = [{ static = \"sorry\" }]\n";
    let texts = [("main", "quick"), ("stored", "stored"), ("last", "sorry")];
    let events = json!({"x-tidegate-notices": "events"});
    let calls = |(model, _)| [Case::stream(model), Case::stream(model).set("headers", events.clone()), Case::whole(model)];
    let cases: Vec<Case> = texts.into_iter().flat_map(calls).collect();
    // The head goes out long before the answer, or with it.
    let ways = ["50ms", "5s"].into_iter().flat_map(|head_after| Sdk::ALL.map(|sdk| (head_after, sdk)));
    all(ways.map(async |(head_after, sdk)| {
        let server = format!("head_after = \"{head_after}\"");
        let world = degrading(scenario, "{ model = \"fast\" }").server(&server).more(more).start().await?;
        assert!(world.chat(&Chat::new("stored")).await?.completed());
        let views = sdk.run(&world.gateway.base_url(), "none", &cases).await?;
        for ((model, text), views) in texts.into_iter().zip(views.chunks(3)) {
            for view in views {
                assert!(view.completed() && view.text == text, "{sdk:?} {model}: {view:?}");
                assert_eq!(view.outcome["finish_reason"], "stop", "{sdk:?} {model}: {view:?}");
            }
        }
        Ok(())
    }))
    .await
}

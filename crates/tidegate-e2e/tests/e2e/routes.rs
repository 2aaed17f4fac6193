//! Whom a request asks: in which order, how often, and whom it passes over.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidegate_e2e::{Answer, Chat, QUICK, View, World, chain};
use tokio::task::JoinSet;

/// Sends `count` requests for `model`, so many at once.
async fn many(world: &World, model: &str, count: usize, at_once: usize) -> Result<Vec<View>> {
    let (mut running, mut views) = (JoinSet::new(), Vec::new());
    for _ in 0..count {
        if running.len() == at_once {
            views.extend(running.join_next().await.transpose()?.transpose()?);
        }
        let (addr, request) = (world.gateway.addr(), Chat::new(model).bytes());
        running.spawn(async move { Answer::to(addr, &request).await?.view().await });
    }
    while let Some(view) = running.join_next().await {
        views.push(view??);
    }
    Ok(views)
}

/// How many of `views` show this text.
fn texts(views: &[View], text: &str) -> usize {
    views.iter().filter(|view| view.text == text).count()
}

/// Why the record's target was passed over.
fn reason<'r>(record: &'r Value, target: &str) -> Option<&'r str> {
    let skipped = |attempt: &&Value| attempt["model"] == target && attempt["outcome"] == "skipped";
    record["attempts"].as_array()?.iter().find(skipped)?["decision_reason"].as_str()
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_asked_in_the_order_written_and_the_record_has_the_plan() -> Result<()> {
    let world = World::of("a: 'a' end; b: 'b' end; c: status 503").recovers(QUICK).routes("m", &["c", "a", "b"]).start().await?;
    for _ in 0..3 {
        let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
        assert_eq!((view.text.as_str(), chain(&record, "").as_str()), ("a", "c:upstream_error>next_target a"), "{view:?}");
        assert_eq!(record["plan"], json!(["mock/c", "mock/a", "mock/b"]));
    }
    let (_, record) = world.chat_and_record(&Chat::new("b")).await?;
    assert_eq!(record["plan"], Value::Null, "there was no choice: {record}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_the_shares_of_first_choices_and_a_weight_of_zero_only_takes_over() -> Result<()> {
    let world = World::of("a: 'a' end; b: 'b' end; spare: 'spare' end; bad: status 400 | status 503")
        .recovers(QUICK)
        .routes("m", &["a, weight = 3", "spare, weight = 0", "b, weight = 1"])
        .routes("alone", &["bad, weight = 1", "spare, weight = 0"]);
    let world = world.start().await?;
    let views = many(&world, "m", 200, 10).await?;
    // 150 are expected; outside of these bounds lies one run in 30,000.
    let (first, spare) = (texts(&views, "a"), texts(&views, "spare"));
    assert!((125..=175).contains(&first) && spare == 0 && texts(&views, "b") == 200 - first, "{first} and {spare}");
    assert_eq!(world.chat(&Chat::new("alone")).await?.code(), "upstream_rejected", "what is drawn is `bad`");
    assert_eq!(world.chat(&Chat::new("alone")).await?.text, "spare");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_slow_to_begin_is_left_to_the_quicker_one_until_it_may_have_recovered() -> Result<()> {
    let world = World::of(
        "slow: 200ms 'slow' end; quick: 'quick' end; was-slow: 140ms 'was-slow' end | 'was-slow' end; steady: 100ms 'steady' end",
    )
    .recovers(QUICK)
    .routes("m", &["slow", "quick"])
    .more("balance = \"latency\"\n")
    .routes("n", &["was-slow", "steady"])
    .more("balance = \"latency\"\n");
    let world = world.start().await?;
    let views = many(&world, "m", 60, 1).await?;
    assert!((1..=10).contains(&texts(&views, "slow")), "{} of 60 were slow", texts(&views, "slow"));

    let began = Instant::now();
    while world.requests("was-slow").len() < 2 {
        ensure!(began.elapsed() < Duration::from_secs(25), "it was never tried again");
        many(&world, "n", 5, 1).await?;
    }
    let views = many(&world, "n", 30, 1).await?;
    assert!(texts(&views, "was-slow") >= 20, "{} of 30", texts(&views, "was-slow"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_targets_the_one_with_less_to_do_is_asked() -> Result<()> {
    let world = World::of("a: 'one' 30s end; b: 'one' 30s end").routes("m", &["a", "b"]).more("balance = \"least_outstanding\"\n");
    let world = world.start().await?;
    let mut open = Vec::new();
    for _ in 0..12 {
        let mut answer = world.gateway.send(&Chat::new("m")).await?;
        answer.event().await?.context("the role")?;
        open.push(answer);
    }
    assert_eq!((world.requests("a").len(), world.requests("b").len()), (6, 6));
    assert!((world.gateway.metric("tidegate_target_outstanding{provider=\"mock\",model=\"a\"}").await? - 6.0).abs() < 0.1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_and_a_pattern_may_have_several_routes_and_the_answer_names_the_one_that_gave_it() -> Result<()> {
    let pattern = "[models.\"gpt-*\"]\nroutes = [{ provider = \"mock\" }, { provider = \"mock\", model = \"b\" }]\n";
    let world = World::of("a: 'a' end; b: 'b' end; gpt-x: status 503; gpt-y: 'y' end").recovers(QUICK).more(pattern);
    let world = world.routes("fast", &["a", "b"]).start().await?;
    let failed = "gpt-x:upstream_error>retry_same gpt-x:upstream_error>next_target b";
    for (asked, model, attempts) in [("fast", "a", "a"), ("gpt-x", "b", failed), ("gpt-y", "gpt-y", "gpt-y")] {
        let (view, record) = world.chat_and_record(&Chat::new(asked)).await?;
        assert_eq!((chain(&record, "").as_str(), view.header("x-tidegate-model")), (attempts, Some(model)), "{asked}: {view:?}");
        assert_eq!((&record["requested_model"], &record["selected_model"]), (&json!(asked), &json!(model)));
        let named = format!("\"model\":\"{model}\"");
        let mut chunks = view.events.iter().filter(|event| event.data.as_deref() != Some("[DONE]"));
        assert!(view.completed() && chunks.all(|event| event.raw.contains(&named)), "{asked}: {view:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_long_goes_only_to_a_route_for_a_larger_context() -> Result<()> {
    let scenario = "small: status 400 code 'context_length_exceeded'; little: status 413 code 'context_length_exceeded'; other: 'other' end; big: 'big' end; down: status 503";
    let world = World::of(scenario)
        .recovers(QUICK)
        .routes("m", &["small", "big, larger_context = true", "other"])
        .routes("full", &["small", "little, larger_context = true", "other"])
        .routes("down", &["down", "big, larger_context = true"]);
    let world = world.start().await?;
    let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
    assert_eq!((chain(&record, "").as_str(), view.text.as_str()), ("small:upstream_rejected>next_target big", "big"), "{view:?}");
    assert_eq!(record["plan"], json!(["mock/small", "mock/other", "mock/big"]), "it is asked last");
    let (view, record) = world.chat_and_record(&Chat::new("full")).await?;
    assert_eq!(chain(&record, ""), "small:upstream_rejected>next_target little:upstream_rejected>fail", "{record}");
    assert_eq!((view.status, view.header("x-should-retry"), world.requests("other").len()), (413, Some("false"), 0), "{view:?}");
    assert_eq!(world.chat(&Chat::new("down")).await?.text, "big", "after other failures it is a route like any");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_the_deadline_leaves_no_time_for_is_passed_over_and_the_record_says_so() -> Result<()> {
    let deadline = format!("{QUICK}[deadline]\noverhead = \"100ms\"\nleast = \"1s\"\n");
    let world = World::of("p: 600ms status 503; s: 'spare' end").recovers(&deadline).routes("m", &["p", "s"]).start().await?;
    let (view, record) = world.chat_and_record(&Chat::new("m").header("x-tidegate-timeout-ms", "1500")).await?;
    assert_eq!(chain(&record, ""), "p:upstream_error>next_target s:skipped", "{record}");
    assert!(reason(&record, "s").is_some_and(|reason| reason.contains("deadline")), "{record}");
    assert_eq!((view.status, view.code(), view.header("x-tidegate-attempts")), (502, "upstream_error", Some("1")), "{view:?}");
    assert!(world.requests("s").is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn repetitions_are_a_share_of_requests_and_asking_another_route_is_none() -> Result<()> {
    let budget = |budget: &str| format!("[retry]\nbackoff = \"20ms\"\njitter = \"1ms\"\n{budget}[breaker]\nfailures = 1000\n");
    for (settings, most) in [("budget = 0.0\nbudget_floor = 3\n", 3), ("budget = 0.5\nbudget_floor = 0\n", 10)] {
        let world = World::of("p: status 503; s: 'spare' end").recovers(&budget(settings)).routes("m", &["p", "s"]).start().await?;
        let views = many(&world, "p", 20, 4).await?;
        assert!(views.iter().all(|view| view.code() == "upstream_error"), "{views:?}");
        let repeated = world.requests("p").len() - 20;
        assert!((1..=most).contains(&repeated), "{settings}: {repeated} repetitions");
        assert!(world.gateway.metric("tidegate_retries_refused_total").await? >= 1.0);
        let before = world.requests("p").len();
        assert_eq!(texts(&many(&world, "m", 20, 4).await?, "spare"), 20, "{settings}");
        let further = world.requests("p").len() - before;
        assert!((20..=20 + most).contains(&further), "{settings}: {further}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_own_repetition_is_told_apart_from_the_gateways() -> Result<()> {
    let world = World::of("p: status 500 | 'hello' end").recovers(QUICK).start().await?;
    let (_, record) = world.chat_and_record(&Chat::new("p").header("x-stainless-retry-count", "2")).await?;
    assert_eq!((&record["client_retry_count"], chain(&record, "").as_str()), (&json!(2), "p:upstream_error>retry_same p"));
    let (_, record) = world.chat_and_record(&Chat::new("p").header("x-stainless-retry-count", "0")).await?;
    assert_eq!((&record["client_retry_count"], chain(&record, "").as_str()), (&Value::Null, "p"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_answers_too_slowly_is_replaced_and_one_that_is_quick_enough_is_not() -> Result<()> {
    let slow = "slow = { chars_per_second = 60, window = \"1s\" }\n";
    let world = World::of("slow: words 30 every 300ms end; quick: words 200 every 10ms end; spare: 'spare' end")
        .recovers(QUICK)
        .routes("replaced", &["slow", "spare"])
        .more(slow)
        .routes("kept", &["quick", "spare"])
        .more(slow)
        .routes("alone", &["slow"])
        .more(slow);
    let world = world.start().await?;
    let (view, record) = world.chat_and_record(&Chat::new("replaced")).await?;
    assert_eq!((chain(&record, "").as_str(), view.text.as_str()), ("slow:idle_timeout>next_target spare", "spare"), "{view:?}");
    let (view, record) = world.chat_and_record(&Chat::new("kept")).await?;
    assert_eq!((chain(&record, "").as_str(), view.output_events), ("quick", 200), "{record}");
    let mut alone = world.gateway.send(&Chat::new("alone")).await?;
    assert!(alone.head_at < Duration::from_millis(900), "nothing is held back where nobody else can answer: {:?}", alone.head_at);
    assert!(alone.event().await?.is_some());
    Ok(())
}

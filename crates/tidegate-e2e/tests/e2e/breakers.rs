//! A target that fails is left alone for a while, and one request finds out for all others whether it is well again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::Value;
use tidegate_e2e::{Answer, Chat, QUICK, View, World, chain, eventually};
use tokio::task::JoinSet;

/// What `tidegate_breaker_state` says of a target of the mock; `None` while it is not known.
async fn state(world: &World, target: &str) -> Option<&'static str> {
    let series = format!("tidegate_breaker_state{{provider=\"mock\",model=\"{target}\"}} ");
    let text = world.gateway.text("/metrics").await.ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(&series))?;
    ["closed", "half_open", "open", "cooling_down"].get(value.parse::<usize>().ok()?).copied()
}

/// What `/readyz` says of a target of the mock: its breaker and for how many milliseconds it still rests. `None` for one that is asked.
async fn resting(world: &World, target: &str) -> Result<Option<(String, u64)>> {
    let view = world.gateway.get("/readyz").await?;
    assert_eq!(view.status, 200, "others may answer: {view:?}");
    let body = view.body.context("details")?;
    let entry = body["targets"].as_array().context("targets")?.iter().find(|entry| entry["model"] == target);
    Ok(entry.map(|entry| (entry["breaker"].as_str().unwrap_or_default().to_owned(), entry["rests_ms"].as_u64().unwrap_or_default())))
}

/// The attempts of one request for `model` and its text.
async fn ask(world: &World, model: &str) -> Result<(String, View, Value)> {
    let (view, record) = world.chat_and_record(&Chat::new(model)).await?;
    Ok((chain(&record, ""), view, record))
}

/// What `p` does while its breaker opens.
fn down_at_first() -> String {
    format!("p: {}", ["status 503"; 5].join(" | "))
}

/// Opens the breaker of `p`, where a request for `m` asks it twice before the spare answers.
async fn open(world: &World) -> Result<()> {
    for _ in 0..3 {
        assert_eq!(ask(world, "m").await?.1.text, "spare");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn five_failures_open_a_targets_breaker_and_from_then_on_it_is_passed_over_without_a_request() -> Result<()> {
    let world = World::of("p: status 503; s: 'spare' end").recovers(QUICK).routes("m", &["p", "s"]).start().await?;
    let twice = "p:upstream_error>retry_same p:upstream_error>next_target s";
    assert_eq!((ask(&world, "m").await?.0.as_str(), ask(&world, "m").await?.0.as_str()), (twice, twice));
    assert_eq!((state(&world, "p").await, resting(&world, "p").await?), (Some("closed"), None), "four are not five");
    assert_eq!(ask(&world, "m").await?.0, "p:upstream_error>next_target s", "nobody waits for a target that rests");
    for _ in 0..5 {
        let began = Instant::now();
        let (attempts, view, record) = ask(&world, "m").await?;
        assert!(attempts == "p:skipped s" && view.text == "spare" && began.elapsed() < Duration::from_secs(1), "{view:?}");
        assert!(record["attempts"][0]["decision_reason"].as_str().is_some_and(|reason| reason.contains("breaker is open")), "{record}");
        assert_eq!(view.header("x-tidegate-attempts"), Some("1"));
    }
    assert_eq!((world.requests("p").len(), state(&world, "p").await, state(&world, "s").await), (5, Some("open"), Some("closed")));
    let (breaker, rests) = resting(&world, "p").await?.context("it rests")?;
    assert!(breaker == "open" && (15_000..=30_000).contains(&rests) && resting(&world, "s").await?.is_none(), "{breaker} {rests}");

    let (attempts, view, _) = ask(&world, "p").await?;
    assert_eq!((attempts.as_str(), view.status, view.code()), ("p:skipped", 503, "routes_unavailable"), "nobody else serves it");
    let wait: u64 = view.header("retry-after").context("a pause")?.parse()?;
    assert!((15..=30).contains(&wait) && world.requests("p").len() == 5, "{view:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_requests_at_the_half_open_moment_one_probes_and_the_others_go_elsewhere() -> Result<()> {
    let probes = [("500ms status 503", "open", 0), ("1s 'back' end", "closed", 1)];
    for (probe, then, answered) in probes {
        let world = World::of(&format!("{} | {probe} | 'back' end; s: 'spare' end", down_at_first()))
            .recovers(&format!("{QUICK}[breaker]\ncooldown = \"2s\"\n"));
        let world = world.routes("m", &["p", "s"]).start().await?;
        open(&world).await?;
        assert_eq!((world.requests("p").len(), state(&world, "p").await), (5, Some("open")));
        eventually("half open", async || state(&world, "p").await.filter(|state| *state == "half_open")).await?;

        let mut crowd = JoinSet::new();
        for _ in 0..50 {
            let (addr, request) = (world.gateway.addr(), Chat::new("m").bytes());
            crowd.spawn(async move { Answer::to(addr, &request).await?.view().await });
        }
        let views: Vec<View> = crowd.join_all().await.into_iter().collect::<Result<_>>()?;
        let with = |text: &str| views.iter().filter(|view| view.text == text).count();
        assert_eq!((world.requests("p").len(), with("back"), with("spare")), (6, answered, 50 - answered), "{probe}");
        let mut reasons = Vec::new();
        for view in views.iter().filter(|view| view.text == "spare") {
            let record = world.gateway.record(view.stream_id()).await?;
            reasons.push(record["attempts"][0]["decision_reason"].as_str().unwrap_or_default().to_owned());
        }
        assert!(reasons.iter().filter(|reason| reason.contains("another request probes it")).count() >= 45, "{probe}: {reasons:?}");
        assert_eq!(state(&world, "p").await, Some(then), "{probe}");
        let next = if then == "closed" { "p" } else { "p:skipped s" };
        assert_eq!(ask(&world, "m").await?.0, next, "{probe}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_whose_client_leaves_proves_nothing_and_the_next_request_is_the_probe() -> Result<()> {
    let world = World::of(&format!("{} | 20s end | 1s 'back' end | 'back' end; s: 'spare' end", down_at_first()))
        .recovers(&format!("{QUICK}[breaker]\ncooldown = \"5s\"\n"))
        .server("head_after = \"50ms\"\n")
        .routes("m", &["p", "s"]);
    let world = world.start().await?;
    open(&world).await?;
    eventually("half open", async || state(&world, "p").await.filter(|state| *state == "half_open")).await?;
    let probe = world.gateway.send(&Chat::new("m")).await?;
    assert_eq!(ask(&world, "m").await?.0, "p:skipped s");
    probe.reset()?;
    eventually("the probe's place is free", async || state(&world, "p").await.filter(|_| world.requests("p")[5].peer_left_at.is_some()))
        .await?;
    assert_eq!((ask(&world, "m").await?.0.as_str(), ask(&world, "m").await?.0.as_str()), ("p", "p"));
    assert_eq!((world.requests("p").len(), state(&world, "p").await), (8, Some("closed")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_limits_requests_rests_for_as_long_as_it_asked_and_its_breaker_counts_nothing() -> Result<()> {
    let scenario = "p: status 429 retry-after 20s; soon: status 429 retry-after 1s | 'back' end; often: status 429; s: 'spare' end";
    let world = World::of(scenario)
        .recovers(&format!("{QUICK}longest_pushback = \"500ms\"\n"))
        .routes("m", &["p", "s"])
        .routes("n", &["soon", "s"]);
    let world = world.start().await?;
    assert_eq!(ask(&world, "m").await?.0, "p:upstream_rate_limited>next_target s");
    let (attempts, _, record) = ask(&world, "m").await?;
    assert_eq!((attempts.as_str(), world.requests("p").len()), ("p:skipped s", 1));
    assert!(record["attempts"][0]["decision_reason"].as_str().is_some_and(|reason| reason.contains("asked for a pause")), "{record}");
    let (breaker, rests) = resting(&world, "p").await?.context("it rests")?;
    assert!(breaker == "cooling_down" && (10_000..=20_000).contains(&rests), "{breaker} {rests}");
    assert_eq!(state(&world, "p").await, Some("cooling_down"));
    let (attempts, view, _) = ask(&world, "p").await?;
    assert_eq!((attempts.as_str(), view.status, view.code()), ("p:skipped", 429, "upstream_rate_limited"));
    let wait: u64 = view.header("retry-after").context("a pause")?.parse()?;
    assert!((10..=20).contains(&wait) && world.requests("p").len() == 1, "{view:?}");

    let began = Instant::now();
    assert_eq!(ask(&world, "n").await?.1.text, "spare");
    eventually("it is asked again", async || ask(&world, "n").await.ok().filter(|(_, view, _)| view.text == "back")).await?;
    assert!(began.elapsed() >= Duration::from_secs(1) && world.requests("soon").len() == 2, "{:?}", began.elapsed());

    for _ in 0..3 {
        assert_eq!(ask(&world, "often").await?.1.code(), "upstream_rate_limited");
    }
    assert_eq!((world.requests("often").len(), state(&world, "often").await), (9, Some("closed")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_clients_that_leave_nor_requests_that_are_refused_open_a_breaker() -> Result<()> {
    let scripts =
        ["20s end"; 6].into_iter().chain(["'one' 20s end"; 6]).chain(["status 400", "status 400 code 'content_filter'"].repeat(3));
    let scenario = format!("p: {} | 'well' end; s: 'spare' end", scripts.collect::<Vec<_>>().join(" | "));
    let world = World::of(&scenario).recovers(QUICK).server("head_after = \"50ms\"\n").routes("m", &["p", "s"]).start().await?;
    for n in 0..12 {
        let mut answer = world.gateway.send(&Chat::new("m")).await?;
        let mut view = View::of(&answer);
        view.read_on(&mut answer, u64::from(n >= 6)).await?;
        answer.reset()?;
    }
    let left = |world: &World| world.requests("p").iter().filter(|entry| entry.peer_left_at.is_some()).count();
    eventually("the provider's requests end", async || Some(()).filter(|()| left(&world) == 12)).await?;
    for _ in 0..6 {
        assert_eq!(ask(&world, "m").await?.1.status, 400);
    }
    assert_eq!((state(&world, "p").await, world.requests("s").len()), (Some("closed"), 0));
    assert_eq!(ask(&world, "m").await?.0, "p");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_refuses_the_gateways_key_is_asked_once_and_the_operator_is_told() -> Result<()> {
    let world = World::of("p: status 401; s: 'spare' end").recovers(QUICK).routes("m", &["p", "s"]).start().await?;
    let (attempts, view, _) = ask(&world, "m").await?;
    assert_eq!((attempts.as_str(), view.status, view.code()), ("p:upstream_credentials>fail", 502, "upstream_credentials"));
    assert_eq!((ask(&world, "m").await?.0.as_str(), state(&world, "p").await), ("p:skipped s", Some("open")));
    assert_eq!(world.requests("p").len(), 1);
    eventually("the operator is told", async || Some(()).filter(|()| world.gateway.printed().contains("refuses the gateway's key"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_what_is_known_of_the_targets() -> Result<()> {
    let world = World::of("p: status 503; s: 'spare' end").recovers(QUICK).routes("m", &["p", "s"]).start().await?;
    open(&world).await?;
    let path = world.folder().join("tidegate.toml");
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(
        &path,
        text + "[models.new]\nroutes = [{ provider = \"mock\", model = \"s\" }, { provider = \"mock\", model = \"p\" }]\n",
    )?;
    world.gateway.signal(Signal::HUP)?;
    eventually("the new model", async || world.chat(&Chat::new("new")).await.ok().filter(|view| view.text == "spare")).await?;
    assert_eq!((ask(&world, "m").await?.0.as_str(), world.requests("p").len()), ("p:skipped s", 5));
    Ok(())
}

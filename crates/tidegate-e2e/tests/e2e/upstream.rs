//! Providers behind TLS and HTTP/2, with a real nginx as their edge.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tidegate_e2e::edge::{Visit, visit};
use tidegate_e2e::{Answer, Chat, Edge, View, World, agree, eventually};
use tokio::task::JoinSet;

const CA: &str = "ca_file = \"ca.pem\"\n";
const ALWAYS: &str = "http2 = \"always\"\n";
/// Connections belong to a worker, so tests that count them have one.
const ONE_WORKER: &str = "workers = 1\n";

/// How the mock's requests for `model` came to its edge.
fn visits(world: &World, model: &str) -> Vec<Visit> {
    world.mock.journal().entries().iter().filter(|entry| entry.model == model).filter_map(visit).collect()
}

/// Sends a chat for `model` and reads until `output_events` of its answer are here.
async fn begin(world: &World, model: &str, output_events: u64) -> Result<(Answer, View)> {
    let mut answer = world.gateway.send(&Chat::new(model)).await?;
    let mut view = View::of(&answer);
    view.read_on(&mut answer, output_events).await?;
    Ok((answer, view))
}

/// Chats for `model`, all at once.
async fn at_once(world: &World, model: &str, count: usize) -> Result<Vec<View>> {
    let mut running = JoinSet::new();
    for _ in 0..count {
        let (addr, bytes) = (world.gateway.addr(), Chat::new(model).bytes());
        running.spawn(async move { Answer::to(addr, &bytes).await?.view().await });
    }
    running.join_all().await.into_iter().collect()
}

/// The stream failed before anything was sent to the provider, and everybody was told so.
async fn failed_to_connect(world: &World, because: &str) -> Result<()> {
    for chat in [Chat::new("m"), Chat::whole("m")] {
        let (view, record) = world.chat_and_record(&chat).await?;
        assert_eq!((view.status, view.code(), view.partial()), (502, "connect_failed", Some(false)), "{view:?}");
        agree(&view, &record)?;
        assert_eq!(record["attempts"][0]["code"], "connect_failed", "{record}");
    }
    assert!(world.mock.journal().entries().is_empty(), "a request reached the provider");
    // The client is told what happened, the operator also why.
    eventually(format!("{because} in the log"), async || Some(()).filter(|()| world.gateway.printed().contains(because))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_trusted_through_its_file_only() -> Result<()> {
    let world = World::of("m: words 3 end").edge(Edge::tls()).provider(CA).start().await?;
    for chat in [Chat::new("m"), Chat::whole("m")] {
        let (view, record) = world.chat_and_record(&chat).await?;
        assert!(view.completed(), "{view:?}");
        agree(&view, &record)?;
    }
    let stranger = World::of("m: words 3 end").edge(Edge::tls()).start().await?;
    failed_to_connect(&stranger, "UnknownIssuer").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_refused() -> Result<()> {
    let world = World::of("m: words 3 end").edge(Edge::tls().certified_for("provider.test")).provider(CA).start().await?;
    failed_to_connect(&world, "not valid for name").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_is_the_one_that_was_negotiated_within_what_is_allowed() -> Result<()> {
    let cases = [
        (Edge::tls(), "http2 = \"auto\"", "HTTP/2.0"),
        (Edge::tls().http1_only(), "http2 = \"auto\"", "HTTP/1.1"),
        (Edge::tls(), "http2 = \"never\"", "HTTP/1.1"),
        (Edge::tls(), "http2 = \"always\"", "HTTP/2.0"),
        (Edge::h2c(), "http2 = \"always\"", "HTTP/2.0"),
    ];
    for (edge, setting, protocol) in cases {
        let case = format!("{edge:?} {setting}");
        let world =
            World::of("m: words 30 every 1ms end; long: burst words 2000 end").edge(edge).provider(CA).provider(setting).start().await?;
        let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
        assert!(view.completed() && view.output_events == 30, "{case}: {view:?}");
        agree(&view, &record).context(case.clone())?;
        assert!(world.chat(&Chat::whole("m")).await?.completed(), "{case}");
        assert_eq!(world.chat(&Chat::new("long")).await?.output_events, 2000, "{case}");
        let visits = visits(&world, "m");
        assert!(visits.len() == 2 && visits.iter().all(|visit| visit.protocol == protocol), "{case}: {visits:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_that_is_asked_for_always_is_not_replaced_by_http1() -> Result<()> {
    let world = World::of("m: words 3 end").edge(Edge::tls().http1_only()).provider(CA).provider(ALWAYS).start().await?;
    failed_to_connect(&world, "attempt failed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_over_http2_is_the_one_over_http1() -> Result<()> {
    let world =
        World::of("m: words 3 end").edge(Edge::h2c()).provider(ALWAYS).provider("headers = { X-Team = \"search\" }").start().await?;
    let chat = Chat::new("m").with("x_vendor", json!({"deep": [1, null, "é"]})).header("cookie", "session=1");
    assert!(world.chat(&chat).await?.completed());
    let entry = world.journal("m", |entry| entry.finished).await?;
    let header = |name: &str| entry.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let key = format!("Bearer {}", tidegate_e2e::world::PROVIDER_KEY);
    assert_eq!((header("authorization"), header("x-team"), header("cookie")), (Some(key.as_str()), Some("search"), None));
    assert_eq!((header("content-type"), header("accept")), (Some("application/json"), Some("text/event-stream")));
    assert!(String::from_utf8_lossy(&entry.body).contains(r#"{"deep":[1,null,"é"]}"#), "{entry:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_share_one_connection() -> Result<()> {
    let world =
        World::of("first: 'hello' end; m: words 20 every 20ms end").edge(Edge::tls()).provider(CA).server(ONE_WORKER).start().await?;
    // The connection is there before the crowd comes: those who come while it is being made may make their own.
    assert!(world.chat(&Chat::new("first")).await?.completed());
    let views = at_once(&world, "m", 60).await?;
    assert!(views.iter().all(|view| view.completed() && view.output_events == 20));
    let first = visits(&world, "first")[0].connection;
    let visits = visits(&world, "m");
    assert!(visits.len() == 60 && visits.iter().all(|visit| visit.connection == first), "{visits:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_allows_few_streams_gets_more_connections_and_nobody_waits() -> Result<()> {
    let edge = Edge::tls().with("http2_max_concurrent_streams 4;");
    let world = World::of("first: 'hello' end; m: 'now' 20s end").edge(edge).provider(CA).server(ONE_WORKER).start().await?;
    assert!(world.chat(&Chat::new("first")).await?.completed());
    let mut running = Vec::new();
    let began = Instant::now();
    for _ in 0..12 {
        running.push(begin(&world, "m", 1).await?);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "twelve first words took {:?}", began.elapsed());
    assert!(visits(&world, "m").iter().any(|visit| *visit != visits(&world, "first")[0]), "{:?}", visits(&world, "m"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_resets_its_own_stream_at_once_and_no_other() -> Result<()> {
    let models: Vec<String> = (0..10).map(|n| format!("m{n}")).collect();
    let scenario: Vec<String> = models.iter().map(|model| format!("{model}: words 3 every 5ms 20s end")).collect();
    let scenario = format!("{}; stays: words 60 every 20ms end; after: 'hello' end", scenario.join("; "));
    let world = World::of(&scenario).edge(Edge::tls()).provider(CA).server(ONE_WORKER).start().await?;
    let (stays, seen) = begin(&world, "stays", 1).await?;
    let mut noticed = Vec::new();
    for model in &models {
        let (answer, view) = begin(&world, model, 2).await?;
        let left = Instant::now();
        drop(answer);
        let entry = world.journal(model, |entry| entry.peer_left_at.is_some()).await?;
        let when = entry.received_at + entry.peer_left_at.context("it left")?;
        noticed.push(when.saturating_duration_since(left));
        agree(&View { end: None, ..view.clone() }, &world.gateway.record(view.stream_id()).await?)?;
    }
    noticed.sort();
    // The rule is 100 ms. One straggler may be the scheduler of a machine that runs other tests beside this one.
    assert!(noticed[models.len() - 2] < Duration::from_millis(100), "{noticed:?}");
    let rest = stays.view().await?;
    assert!(rest.completed() && seen.output_events + rest.output_events == 60, "{rest:?}");
    assert!(world.chat(&Chat::new("after")).await?.completed());
    let all: Vec<Visit> = world.mock.journal().entries().iter().filter_map(visit).collect();
    assert!(all.iter().all(|visit| *visit == all[0]), "{all:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_resets_one_stream_cuts_that_one_and_no_other() -> Result<()> {
    let scenario = "stays: words 30 every 20ms end; cut: words 3 every 5ms cut; early: cut";
    let world = World::of(scenario).edge(Edge::h2c()).provider(ALWAYS).server(ONE_WORKER).start().await?;
    let (stays, _) = begin(&world, "stays", 1).await?;
    let (view, record) = world.chat_and_record(&Chat::new("cut")).await?;
    assert_eq!((view.code(), view.partial(), view.output_events), ("upstream_cut", Some(true), 3), "{view:?}");
    agree(&view, &record)?;
    assert!(stays.view().await?.completed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_cuts_all_its_streams_and_the_next_one_gets_a_new_connection() -> Result<()> {
    let scenario = "m: words 3 20s end; silent: role 20s end; after: 'hello' end";
    let mut world = World::of(scenario).edge(Edge::tls()).provider(CA).server("head_after = \"100ms\"\n").start().await?;
    let mut running = Vec::new();
    for (model, output_events) in [("m", 3), ("m", 3), ("silent", 0)] {
        running.push(begin(&world, model, output_events).await?);
    }
    let edge = world.edge.as_mut().context("an edge")?;
    edge.nginx.restart().await?;
    for (mut answer, mut view) in running {
        view.read_on(&mut answer, u64::MAX).await?;
        let partial = view.output_events > 0;
        assert_eq!((view.code(), view.partial(), view.done), ("upstream_cut", Some(partial), false), "{view:?}");
        agree(&view, &world.gateway.record(view.stream_id()).await?)?;
    }
    assert!(world.chat(&Chat::new("after")).await?.completed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_goodbye_ends_what_it_has_and_gets_nothing_new() -> Result<()> {
    let edge = Edge::tls().with("keepalive_requests 5;");
    let world =
        World::of("long: words 40 every 20ms end; m: words 2 every 1ms end").edge(edge).provider(CA).server(ONE_WORKER).start().await?;
    let (long, seen) = begin(&world, "long", 1).await?;
    for _ in 0..12 {
        for view in at_once(&world, "m", 4).await? {
            assert!(view.completed(), "{view:?}");
        }
    }
    let rest = long.view().await?;
    assert!(rest.completed() && seen.output_events + rest.output_events == 40, "{rest:?}");
    let mut connections: Vec<u64> = visits(&world, "m").iter().map(|visit| visit.connection).collect();
    connections.sort_unstable();
    connections.dedup();
    assert!(connections.len() > 5, "{connections:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_hold_up_nobody_on_the_same_connection() -> Result<()> {
    let scenario = "first: 'hello' end; flood: burst 100 words 400000 end; m: words 20 every 5ms end";
    let world = World::of(scenario).edge(Edge::h2c()).provider(ALWAYS).server(ONE_WORKER).start().await?;
    assert!(world.chat(&Chat::new("first")).await?.completed());
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(world.gateway.send(&Chat::new("flood")).await?);
    }
    // They are held up once the provider has not sent any more for a while.
    let sent = || world.mock.journal().entries().iter().map(|entry| entry.bytes_sent).sum::<u64>();
    let mut before = 0;
    while sent() != std::mem::replace(&mut before, sent()) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let began = Instant::now();
    assert!(world.chat(&Chat::new("m")).await?.completed());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let visits: Vec<Visit> = visits(&world, "m").into_iter().chain(visits(&world, "flood")).collect();
    assert!(visits.iter().all(|visit| *visit == visits[0]), "{visits:?}");
    Ok(())
}

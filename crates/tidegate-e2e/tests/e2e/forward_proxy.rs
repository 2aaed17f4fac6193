//! Providers that are reached through a forward proxy.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tidegate_e2e::forward_proxy::Passage;
use tidegate_e2e::world::PROVIDER_KEY;
use tidegate_e2e::{Chat, Edge, ForwardProxy, Manner, View, World, WorldBuilder, agree, eventually};

/// `gate` and `pä:ss@1`, as an address has them and as the proxy gets them.
const CREDENTIALS: &str = "gate:p%C3%A4:ss%401";
const AUTHORIZATION: &str = "Basic Z2F0ZTpww6Q6c3NAMQ==";

/// The provider has TLS, so that a tunnel is needed.
fn secured(scenario: &str) -> WorldBuilder {
    World::of(scenario).edge(Edge::tls()).provider("ca_file = \"ca.pem\"\n")
}

fn through(world: WorldBuilder, proxy: &ForwardProxy, credentials: &str) -> WorldBuilder {
    world.provider(&format!("proxy = \"http://{credentials}{}\"\n", proxy.addr()))
}

fn holds(passage: &Passage, text: &str) -> bool {
    passage.sent.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_with_tls_is_reached_through_a_tunnel_that_the_proxy_cannot_look_into() -> Result<()> {
    for (http2, protocol) in [("never", "HTTP/1.1"), ("auto", "HTTP/2.0")] {
        let proxy = ForwardProxy::start(Manner::Open).await?;
        let world = through(secured("m: words 3 end"), &proxy, "").provider(&format!("http2 = \"{http2}\"")).start().await?;
        let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
        assert!(view.completed(), "{view:?}");
        agree(&view, &record)?;
        let entry = world.journal("m", |entry| entry.finished).await?;
        assert_eq!(tidegate_e2e::edge::visit(&entry).context("a visit")?.protocol, protocol);

        let passages = proxy.passages();
        let host = world.edge.as_ref().context("an edge")?.nginx.addr().port();
        assert_eq!(passages.len(), 1, "{passages:?}");
        assert_eq!(passages[0].request_line, format!("CONNECT localhost:{host} HTTP/1.1"));
        assert!(passages[0].sent.starts_with(&[0x16, 0x03]), "not a TLS handshake");
        assert!(passages[0].authorization.is_none() && !holds(&passages[0], PROVIDER_KEY) && !holds(&passages[0], "messages"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_provider_is_reached_by_its_whole_address() -> Result<()> {
    let proxy = ForwardProxy::start(Manner::Open).await?;
    let world = through(World::of("m: words 3 end; cut: 'hel' cut"), &proxy, "").start().await?;
    for chat in [Chat::new("m"), Chat::whole("m")] {
        assert!(world.chat(&chat).await?.completed());
    }
    assert_eq!(world.chat(&Chat::new("cut")).await?.code(), "upstream_cut");
    let line = format!("POST http://{}/v1/chat/completions HTTP/1.1", world.mock.addr());
    let passages = proxy.passages();
    assert!(passages.len() == 3 && passages.iter().all(|passage| passage.request_line == line), "{passages:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_without_tls_takes_a_tunnel_too() -> Result<()> {
    let proxy = ForwardProxy::start(Manner::Open).await?;
    let world = World::of("m: words 3 end").edge(Edge::h2c()).provider("http2 = \"always\"\n");
    let world = through(world, &proxy, "").start().await?;
    assert!(world.chat(&Chat::new("m")).await?.completed());
    assert!(proxy.passages()[0].request_line.starts_with("CONNECT localhost:"), "{:?}", proxy.passages());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxys_credentials_are_given_to_the_proxy_and_to_nobody_else() -> Result<()> {
    for world in [secured("m: words 3 end"), World::of("m: words 3 end")] {
        let proxy = ForwardProxy::start(Manner::Asks(AUTHORIZATION)).await?;
        let world = through(world, &proxy, &format!("{CREDENTIALS}@")).start().await?;
        let view = world.chat(&Chat::new("m")).await?;
        assert!(view.completed(), "{view:?} {:?}", proxy.passages());
        let entry = world.journal("m", |entry| entry.finished).await?;
        assert!(!entry.headers.iter().any(|(name, value)| name.starts_with("proxy-") || value == AUTHORIZATION), "{entry:?}");
        assert!(!holds(&proxy.passages()[0], AUTHORIZATION));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_does_not_let_through_is_a_failed_connection() -> Result<()> {
    let manners = [
        (Manner::Asks(AUTHORIZATION), "407"),
        (Manner::Refuses("403 Forbidden"), "403"),
        (Manner::Refuses("502 Bad Gateway"), "502"),
        (Manner::Babbles, "proxy"),
    ];
    for (manner, reason) in manners {
        let proxy = ForwardProxy::start(manner).await?;
        let world = through(secured("m: words 3 end"), &proxy, "gate:wrong-password@").start().await?;
        let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
        assert_eq!((view.status, view.code(), view.partial()), (502, "connect_failed", Some(false)), "{manner:?}: {view:?}");
        agree(&view, &record)?;
        let why = |line: &str| line.contains("attempt failed") && line.contains(reason);
        eventually(format!("{reason} in the log"), async || world.gateway.printed().lines().any(why).then_some(())).await?;
        let told = format!("{view:?} {record} {}", world.gateway.printed());
        assert!(!told.contains("wrong-password") && !told.contains("Z2F0ZTp3cm9uZy1wYXNzd29yZA"), "{told}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_proxy_that_asks_for_credentials_is_no_answer_of_the_provider() -> Result<()> {
    let proxy = ForwardProxy::start(Manner::Asks(AUTHORIZATION)).await?;
    let world = through(World::of("m: words 3 end"), &proxy, "").start().await?;
    let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
    assert_eq!((view.status, view.code()), (502, "connect_failed"), "{view:?}");
    agree(&view, &record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_silent_or_gone_is_given_up_in_time() -> Result<()> {
    let proxy = ForwardProxy::start(Manner::Silent).await?;
    let world = through(secured("m: words 3 end"), &proxy, "").model("timeouts = { connect = \"300ms\" }\n").start().await?;
    let view = world.chat(&Chat::new("m")).await?;
    assert_eq!((view.status, view.code()), (504, "connect_timeout"), "{view:?}");
    assert_eq!(proxy.passages().len(), 1);
    drop(proxy);
    let view = world.chat(&Chat::new("m")).await?;
    assert_eq!((view.status, view.code()), (502, "connect_failed"), "{view:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_the_tunnel_at_once() -> Result<()> {
    let proxy = ForwardProxy::start(Manner::Open).await?;
    let world = through(secured("m: words 3 every 5ms 20s end"), &proxy, "").provider("http2 = \"never\"\n").start().await?;
    let mut answer = world.gateway.send(&Chat::new("m")).await?;
    let mut view = View::of(&answer);
    view.read_on(&mut answer, 2).await?;
    let left = Instant::now();
    drop(answer);
    let entry = world.journal("m", |entry| entry.peer_left_at.is_some()).await?;
    let noticed = (entry.received_at + entry.peer_left_at.context("it left")?).saturating_duration_since(left);
    assert!(noticed < Duration::from_millis(500), "{noticed:?}");
    eventually("the tunnel's end", async || Some(()).filter(|()| proxy.passages()[0].ended)).await
}

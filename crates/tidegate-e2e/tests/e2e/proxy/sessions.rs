//! Sessions behind a real nginx.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tidegate_e2e::websocket::{PING, PONG, handshake};
use tidegate_e2e::{Answer, Frame, Heard, Nginx, Proxying, WebSocket, World};

const PATH: &str = "/v1/sessions";
const RESUMABLE: [(&str, &str); 1] = [("sec-websocket-protocol", "tidegate.v1")];
/// What docs/proxies.md says about silence, and a patience that a test can outlive.
const PATIENCE: (&str, &str) = ("proxy_read_timeout 300s;", "proxy_read_timeout 3s;");

fn prompt(content: &str) -> Value {
    json!({"type": "PROMPT", "content": content, "model": "m"})
}

/// The text that these messages bring.
fn text(messages: &[Value]) -> String {
    messages.iter().filter_map(|message| message["data"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_opened_and_answered_through_nginx_at_both_paths() -> Result<()> {
    let world = World::start("m: words 5 every 10ms end").await?;
    let nginx = Nginx::start(Proxying::Ours, world.gateway.addr()).await?;
    for path in [PATH, "/"] {
        let mut socket = WebSocket::open(nginx.addr(), path, &RESUMABLE).await?;
        assert_eq!(socket.subprotocol.as_deref(), Some("tidegate.v1"));
        socket.say(&prompt("When is high tide?")).await?;
        let told = socket.until("COMPLETE").await?;
        assert_eq!(text(&told).split_whitespace().count(), 5, "{path}: {told:?}");
        let stream = told[told.len() - 1]["streamId"].as_str().context("a stream")?;
        assert_eq!(world.gateway.record(stream).await?["status"], "completed", "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_nginxs_own_host_may_open_sessions_and_others_may_not() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let nginx = Nginx::start(Proxying::Ours, world.gateway.addr()).await?;
    // TLS ends at a proxy: the page's origin is https and the gateway sees none of it.
    WebSocket::open(nginx.addr(), PATH, &[("origin", "https://tidegate")]).await?;
    let refused = Answer::to(nginx.addr(), &handshake(PATH, &[("origin", "https://elsewhere.example")])).await?;
    assert_eq!(refused.status, 403);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_keep_a_session_beyond_the_silence_that_nginx_allows() -> Result<()> {
    let world = World::of("m: 'hello' end").more("[sessions]\nheartbeat = \"1s\"\n").start().await?;
    let nginx = Nginx::start_but(world.gateway.addr(), PATIENCE.0, PATIENCE.1).await?;
    let mut socket = WebSocket::open(nginx.addr(), PATH, &[]).await?;
    // Each comes a second after the last sign of life: these take longer than nginx waits.
    for nth in 0..5 {
        let Heard::Frame(ping) = socket.next().await? else { bail!("nginx cut the session before ping {nth}") };
        assert_eq!(ping.opcode, PING, "{ping:?}");
        socket.send(&Frame::new(PONG, ping.payload).bytes()).await?;
    }
    socket.say(&prompt("Are you there?")).await?;
    assert_eq!(text(&socket.until("COMPLETE").await?), "hello");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_heartbeat_is_slower_than_nginxs_patience_is_cut_by_it() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let nginx = Nginx::start_but(world.gateway.addr(), PATIENCE.0, PATIENCE.1).await?;
    let mut socket = WebSocket::open(nginx.addr(), PATH, &[]).await?;
    let end = socket.next().await?;
    assert!(matches!(end, Heard::End | Heard::Reset), "{end:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_on_after_nginx_was_killed_in_the_middle_of_it() -> Result<()> {
    let world = World::start("m: words 40 every 50ms end").await?;
    let mut nginx = Nginx::start(Proxying::Ours, world.gateway.addr()).await?;
    let mut socket = WebSocket::open(nginx.addr(), PATH, &RESUMABLE).await?;
    socket.say(&prompt("Tell me of the sea.")).await?;
    let mut told = socket.until("TOKEN").await?;
    nginx.restart().await?;
    let session = told[0]["sessionId"].as_str().context("a session")?.to_owned();
    let last = told[told.len() - 1]["seq"].clone();

    let mut socket = WebSocket::open(nginx.addr(), PATH, &RESUMABLE).await?;
    socket.say(&json!({"type": "RESUME", "sessionId": session, "lastSeq": last})).await?;
    let resumed = socket.message().await?;
    assert_eq!((&resumed["type"], &resumed["resumed"]), (&json!("SESSION"), &json!(true)), "{resumed}");
    told.extend(socket.until("COMPLETE").await?);
    let numbers: Vec<u64> = told.iter().filter_map(|message| message["seq"].as_u64()).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
    assert_eq!(text(&told).split_whitespace().count(), 40);
    assert_eq!(world.requests("m").len(), 1, "the provider was asked once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_that_passes_no_upgrades_is_told_what_is_missing() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let stripped = [
        (Nginx::start(Proxying::Default, world.gateway.addr()).await?, 400, "HTTP/1.1"),
        (Nginx::start_but(world.gateway.addr(), "Upgrade $http_upgrade", "Upgrade \"\"").await?, 426, "asks for no upgrade"),
        (Nginx::start_but(world.gateway.addr(), "Connection $connection_upgrade", "Connection \"\"").await?, 400, "Connection"),
    ];
    for (nginx, status, words) in stripped {
        let view = Answer::to(nginx.addr(), &handshake(PATH, &[])).await?.view().await?;
        assert_eq!(view.status, status, "{view:?}");
        let body = view.body.context("an error")?.to_string();
        assert!(body.contains(words), "{body}");
    }
    Ok(())
}

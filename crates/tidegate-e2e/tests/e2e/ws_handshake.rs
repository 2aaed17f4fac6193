//! How a session is opened: by whom, from where, with what in hand, and what everybody else is told.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use tidegate_e2e::chat::request;
use tidegate_e2e::websocket::{CLOSE, TEXT, handshake};
use tidegate_e2e::world::make_key;
use tidegate_e2e::{Answer, Chat, Frame, Gateway, Heard, View, WebSocket, World, eventually};

const SESSIONS: &str = "/v1/sessions";

/// What becomes of a handshake, or of any other request.
async fn answer(gateway: &Gateway, request: &[u8]) -> Result<View> {
    Answer::to(gateway.addr(), request).await?.view().await
}

async fn refusal(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Result<(u16, String)> {
    let view = answer(gateway, &handshake(path, headers)).await?;
    Ok((view.status, view.code().to_owned()))
}

/// The answer of who asks for a ticket with this key, or without one.
async fn ask_for_ticket(gateway: &Gateway, key: Option<&str>) -> Result<View> {
    let headers: Vec<_> = key.map(|key| ("x-api-key".to_owned(), key.to_owned())).into_iter().collect();
    answer(gateway, &request("POST", "/v1/sessions/tickets", &headers, b"")).await
}

async fn ticket(gateway: &Gateway, key: Option<&str>) -> Result<String> {
    let view = ask_for_ticket(gateway, key).await?;
    let body = view.body.context("a body")?;
    ensure!(view.status == 200 && body["expires_in_ms"] == 60_000, "{body}");
    Ok(body["ticket"].as_str().context("a ticket")?.to_owned())
}

/// The session is there: it answers.
async fn answers(mut socket: WebSocket) -> Result<()> {
    socket.say(&json!({"type": "PING"})).await?;
    let said = loop {
        let said = socket.message().await?;
        // Which session it is, is told between two messages.
        if said["type"] != "SESSION" {
            break said;
        }
    };
    ensure!(said["type"] == "PONG", "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_a_session_by_header_by_subprotocol_and_by_ticket() -> Result<()> {
    let (world, key) = World::of("m: 'hello' end").start_with_key().await?;
    let addr = world.gateway.addr();
    let (bearer, pair) = (format!("Bearer {key}"), format!("tidegate.v1, bearer.{key}"));
    for (headers, subprotocol) in [
        ([("authorization", bearer.as_str()), ("x-other", "1")], None),
        ([("x-api-key", &key), ("sec-websocket-protocol", "chat, tidegate.v1")], Some("tidegate.v1")),
        ([("sec-websocket-protocol", &pair), ("sec-websocket-extensions", "permessage-deflate")], Some("tidegate.v1")),
    ] {
        let socket = WebSocket::open(addr, SESSIONS, &headers).await?;
        assert_eq!(socket.subprotocol.as_deref(), subprotocol, "{headers:?}");
        answers(socket).await?;
    }
    let address = format!("{SESSIONS}?ticket={}", ticket(&world.gateway, Some(&key)).await?);
    answers(WebSocket::open(addr, &address, &[]).await?).await?;
    assert_eq!(refusal(&world.gateway, &address, &[]).await?, (401, "invalid_api_key".to_owned()), "a ticket opens one session");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_key_or_ticket_no_session_opens() -> Result<()> {
    let (world, key) = World::of("m: 'hello' end").start_with_key().await?;
    let wrong = format!("{}x", &key[..45]);
    let (bearer, pair) = (format!("Bearer {wrong}"), format!("tidegate.v1, bearer.{wrong}"));
    for headers in [&[][..], &[("authorization", bearer.as_str())], &[("x-api-key", &wrong)], &[("sec-websocket-protocol", &pair)]] {
        assert_eq!(refusal(&world.gateway, SESSIONS, headers).await?, (401, "invalid_api_key".to_owned()), "{headers:?}");
    }
    for path in [format!("{SESSIONS}?ticket={wrong}"), format!("{SESSIONS}?ticket={key}"), format!("/?ticket={wrong}")] {
        assert_eq!(refusal(&world.gateway, &path, &[("x-api-key", &key)]).await?.0, 401, "what counts is the ticket");
    }
    for key in [None, Some(wrong.as_str())] {
        let view = ask_for_ticket(&world.gateway, key).await?;
        assert_eq!((view.status, view.code()), (401, "invalid_api_key"), "{view:?}");
    }
    let view = ask_for_ticket(&world.gateway, Some(&key)).await?;
    assert_eq!(view.header("cache-control"), Some("no-store"));
    assert_eq!(world.gateway.get("/v1/sessions/tickets").await?.status, 405);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_void_when_its_key_is_revoked_before_it_is_used() -> Result<()> {
    let (world, key) = World::of("m: 'hello' end").start_with_key().await?;
    let other = make_key(world.folder()).await?;
    let given = ticket(&world.gateway, Some(&key)).await?;
    world.command(&["keys", "revoke", &key[..7]]).await?;
    eventually("the revocation is known", async || {
        let view = ask_for_ticket(&world.gateway, Some(&key)).await.ok()?;
        (view.status == 401).then_some(())
    })
    .await?;
    assert_eq!(refusal(&world.gateway, &format!("{SESSIONS}?ticket={given}"), &[]).await?.0, 401);
    let valid = ticket(&world.gateway, Some(&other)).await?;
    answers(WebSocket::open(world.gateway.addr(), &format!("/?ticket={valid}"), &[]).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_gateway_gives_tickets_too_and_they_open_one_session() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let address = format!("{SESSIONS}?ticket={}", ticket(&world.gateway, None).await?);
    answers(WebSocket::open(world.gateway.addr(), &address, &[]).await?).await?;
    assert_eq!(refusal(&world.gateway, &address, &[]).await?.0, 401);
    answers(WebSocket::open(world.gateway.addr(), "/", &[]).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_open_no_session_unless_they_are_listed() -> Result<()> {
    let world = World::of("m: 'hello' end").more("[sessions]\nallowed_origins = [\"https://app.example\"]\n").start().await?;
    for (origin, may) in [
        // The host that the harness's requests name.
        ("http://tidegate", true),
        ("https://tidegate", true),
        ("https://app.example", true),
        ("http://app.example", false),
        ("https://elsewhere.example", false),
        ("null", false),
    ] {
        let answer = Answer::to(world.gateway.addr(), &handshake(SESSIONS, &[("origin", origin)])).await?;
        assert_eq!(answer.status, if may { 101 } else { 403 }, "{origin}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_handshake_reads_what_would_be_one() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let text = String::from_utf8(handshake(SESSIONS, &[]))?;
    for (from, to, status) in [
        ("upgrade: websocket\r\n", "", 426),
        ("sec-websocket-version: 13", "sec-websocket-version: 8", 426),
        ("connection: Upgrade", "connection: keep-alive", 400),
        ("sec-websocket-key: ", "sec-websocket-key: x", 400),
        ("host: tidegate\r\n", "", 400),
        ("GET", "POST", 405),
        ("HTTP/1.1", "HTTP/1.0", 400),
        ("\r\n\r\n", "\r\ncontent-length: 1\r\n\r\nx", 400),
    ] {
        assert!(text.contains(from), "{from}");
        let view = answer(&world.gateway, text.replacen(from, to, 1).as_bytes()).await?;
        assert_eq!((view.status, view.code()), (status, "invalid_request"), "{to}: {view:?}");
        assert_eq!(view.header("sec-websocket-version"), (status == 426).then_some("13"), "{to}: {view:?}");
    }
    assert_eq!(world.gateway.get("/").await?.status, 404, "the root is there for sessions alone");
    assert_eq!(world.gateway.get(SESSIONS).await?.status, 426);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_gateway_refuses_a_session_until_one_has_ended() -> Result<()> {
    let world = World::of("m: 'hello' end").more("[sessions]\nmax_sessions = 1\n").start().await?;
    let mut first = WebSocket::open(world.gateway.addr(), SESSIONS, &[]).await?;
    let view = answer(&world.gateway, &handshake(SESSIONS, &[])).await?;
    assert_eq!((view.status, view.code(), view.header("retry-after")), (503, "gateway_overloaded", Some("1")), "{view:?}");
    assert_eq!(world.gateway.metric("tidegate_refusals_total{code=\"gateway_overloaded\"}").await?, 1.0);

    first.send(&Frame::close(1000, b"").bytes()).await?;
    assert_eq!(first.next().await?, Heard::Frame(Frame::close(1000, b"").unmasked()));
    let second = eventually("a place", async || WebSocket::open(world.gateway.addr(), SESSIONS, &[]).await.ok()).await?;
    answers(second).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_drains_opens_no_session_and_gives_no_ticket() -> Result<()> {
    let world = World::start("m: words 30 every 100ms end").await?;
    let mut running = world.gateway.send(&Chat::new("m")).await?;
    running.event().await?;
    world.gateway.signal(Signal::TERM)?;
    eventually("readiness flips", async || world.gateway.get("/readyz").await.ok().filter(|view| view.status == 503)).await?;
    for view in [answer(&world.gateway, &handshake(SESSIONS, &[])).await?, ask_for_ticket(&world.gateway, None).await?] {
        assert_eq!((view.status, view.code(), view.header("retry-after")), (503, "gateway_draining", Some("1")), "{view:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_tickets_and_what_is_said_are_in_no_log_and_no_file() -> Result<()> {
    let (prompt, word, spoilt) = ("what the user asked 4711", "answered-4712", "spoilt-4713");
    let (world, key) = World::of(&format!("m: '{word}' end"))
        .environment("RUST_LOG", "trace")
        .more("[sessions]\nmodel = \"m\"\n")
        .start_with_key()
        .await?;
    let given = ticket(&world.gateway, Some(&key)).await?;
    let mut socket = WebSocket::open(world.gateway.addr(), &format!("{SESSIONS}?ticket={given}"), &[]).await?;
    socket.say(&json!({"type": "PROMPT", "content": prompt})).await?;
    let mut heard = Vec::new();
    while heard.last().is_none_or(|message: &Value| message["type"] != "COMPLETE") {
        heard.push(socket.message().await?);
    }
    assert!(heard.iter().any(|message| message["data"] == word), "{heard:?}");
    socket.send(&Frame::new(TEXT, [spoilt.as_bytes(), b"\xff"].concat()).bytes()).await?;
    assert!(matches!(socket.next().await?, Heard::Frame(Frame { opcode: CLOSE, .. })));

    let pair = format!("tidegate.v1, bearer.{key}");
    let mut closing = WebSocket::open(world.gateway.addr(), SESSIONS, &[("sec-websocket-protocol", &pair)]).await?;
    closing.send(&Frame::close(1000, spoilt.as_bytes()).bytes()).await?;
    while closing.next().await? != Heard::End {}

    let mut told = world.gateway.printed();
    for file in std::fs::read_dir(world.folder())? {
        told += &String::from_utf8_lossy(&std::fs::read(file?.path())?);
    }
    for secret in [&key, &given, prompt, word, spoilt] {
        assert!(!told.contains(secret), "{secret} is told");
    }
    Ok(())
}

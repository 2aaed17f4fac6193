//! What opens a provider's door is seen by that door alone; what is said in a session, by those who speak.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::json;
use tidegate_e2e::chat::request;
use tidegate_e2e::websocket::{BINARY, TEXT};
use tidegate_e2e::world::PROVIDER_KEY;
use tidegate_e2e::{Answer, Backend, Chat, Edge, ForwardProxy, Frame, Heard, Manner, WebSocket, World, WorldBuilder, eventually};

/// The proxy's name and password in an address, and everything that would give them away.
const CREDENTIALS: &str = "gatekeeper:h%26nter-two";
const AUTHORIZATION: &str = "Basic Z2F0ZWtlZXBlcjpoJm50ZXItdHdv";
const HEADER_VALUE: &str = "organisation-secret-4711";
const SECRETS: [&str; 6] = [PROVIDER_KEY, HEADER_VALUE, "h%26nter-two", "h&nter-two", "gatekeeper", "Z2F0ZWtlZXBlcjpoJm50ZXItdHdv"];

/// Endings of every kind; a provider that is asked with a wrong key often repeats it.
const SCENARIO: &str = "m: words 3 end; cut: 'hel' cut; malformed: 'hel' malformed end;
    bad-key: status 401 message 'Incorrect API key provided: sk-provider-0123456789abcdef';
    bad-shape: status 400 message 'the key sk-provider-0123456789abcdef cannot do this';
    broken: status 500 message 'cannot bill sk-provider-0123456789abcdef';
    limited: status 429 message 'sk-provider-0123456789abcdef is out of tokens' retry-after 2s;
    early: error 'no more for sk-provider-0123456789abcdef'; late: 'hel' error 'no more for sk-provider-0123456789abcdef'";
const MODELS: [&str; 9] = ["m", "cut", "malformed", "bad-key", "bad-shape", "broken", "limited", "early", "late"];

fn with_secrets(world: WorldBuilder, proxy: &ForwardProxy) -> WorldBuilder {
    world
        .provider(&format!("proxy = \"http://{CREDENTIALS}@{}\"\n", proxy.addr()))
        .provider(&format!("headers = {{ X-Organisation = \"{HEADER_VALUE}\" }}\n"))
        .more("[log]\nlevel = \"trace\"\n")
}

/// Everything that anybody but the provider and the proxy can read of this gateway after a stream for each of `models`.
async fn everything_told(world: &World, models: &[&str]) -> Result<String> {
    let mut told = String::new();
    for model in models {
        for chat in [Chat::new(model), Chat::whole(model), Chat::new(model).header("x-tidegate-delivery", "coherent")] {
            let (view, record) = world.chat_and_record(&chat).await?;
            writeln!(told, "{model}: {view:?} {record}")?;
        }
    }
    for arguments in [&["config", "show"][..], &["config", "check"], &["streams", "list", "--json"]] {
        writeln!(told, "{arguments:?}: {}", world.command(arguments).await?)?;
    }
    writeln!(told, "models: {:?}\nmetrics: {}", world.gateway.get("/v1/models").await?, world.gateway.text("/metrics").await?)?;
    told += &everything_kept(world)?;
    Ok(told)
}

/// What the gateway and its workers logged, and every file that they wrote.
fn everything_kept(world: &World) -> Result<String> {
    let mut kept = String::new();
    let workers = world.workers.iter().map(|worker| (&worker.process, worker.folder()));
    for (process, folder) in std::iter::once((&world.gateway, world.folder())).chain(workers) {
        writeln!(kept, "log: {}", process.printed())?;
        for file in std::fs::read_dir(folder)? {
            let path = file?.path();
            if path.ends_with("tidegate.toml") {
                continue;
            }
            writeln!(kept, "{}: {}", path.display(), String::from_utf8_lossy(&std::fs::read(&path)?))?;
        }
    }
    Ok(kept)
}

/// Fails with the places that give a secret away.
fn nothing_in(told: &str) {
    none_of(&SECRETS, told);
}

fn none_of(secrets: &[&str], told: &str) {
    for secret in secrets {
        let found: Vec<String> = told.match_indices(secret).map(|(at, _)| around(told, at)).collect();
        assert!(found.is_empty(), "{secret} is told {} times, as in {:#?}", found.len(), &found[..found.len().min(5)]);
    }
}

fn around(text: &str, at: usize) -> String {
    let bytes = &text.as_bytes()[at.saturating_sub(200)..text.len().min(at + 100)];
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_told_to_the_provider_and_its_proxy_alone() -> Result<()> {
    let tunnelled = World::of(SCENARIO).edge(Edge::tls()).provider("ca_file = \"ca.pem\"\n");
    for world in [tunnelled, World::of(SCENARIO)] {
        let proxy = ForwardProxy::start(Manner::Asks(AUTHORIZATION)).await?;
        let world = with_secrets(world, &proxy).start().await?;
        let told = everything_told(&world, &MODELS).await?;
        nothing_in(&told);
        assert!(told.contains("the key *** cannot do this"), "the reason of a refusal is the client's business");

        // They were used all the same.
        let entry = world.journal("m", |entry| entry.finished).await?;
        let header = |name: &str| entry.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        assert_eq!(header("authorization").context("a key")?, format!("Bearer {PROVIDER_KEY}"));
        assert_eq!(header("x-organisation").context("a header")?, HEADER_VALUE);
        assert_eq!(proxy.passages()[0].authorization.as_deref(), Some(AUTHORIZATION));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_fails_tells_no_secret_either() -> Result<()> {
    let refusing = || World::of("m: words 3 end").edge(Edge::tls());
    let cases = [
        (Manner::Refuses("407 Proxy Authentication Required"), refusing()),
        (Manner::Babbles, refusing()),
        // The tunnel opens, and the certificate behind it is unknown.
        (Manner::Open, refusing()),
        (Manner::Refuses("407 Proxy Authentication Required"), World::of("m: words 3 end")),
    ];
    for (manner, world) in cases {
        let proxy = ForwardProxy::start(manner).await?;
        let world = with_secrets(world, &proxy).start().await?;
        let told = everything_told(&world, &["m"]).await?;
        assert!(told.contains("connect_failed"), "{manner:?}: {told}");
        nothing_in(&told);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_is_refused_tells_no_secret() -> Result<()> {
    let proxy = ForwardProxy::start(Manner::Open).await?;
    let world = with_secrets(World::of("m: words 3 end"), &proxy).start().await?;
    let path = world.folder().join("tidegate.toml");
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, text.replace("api_key = ", "apikey = ").replace("proxy = \"http://", "proxy = \"ftp://"))?;
    world.gateway.signal(rustix::process::Signal::HUP)?;
    eventually("the refusal", async || Some(()).filter(|()| world.gateway.printed().contains("apikey"))).await?;
    nothing_in(&world.gateway.printed());
    Ok(())
}

/// In every prompt and every answer, and nowhere else.
const SAID: &str = "spoken-in-confidence";

on_every_backend!(what_is_said_in_a_session_is_in_no_log_line_whatever_the_log_is_asked_for);

async fn what_is_said_in_a_session_is_in_no_log_line_whatever_the_log_is_asked_for(backend: Backend) -> Result<()> {
    let call = json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "note", "arguments": SAID}});
    let chunk = json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
    let scenario = format!("m: '{SAID}' end; cut: '{SAID}' cut; tools: data '{chunk}' end; refused: status 400 message '{SAID}'");
    let everything = "trace,tungstenite=trace,tungstenite::protocol=trace,tokio_tungstenite=trace,tidegate_gateway::session=trace";
    let (world, key) = World::of(&scenario).backend(backend).environment("RUST_LOG", everything).start_with_key().await?;
    let addr = world.gateway.addr();

    // The ways in: by a ticket, and by a key among the subprotocols.
    let authorization = [("authorization".to_owned(), format!("Bearer {key}"))];
    let ticket = Answer::to(addr, &request("POST", "/v1/sessions/tickets", &authorization, b"")).await?.view().await?;
    let ticket = ticket.body.context("a ticket")?["ticket"].as_str().context("a ticket")?.to_owned();
    let subprotocols = format!("tidegate.v1, bearer.{key}");
    let mut by_ticket = WebSocket::open(addr, &format!("/v1/sessions?ticket={ticket}"), &[]).await?;
    let mut by_key = WebSocket::open(addr, "/v1/sessions", &[("sec-websocket-protocol", &subprotocols)]).await?;

    // All that can be said in a session, well and badly.
    for (model, end) in [("m", "COMPLETE"), ("cut", "ERROR"), ("tools", "COMPLETE"), ("refused", "ERROR")] {
        let id = format!("{SAID} {model}");
        by_ticket.say(&json!({"type": "PROMPT", "content": SAID, "system": SAID, "id": id, "model": model})).await?;
        by_ticket.until(end).await?;
    }
    for message in [json!({"type": SAID}), json!({"type": "CANCEL", "taskId": SAID}), json!(SAID)] {
        by_ticket.say(&message).await?;
        by_ticket.until("ERROR").await?;
    }
    by_ticket.send(&Frame::new(BINARY, SAID).bytes()).await?;
    by_ticket.until("ERROR").await?;
    by_key.say(&json!({"type": "RESUME", "sessionId": SAID, "lastSeq": 0})).await?;
    by_key.until("SESSION").await?;

    // The ways out: with a word, and by a broken frame.
    by_ticket.send(&Frame::close(1000, SAID.as_bytes()).bytes()).await?;
    by_key.send(&Frame::new(TEXT, SAID).reserved(7).bytes()).await?;
    for mut socket in [by_ticket, by_key] {
        while let Heard::Frame(_) = socket.next().await? {}
    }

    // Both are over, and the log has come to the last of it.
    world.closed_records().await?;
    let kept = everything_kept(&world)?;
    none_of(&[SAID, &key, &ticket, PROVIDER_KEY], &kept);
    assert!(kept.contains("\"level\":\"DEBUG\""), "the log was to tell everything: {}", world.gateway.printed());
    Ok(())
}

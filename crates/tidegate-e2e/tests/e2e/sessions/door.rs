//! Who may open a session.

use anyhow::{Context, Result};
use tidegate_e2e::chat::request;
use tidegate_e2e::{Answer, Backend, Goodbye, Hello, Message, Prompt, SessionClient, World, eventually};

use super::world;

on_every_backend!(
    a_key_opens_on_every_road_and_nothing_else_does,
    a_ticket_opens_once,
    a_ticket_of_a_revoked_key_opens_nothing,
    pages_of_other_origins_are_refused,
    what_asks_for_no_websocket_is_told_so,
    there_are_only_so_many_sessions,
    a_key_that_is_revoked_meanwhile_asks_nothing_more,
    a_session_belongs_to_its_key,
);

async fn a_key_opens_on_every_road_and_nothing_else_does(backend: Backend) -> Result<()> {
    let (world, key) = world(backend, "m: 'hello' end").start_with_key().await?;
    let addr = world.gateway.addr();
    let pair = |key: &str| Hello::plain().header("sec-websocket-protocol", &format!("tidegate.v1, bearer.{key}"));
    for hello in [Hello::plain().key(&key), Hello::plain().header("x-api-key", &key), pair(&key), pair(&key).at("/")] {
        let mut client = SessionClient::open(addr, &hello).await?;
        let (task, text) = client.complete(&Prompt::to("m")).await?;
        assert_eq!(text, "hello", "{hello:?}");
        let record = world.record_of_task(&task).await?;
        assert_eq!((&record["team"], &record["environment"]), (&"search".into(), &"staging".into()), "{record}");
    }
    let wrong = format!("{}x", &key[..45]);
    let refused = [
        Hello::plain(),
        Hello::resumable(),
        Hello::plain().key(&wrong),
        pair(&wrong),
        pair(""),
        Hello::plain().at("/v1/sessions?ticket=tg_"),
    ];
    for hello in refused {
        let view = hello.answer(addr).await?;
        assert_eq!((view.status, view.code()), (401, "invalid_api_key"), "{hello:?}");
        assert!(!format!("{view:?}").contains(&wrong), "{view:?} repeats the key");
    }
    assert!(!world.gateway.printed().contains(&key), "{}", world.gateway.printed());
    Ok(())
}

async fn ticket(world: &World, key: &str) -> Result<String> {
    let headers = [("authorization".to_owned(), format!("Bearer {key}"))];
    let view = Answer::to(world.gateway.addr(), &request("POST", "/v1/sessions/tickets", &headers, b"")).await?.view().await?;
    let body = view.body.with_context(|| format!("status {}", view.status))?;
    assert_eq!(body["expires_in_ms"], 60_000, "{body}");
    Ok(body["ticket"].as_str().context("a ticket")?.to_owned())
}

async fn a_ticket_opens_once(backend: Backend) -> Result<()> {
    let (world, key) = world(backend, "m: 'hello' end").start_with_key().await?;
    let ticket = ticket(&world, &key).await?;
    let hello = Hello::resumable().at(&format!("/v1/sessions?ticket={ticket}"));
    let mut client = SessionClient::open(world.gateway.addr(), &hello).await?;
    let (task, _) = client.complete(&Prompt::to("m")).await?;
    let record = world.record_of_task(&task).await?;
    assert_eq!(record["team"], "search", "{record}");
    assert_eq!(hello.answer(world.gateway.addr()).await?.status, 401, "it is used");
    assert!(!world.gateway.printed().contains(&ticket));
    let without = Answer::to(world.gateway.addr(), &request("POST", "/v1/sessions/tickets", &[], b"")).await?;
    assert_eq!(without.status, 401);
    Ok(())
}

/// Revokes `key` and waits until the gateway knows. Another key stays, so that it does not become open.
async fn revoke(world: &World, key: &str, other: &str) -> Result<()> {
    let id = key_id(world, key, other).await?;
    world.command(&["keys", "revoke", &id]).await?;
    let refused = async || world.gateway.get_with_key("/v1/models", Some(key)).await.ok().filter(|view| view.status == 401);
    eventually("the key is refused", refused).await.map(drop)
}

/// The id of `key`, which is not that of `other`: both have asked something.
async fn key_id(world: &World, key: &str, other: &str) -> Result<String> {
    let mut ids = Vec::new();
    for key in [key, other] {
        let mut client = SessionClient::open(world.gateway.addr(), &Hello::plain().key(key)).await?;
        let task = client.complete(&Prompt::to("m")).await?.0;
        ids.push(world.record_of_task(&task).await?["key_id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
    Ok(ids[0].as_str().context("a key id")?.to_owned())
}

async fn a_ticket_of_a_revoked_key_opens_nothing(backend: Backend) -> Result<()> {
    let (world, other) = world(backend, "m: 'hello' end").start_with_key().await?;
    let key = world.make_key(&[]).await?;
    let ticket = ticket(&world, &key).await?;
    revoke(&world, &key, &other).await?;
    assert_eq!(Hello::plain().at(&format!("/?ticket={ticket}")).answer(world.gateway.addr()).await?.status, 401);
    Ok(())
}

async fn pages_of_other_origins_are_refused(backend: Backend) -> Result<()> {
    let sessions = "[sessions]\nallowed_origins = [\"https://app.example.com\"]\n";
    let world = world(backend, "m: 'hello' end").more(sessions).start().await?;
    let addr = world.gateway.addr();
    let from = |origin: &str| Hello::plain().header("origin", origin);
    for origin in ["https://app.example.com".to_owned(), format!("http://{addr}")] {
        assert_eq!(SessionClient::open(addr, &from(&origin)).await?.complete(&Prompt::to("m")).await?.1, "hello", "{origin}");
    }
    for origin in ["https://evil.example.com", "http://app.example.com", "https://app.example.com.evil.com", "null", ""] {
        assert_eq!(from(origin).answer(addr).await?.status, 403, "{origin:?}");
    }
    Ok(())
}

async fn what_asks_for_no_websocket_is_told_so(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hello' end").start().await?;
    let addr = world.gateway.addr();
    let answer = Answer::to(addr, &request("GET", "/v1/sessions", &[], b"")).await?;
    assert_eq!((answer.status, answer.header("upgrade"), answer.header("sec-websocket-version")), (426, Some("websocket"), Some("13")));
    assert_eq!(Answer::to(addr, &request("POST", "/v1/sessions", &[], b"{}")).await?.status, 405);
    assert_eq!(Answer::to(addr, &request("GET", "/", &[], b"")).await?.status, 404);
    Ok(())
}

async fn there_are_only_so_many_sessions(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'one' stall").more("[sessions]\nmax_sessions = 2\nresume_ttl = \"1s\"\n").start().await?;
    let addr = world.gateway.addr();
    let (first, mut second) = (world.session().await?, world.session().await?);
    let view = Hello::resumable().answer(addr).await?;
    assert_eq!((view.status, view.code()), (503, "gateway_overloaded"), "{view:?}");
    assert!(view.header("retry-after").is_some(), "{view:?}");
    // One that ends makes room, and so does one that nobody comes back for.
    first.close().await?;
    let mut third = eventually("room", async || world.session().await.ok()).await?;
    let task = third.ask(&Prompt::to("m")).await?;
    third.tokens(&task, 1).await?;
    third.cut()?;
    let mut fourth = eventually("room again", async || world.session().await.ok()).await?;
    fourth.ping().await?;
    second.ping().await
}

async fn a_key_that_is_revoked_meanwhile_asks_nothing_more(backend: Backend) -> Result<()> {
    let (world, other) = world(backend, "m: 'hello' end; slow: words 60 every 50ms end").start_with_key().await?;
    let key = world.make_key(&[]).await?;
    let hello = Hello::resumable().key(&key);
    let mut client = SessionClient::open(world.gateway.addr(), &hello).await?;
    let running = client.ask(&Prompt::to("slow")).await?;
    let waiting = client.ask(&Prompt::to("m")).await?;
    client.tokens(&running, 1).await?;
    revoke(&world, &key, &other).await?;
    assert!(matches!(client.end(&running).await?, Message::Complete { .. }), "what was begun is finished");
    let asked = world.requests("m").len();
    for task in [waiting, client.ask(&Prompt::to("m")).await?] {
        let end = client.end(&task).await?;
        assert_eq!((end.code(), end.problem().map(|problem| problem.retryable)), ("invalid_api_key", Some(false)));
    }
    assert_eq!(world.requests("m").len(), asked);
    assert_eq!(hello.answer(world.gateway.addr()).await?.status, 401);
    Ok(())
}

async fn a_session_belongs_to_its_key(backend: Backend) -> Result<()> {
    let (world, key) = world(backend, "m: words 5 every 20ms end").start_with_key().await?;
    let (addr, theirs) = (world.gateway.addr(), world.make_key(&[]).await?);
    let mut client = SessionClient::open(addr, &Hello::resumable().key(&key)).await?;
    let task = client.ask(&Prompt::to("m")).await?;
    let session = client.id().await?;
    let (mut thief, resumed) =
        SessionClient::resume(addr, &Hello::resumable().key(&theirs), &session, tidegate_e2e::session::Log::default()).await?;
    assert!(!resumed && thief.id().await? != session);
    assert!(matches!(client.end(&task).await?, Message::Complete { .. }), "its owner noticed nothing");
    client.log().agree(&task, &world.record_of_task(&task).await?)?;
    // Gone on with by the owner, it is as it was.
    let log = client.cut()?;
    let (mut client, resumed) = SessionClient::resume(addr, &Hello::resumable().key(&key), &session, log).await?;
    assert!(resumed && client.complete(&Prompt::to("m")).await.is_ok());
    client.frame(tokio_tungstenite::tungstenite::protocol::Message::Close(None)).await?;
    assert!(matches!(client.goodbye().await?, Goodbye::Closed(..)));
    Ok(())
}

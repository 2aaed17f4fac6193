//! What a client's HTTP may look like, and what it gets for it.

use std::time::Instant;

use anyhow::{Context, Result};
use tidegate_e2e::{Answer, Chat, TransportEnd, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// `chat` as a client of HTTP/1.0 sends it that would like to keep its connection.
fn http_10(chat: &Chat) -> Vec<u8> {
    let text = String::from_utf8(chat.bytes()).expect("a request is text");
    text.replacen("HTTP/1.1\r\n", "HTTP/1.0\r\nconnection: keep-alive\r\n", 1).into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_1_0_learns_that_the_end_is_the_connections_end() -> Result<()> {
    let world = World::start("m: 'hello' end; bad: 'hel' cut").await?;
    for (chat, completes) in [(Chat::new("m"), true), (Chat::whole("m"), true), (Chat::new("bad"), false), (Chat::whole("bad"), false)] {
        let view = Answer::to(world.gateway.addr(), &http_10(&chat)).await?.view().await?;
        assert_eq!(view.header("connection"), Some("close"), "{view:?}");
        assert_eq!(view.header("transfer-encoding"), None, "{view:?}");
        assert!(matches!(view.end, Some(TransportEnd::Closed | TransportEnd::Complete)), "{view:?}");
        assert_eq!(view.completed(), completes, "{view:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_64_kib_passes_and_one_byte_more_does_not() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let padded = |size: usize| {
        let bare = Chat::new("m").header("x-padding", "").head_bytes().len();
        Chat::new("m").header("x-padding", &"x".repeat(size - bare))
    };
    assert_eq!(padded(65536).head_bytes().len(), 65536);
    assert!(world.chat(&padded(65536)).await?.completed());
    for size in [65537, 70_000, 200_000] {
        let mut socket = TcpStream::connect(world.gateway.addr()).await?;
        // The gateway need not read what it will not answer.
        drop(socket.write_all(&padded(size).bytes()).await);
        let mut answer = Vec::new();
        drop(socket.read_to_end(&mut answer).await);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{size}: {answer}");
    }
    assert_eq!(world.mock.journal().entries().len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_comes_too_late_reads_an_error_like_all_others() -> Result<()> {
    let world = World::of("m: 'hello' end").server("header_timeout = \"200ms\"").start().await?;
    let mut socket = TcpStream::connect(world.gateway.addr()).await?;
    socket.write_all(b"POST /v1/chat/comp").await?;
    let view = Answer::on(socket, Instant::now()).await?.view().await?;
    assert_eq!((view.status, view.code(), view.partial()), (408, "request_timeout", Some(false)), "{view:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn models_behind_a_pattern_are_served_and_not_listed() -> Result<()> {
    let world =
        World::of("named: 'hello' end; other: 'hello' end").more("[models.named]\nroutes = [{ provider = \"mock\" }]").start().await?;
    let body = world.gateway.get("/v1/models").await?.body.context("a list")?;
    let ids: Vec<_> = body["data"].as_array().into_iter().flatten().map(|model| &model["id"]).collect();
    assert_eq!(ids, ["named"]);
    assert!(world.chat(&Chat::new("other")).await?.completed());
    Ok(())
}

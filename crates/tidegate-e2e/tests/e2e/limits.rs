//! Overload and hostile senders: a typed refusal at once, and room again as soon as there is room.

use std::time::{Duration, Instant};

use anyhow::Result;
use tidegate_e2e::{Answer, Chat, World, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOON: &str = "timeouts = { first_byte = \"1s\", idle = \"300ms\", total = \"6s\" }";

#[tokio::test(flavor = "multi_thread")]
async fn past_max_streams_the_next_one_is_refused_at_once_and_taken_when_one_has_ended() -> Result<()> {
    let world = World::of("m: 'one' 1500ms 'two' end").server("max_streams = 2").start().await?;
    let (mut first, mut second) = (world.gateway.send(&Chat::new("m")).await?, world.gateway.send(&Chat::new("m")).await?);
    first.event().await?;
    second.event().await?;

    let began = Instant::now();
    let refused = world.chat(&Chat::new("m")).await?;
    assert_eq!((refused.status, refused.code()), (503, "gateway_overloaded"), "{refused:?}");
    assert!(refused.header("retry-after").is_some() && began.elapsed() < Duration::from_millis(500), "{refused:?}");
    assert_eq!(world.gateway.get("/healthz").await?.status, 200, "the gateway itself is well");

    assert!(first.view().await?.completed());
    let next = eventually("room", async || world.chat(&Chat::new("m")).await.ok().filter(|view| view.status == 200)).await?;
    assert!(next.completed());
    assert!(second.view().await?.completed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_is_free_again_whatever_the_ending() -> Result<()> {
    let scenario = "ok: 'hello' end; cut: 'hel' cut; early: role cut; refused: refuse; stall: 'hel' stall; error: error 'no'";
    let world = World::of(scenario).server("max_streams = 1").model(SOON).start().await?;
    for model in ["ok", "cut", "early", "refused", "stall", "error", "ok"] {
        for chat in [Chat::new(model), Chat::whole(model)] {
            let free = eventually(model, async || world.chat(&chat).await.ok().filter(|view| view.code() != "gateway_overloaded"));
            let view = free.await?;
            assert_eq!(view.completed(), model == "ok", "{model}: {view:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_before_it_was_sent() -> Result<()> {
    let world = World::of("m: 'hello' end").server("max_body = \"64KiB\"").start().await?;
    let chat = Chat::new("m").with("padding", "x".repeat(100 * 1024));
    let view = Answer::to(world.gateway.addr(), &chat.head_bytes()).await?.view().await?;
    assert_eq!((view.status, view.code()), (413, "request_too_large"), "{view:?}");

    // The same without an announced length: counted on the way.
    let mut socket = TcpStream::connect(world.gateway.addr()).await?;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await?;
    for _ in 0..8 {
        let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
        if socket.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let view = Answer::on(socket, Instant::now()).await?.view().await?;
    assert_eq!((view.status, view.code()), (413, "request_too_large"), "{view:?}");
    assert!(world.chat(&Chat::new("m")).await?.completed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_or_a_body_that_drips_in_is_answered_by_408() -> Result<()> {
    let world = World::of("m: 'hello' end").server("header_timeout = \"400ms\"\nbody_timeout = \"400ms\"").start().await?;
    let bytes = Chat::new("m").bytes();
    let head = Chat::new("m").head_bytes().len();
    for sent_at_once in [20, head + 5] {
        let mut socket = TcpStream::connect(world.gateway.addr()).await?;
        socket.set_nodelay(true)?;
        socket.write_all(&bytes[..sent_at_once]).await?;
        let (mut reader, mut writer) = socket.into_split();
        let drip = async {
            for byte in bytes[sent_at_once..].chunks(1).take(40) {
                // The pace of a slow sender is the subject.
                tokio::time::sleep(Duration::from_millis(50)).await;
                if writer.write_all(byte).await.is_err() {
                    break;
                }
            }
        };
        let mut answer = Vec::new();
        let read = async { reader.read_to_end(&mut answer).await };
        let (_, read) = tokio::join!(drip, read);
        let answer_text = String::from_utf8_lossy(&answer);
        assert!(answer_text.starts_with("HTTP/1.1 408"), "after {sent_at_once} bytes: {answer_text:?} {read:?}");
        assert!(answer_text.contains("request_timeout"), "{answer_text:?}");
    }
    assert!(world.mock.journal().entries().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_send_nothing_do_not_keep_others_out() -> Result<()> {
    let world = World::of("m: 'hello' end").server("max_connections = 20\nheader_timeout = \"500ms\"").start().await?;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(world.gateway.addr()).await?);
    }
    let view = eventually("a free connection", async || world.chat(&Chat::new("m")).await.ok()).await?;
    assert!(view.completed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_understood_are_refused_with_a_reason() -> Result<()> {
    let world = World::of("m: 'hello' end").start().await?;
    let post = |path: &str, body: &str| {
        let bytes = tidegate_e2e::chat::request("POST", path, &[], body.as_bytes());
        let addr = world.gateway.addr();
        async move { Answer::to(addr, &bytes).await?.view().await }
    };
    let chat = "/v1/chat/completions";
    for body in [
        "",
        "{",
        "[]",
        "\"text\"",
        "{\"stream\":true}",
        "{\"model\":7,\"messages\":[]}",
        "{\"model\":\"m\",\"stream\":\"yes\",\"messages\":[]}",
    ] {
        let view = post(chat, body).await?;
        assert_eq!((view.status, view.code()), (400, "invalid_request"), "{body}: {view:?}");
    }
    let view = post("/v1/nothing", "{}").await?;
    assert_eq!((view.status, view.code()), (404, "not_found"), "{view:?}");
    let view = world.gateway.get(chat).await?;
    assert!(matches!(view.status, 404 | 405), "{view:?}");
    assert!(world.mock.journal().entries().is_empty(), "nothing of this is the provider's business");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_framing_is_refused_and_nothing_is_smuggled() -> Result<()> {
    let world = World::of("m: 'hello' end").start().await?;
    let smuggled = "GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n";
    for framing in ["content-length: 5\r\ntransfer-encoding: chunked", "content-length: 5\r\ncontent-length: 6", "content-length: -1"] {
        let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\n{framing}\r\n\r\n0\r\n\r\n{smuggled}");
        let mut socket = TcpStream::connect(world.gateway.addr()).await?;
        socket.write_all(head.as_bytes()).await?;
        socket.shutdown().await?;
        let mut answer = Vec::new();
        // A reset is a refusal too.
        drop(socket.read_to_end(&mut answer).await);
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("200 OK"), "{framing}: {answer}");
    }
    assert!(world.mock.journal().entries().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_whose_framing_is_broken_is_the_clients_mistake() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n";
    let view = Answer::to(world.gateway.addr(), request).await?.view().await?;
    assert_eq!((view.status, view.code()), (400, "invalid_request"), "{view:?}");
    Ok(())
}

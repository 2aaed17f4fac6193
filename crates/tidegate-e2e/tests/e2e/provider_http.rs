//! What a provider's HTTP may look like, and what the gateway makes of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tidegate_e2e::{Chat, World, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_told_once_and_again_after_a_success() -> Result<()> {
    let scenario = "m: status 401 | status 401 | 'hello' end | status 401";
    let world = World::start(scenario).await?;
    for status in [502, 502, 200, 502] {
        // A refused key opens the breaker, for a millisecond here.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let view = world.chat(&Chat::new("m")).await?;
        assert_eq!(view.status, status, "{view:?}");
    }
    let told = || world.gateway.printed().matches("refuses the gateway's key").count();
    eventually("the log's second line", async || (told() == 2).then_some(())).await
}

/// A provider that reads the beginning of a request, answers `answer` and then does nothing, or hangs up.
async fn hasty_provider(answer: &'static str, hangs_up: bool) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut beginning = [0; 512];
            drop(socket.read(&mut beginning).await);
            drop(socket.write_all(answer.as_bytes()).await);
            if !hangs_up {
                kept.push(socket);
            }
        }
    });
    Ok(addr)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_before_the_request_was_sent_is_read() -> Result<()> {
    let refusal = "HTTP/1.1 413 Payload Too Large\r\ncontent-type: application/json\r\ncontent-length: 41\r\n\r\n\
        {\"error\":{\"message\":\"beyond our means\"}}  ";
    for hangs_up in [false, true] {
        let provider = hasty_provider(refusal, hangs_up).await?;
        let world = World::of("").provider_at("hasty", provider).start().await?;
        // More than any socket buffers on the way.
        let chat = Chat::new("hasty").with("padding", "x".repeat(16 << 20));
        let began = Instant::now();
        let (view, record) = world.chat_and_record(&chat).await?;
        assert_eq!((view.status, view.code()), (413, "upstream_rejected"), "{view:?}");
        assert!(view.error.context("an error")?["message"].as_str().is_some_and(|text| text.contains("beyond our means")));
        assert_eq!(record["attempts"][0]["http_status"], 413, "{record}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
    Ok(())
}

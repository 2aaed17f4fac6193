//! Faults that a second look found where several parts meet.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tidegate_e2e::chat::request;
use tidegate_e2e::world::PROVIDER_KEY;
use tidegate_e2e::{Answer, Chat, World};
use tidegate_scenario::JournalEntry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ncontent-length: 102\r\n\r\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"for Alice\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
const FAILURE: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// A provider that answers its n-th connection with the n-th of these, the last of them for ever, and then does nothing.
async fn provider(answers: &'static [&'static [u8]]) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        let mut kept = Vec::new();
        let mut answers = answers.iter().chain(answers.last().into_iter().cycle());
        while let Ok((mut socket, _)) = listener.accept().await {
            let Some(answer) = answers.next() else { return };
            let mut request = [0; 4096];
            drop(socket.read(&mut request).await);
            drop(socket.write_all(answer).await);
            kept.push(socket);
        }
    });
    Ok(addr)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_compared_share_no_cached_answer() -> Result<()> {
    let chain = format!(
        "[providers.p]\nkind = \"openai\"\nbase_url = \"http://{}/v1\"\n\
         [models.m]\nroutes = [{{ provider = \"p\" }}]\ndegrade = [{{ cached = \"1h\" }}]\n",
        provider(&[ANSWER, FAILURE]).await?
    );
    let world = World::of("").recovers("[retry]\nattempts = 1\n").more(&chain).start().await?;
    // A number that no computer holds, as JSON allows it: the same as a text that was cut in the middle of an emoji.
    let ask = async |text: &str| {
        let body = format!(r#"{{"model":"m","stream":true,"x":1e999,"messages":[{{"role":"user","content":"{text}"}}]}}"#);
        Answer::to(world.gateway.addr(), &request("POST", "/v1/chat/completions", &[], body.as_bytes())).await?.view().await
    };
    assert!(ask("Alice").await?.completed());
    let other = ask("Bob").await?;
    assert_eq!((other.status, other.code()), (502, "upstream_error"), "{other:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_whose_reason_never_comes_is_judged_by_its_status() -> Result<()> {
    let addr = provider(&[b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"error\""])
        .await?;
    let world = World::of("").provider_at("stalls", addr).start().await?;
    for chat in [Chat::new("stalls"), Chat::whole("stalls")] {
        let began = Instant::now();
        let (view, record) = world.chat_and_record(&chat).await?;
        assert_eq!((view.status, view.code()), (502, "upstream_error"), "{view:?}");
        assert_eq!(record["attempts"][0]["http_status"], 503, "{record}");
        assert!(began.elapsed() < Duration::from_secs(8), "it took {:?}", began.elapsed());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_that_does_not_come_is_asked_for_elsewhere() -> Result<()> {
    let routes = "[models.x]\nroutes = [{ provider = \"mock\", model = \"silent\" }, { provider = \"mock\", model = \"good\" }]\n\
        timeouts = { connect = \"500ms\", first_byte = \"500ms\", idle = \"500ms\", total = \"4s\" }\n";
    let world = World::of("silent: stall; good: 'hello' end").recovers("").more(routes).start().await?;
    let (view, record) = world.chat_and_record(&Chat::whole("x")).await?;
    assert!(view.completed() && view.text == "hello", "{view:?}");
    assert_eq!(record["attempts"][0]["code"], "first_byte_timeout", "{record}");
    Ok(())
}

fn authorization(entry: &JournalEntry) -> String {
    entry.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.clone()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_one_key_leaves_the_target_to_the_other() -> Result<()> {
    let world = World::of("m: status 429 retry-after 30 | 'hello' end")
        .recovers("[retry]\nbackoff = \"10ms\"\njitter = \"1ms\"\n")
        .provider_keys(&[PROVIDER_KEY, "sk-other-0123456789abcdef"])
        .any_provider_key()
        .start()
        .await?;
    let began = Instant::now();
    let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
    assert!(view.completed() && began.elapsed() < Duration::from_secs(5), "{view:?} after {:?}", began.elapsed());
    assert_eq!(record["attempts"].as_array().map(Vec::len), Some(2), "{record}");
    let keys: Vec<String> = world.mock.journal().entries().iter().map(authorization).collect();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1], "the key that is not limited is taken");
    for _ in 0..3 {
        assert!(world.chat(&Chat::new("m")).await?.completed());
    }
    let last = world.mock.journal().entries().pop().context("a request")?;
    assert_eq!(authorization(&last), keys[1], "the limited one rests");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_outage_jobs_leave_half_of_the_places_to_those_who_wait() -> Result<()> {
    let chain = "[models.down]\nroutes = [{ provider = \"mock\" }]\ndegrade = [{ notify = true }]\n";
    let world = World::of("down: status 503; up: 'hello' end")
        .server("max_streams = 8")
        .recovers("[retry]\nattempts = 1\n")
        .more(chain)
        .start()
        .await?;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(world.chat(&Chat::whole("down")).await?.status);
    }
    assert!(statuses.contains(&202) && statuses.iter().filter(|status| **status == 202).count() <= 4, "{statuses:?}");
    let healthy = world.chat(&Chat::new("up")).await?;
    assert!(healthy.completed(), "{healthy:?}");
    assert_eq!(json!(healthy.text), "hello");
    Ok(())
}

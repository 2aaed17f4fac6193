use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Response;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use tidegate_config::{Config, Sources};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::attempt::call::Call;
use crate::attempt::open::{Answer, OpenError, open};
use crate::attempt::provider::{self, Provider};

/// Longer than anything takes that happens at all, shorter than a test may.
const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for what must not happen to happen.
const MOMENT: Duration = Duration::from_millis(200);

/// An answer that has begun and never goes on.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// How many connections a provider has.
#[derive(Debug, Default)]
struct Seen {
    open: AtomicUsize,
    ever: AtomicUsize,
}

/// A provider of HTTP/2 without TLS, with these `settings` of its own, and the gateway's side of it with those `lines` of configuration.
async fn provider(settings: impl Fn(&mut server::Builder<TokioExecutor>), answers: bool, lines: &str) -> (Arc<Provider>, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("its address");
    let mut builder = server::Builder::new(TokioExecutor::new());
    settings(&mut builder);
    let seen = Arc::new(Seen::default());
    tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            while let Ok((tcp, _)) = listener.accept().await {
                seen.ever.fetch_add(1, Ordering::Relaxed);
                seen.open.fetch_add(1, Ordering::Relaxed);
                let service = service_fn(move |request: Request<Incoming>| async move {
                    if !answers {
                        let _unread = request;
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, Infallible>(Response::new(Endless))
                });
                let serving = builder.serve_connection(TokioIo::new(tcp), service);
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    drop(serving.await);
                    seen.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        }
    });
    let text = format!(
        "[providers.p]\nkind = \"openai\"\nbase_url = \"http://{addr}/v1\"\nhttp2 = \"always\"\n{lines}\n[models.m]\nroutes = [{{ provider = \"p\" }}]"
    );
    let config = Config::load(&Sources::of_text(text)).expect("a valid configuration").config;
    let providers = provider::all(&config, &BTreeMap::new()).expect("a valid provider");
    (Arc::clone(&providers["p"]), seen)
}

async fn ask(provider: &Arc<Provider>, steps: &Arc<Steps>, body: Bytes) -> Result<Answer, OpenError> {
    let call = Call { endpoint: "/chat/completions", headers: Vec::new(), body, key: None };
    open(Arc::clone(provider), Arc::new(call), Arc::clone(steps)).await
}

/// The head of an answer, or nothing where it does not come in time.
async fn answered(provider: &Arc<Provider>, time: Duration) -> Option<Answer> {
    let asked = timeout(time, ask(provider, &Arc::default(), Bytes::from_static(b"{}"))).await;
    asked.ok().map(|answer| answer.expect("an answer"))
}

#[tokio::test]
async fn a_connection_counts_once_however_many_streams_it_carries() {
    let (provider, seen) = provider(|_| {}, true, "max_connections = 1").await;
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let provider = Arc::clone(&provider);
            tokio::spawn(async move { answered(&provider, PATIENCE).await })
        })
        .collect();
    let mut answers = Vec::new();
    for asked in asking {
        answers.push(asked.await.expect("no panic").expect("beside the others"));
    }
    assert_eq!(seen.ever.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn where_the_peer_allows_no_more_streams_another_connection_is_opened_and_then_waited() {
    let limit = |builder: &mut server::Builder<TokioExecutor>| _ = builder.max_concurrent_streams(2);
    let (provider, seen) = provider(limit, true, "max_connections = 2").await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(answered(&provider, PATIENCE).await.expect("a place"));
    }
    assert_eq!(seen.ever.load(Ordering::Relaxed), 2);
    assert!(answered(&provider, MOMENT).await.is_none(), "both connections are full");

    let waiting = answered(&provider, PATIENCE);
    let ending = async {
        tokio::task::yield_now().await;
        answers.pop();
    };
    assert!(tokio::join!(waiting, ending).0.is_some(), "a stream ended");
    assert_eq!(seen.ever.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn until_the_peer_says_how_many_streams_it_allows_a_connection_carries_one() {
    let (provider, _) = provider(|_| {}, true, "").await;
    let (slot, io) = (provider.slot().await.expect("a right to it"), provider.connect().await.expect("a connection"));
    let first = provider.http2.adopt(io, slot).await.expect("HTTP/2");
    assert!(provider.http2.place_anywhere().is_none());
    let answer = first.send("http://localhost/", &HeaderMap::new(), Bytes::new(), &Arc::default()).await.expect("an answer");
    assert!(provider.http2.place_with_ease().is_some(), "its settings came before its answer");
    drop(answer);
}

#[tokio::test]
async fn a_connection_without_streams_is_closed_when_it_rested_too_long() {
    let (provider, seen) = provider(|_| {}, true, "connection_max_idle = \"1s\"\nmax_connections = 1").await;
    let answer = answered(&provider, PATIENCE).await.expect("an answer");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    provider.sweep();
    tokio::time::sleep(MOMENT).await;
    assert_eq!(seen.open.load(Ordering::Relaxed), 1, "it carries a stream");

    drop(answer);
    provider.sweep();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    provider.sweep();
    let closed = async {
        while seen.open.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, closed).await.expect("it is closed");
    assert!(answered(&provider, PATIENCE).await.is_some(), "its right to a connection is free again");
}

#[tokio::test]
async fn a_request_is_sent_once_the_provider_granted_room_for_it() {
    let closed = |builder: &mut server::Builder<TokioExecutor>| _ = builder.initial_stream_window_size(0);
    let (mean, _) = provider(closed, false, "").await;
    let (generous, _) = provider(|_| {}, false, "").await;
    // Before a provider has told its settings, every request has the 64 KiB that the protocol grants.
    for (provider, size, is_sent) in [(&mean, 2, true), (&mean, 2, false), (&generous, 60_000, true), (&generous, 8 << 20, false)] {
        let steps = Arc::default();
        let asked = timeout(MOMENT, ask(provider, &steps, vec![b' '; size].into())).await;
        assert!(asked.is_err(), "nobody answers");
        assert_eq!(steps.is_sent(), is_sent, "{size} bytes");
    }
}

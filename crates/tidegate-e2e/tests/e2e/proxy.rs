//! Behind a real nginx: words still come one by one, and long answers complete.

mod sessions;

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tidegate_e2e::{Answer, Case, Chat, Nginx, Proxying, Sdk, View, World, agree};
use tokio::task::JoinSet;

async fn through(nginx: &Nginx, chat: &Chat) -> Result<View> {
    Answer::to(nginx.addr(), &chat.bytes()).await?.view().await
}

#[tokio::test(flavor = "multi_thread")]
async fn words_arrive_one_by_one_whatever_nginx_is_set_to() -> Result<()> {
    let world = World::start("m: words 20 every 50ms end").await?;
    for proxying in [Proxying::Default, Proxying::Ours] {
        let nginx = Nginx::start(proxying, world.gateway.addr()).await?;
        let view = through(&nginx, &Chat::new("m")).await?;
        assert!(view.completed() && view.output_events == 20, "{proxying:?}: {view:?}");
        let times: Vec<Duration> = view.events.iter().map(|event| event.at).collect();
        let spread = times[times.len() - 1] - times[0];
        assert!(spread > Duration::from_millis(800), "{proxying:?}: a second of words came within {spread:?}");
    }
    // An nginx that compresses needs a client that can read it.
    let nginx = Nginx::start(Proxying::Gzip, world.gateway.addr()).await?;
    let views = Sdk::Python.run(&nginx.base_url(), "none", &[Case::stream("m")]).await?;
    let deltas = &views[0].deltas;
    assert!(views[0].completed() && deltas.len() == 20, "{views:?}");
    assert!(deltas[19].1 - deltas[0].1 > 800.0, "{deltas:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_dies_is_an_exception_behind_nginx_too() -> Result<()> {
    let world = World::start("cut: 'hel' cut; early: role cut; eof: 'hel' eof").await?;
    for proxying in [Proxying::Default, Proxying::Ours] {
        let nginx = Nginx::start(proxying, world.gateway.addr()).await?;
        for model in ["cut", "early", "eof"] {
            let view = through(&nginx, &Chat::new(model)).await?;
            let record = world.gateway.record(view.stream_id()).await?;
            assert_eq!((view.code(), view.done), ("upstream_cut", false), "{proxying:?} {model}: {view:?}");
            agree(&view, &record)?;
        }
        for sdk in Sdk::ALL {
            let views = sdk.run(&nginx.base_url(), "none", &[Case::stream("cut"), Case::stream("early"), Case::stream("eof")]).await?;
            assert!(views.iter().all(tidegate_e2e::SdkView::raised), "{proxying:?} {sdk:?}: {views:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_answers_of_two_thousand_words_complete_at_once() -> Result<()> {
    let world = World::start("m: words 2000 every 5ms end").await?;
    let nginx = Nginx::start(Proxying::Ours, world.gateway.addr()).await?;
    let mut streams = JoinSet::new();
    for _ in 0..500 {
        let (addr, bytes) = (nginx.addr(), Chat::new("m").with("stream_options", json!({"include_usage": true})).bytes());
        streams.spawn(async move { Answer::to(addr, &bytes).await?.view().await });
    }
    let views = streams.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    for view in &views {
        assert!(view.completed() && view.output_events == 2000, "{} {:?} {:?}", view.output_events, view.error, view.end);
        assert_eq!(view.text, views[0].text);
    }
    let record = world.gateway.record(views[0].stream_id()).await?;
    agree(&views[0], &record).context("the first one's record")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_nginx_ends_the_providers_request() -> Result<()> {
    let world = World::start("m: words 3 every 10ms 30s end").await?;
    let nginx = Nginx::start(Proxying::Default, world.gateway.addr()).await?;
    let mut answer = Answer::to(nginx.addr(), &Chat::new("m").bytes()).await?;
    answer.event().await?;
    drop(answer);
    let entry = world.journal("m", |entry| entry.peer_left_at.is_some()).await?;
    assert!(entry.peer_left_at < Some(Duration::from_secs(5)), "{entry:?}");
    Ok(())
}

//! The harness itself, without a gateway: it sees the faults that the gateway is there to prevent.

use anyhow::Result;
use tidegate_e2e::world::PROVIDER_KEY;
use tidegate_e2e::{Answer, Case, Chat, Nginx, Proxying, Sdk, TransportEnd, View};
use tidegate_scenario::{Mock, MockSettings};

async fn mock(scenario: &str) -> Result<Mock> {
    let settings = MockSettings { script: Some(scenario.parse()?), api_key: Some(PROVIDER_KEY.to_owned()), ..MockSettings::default() };
    Ok(Mock::start(settings).await?)
}

async fn direct(mock: &Mock, model: &str) -> Result<View> {
    Answer::to(mock.addr(), &Chat::new(model).key(PROVIDER_KEY).bytes()).await?.view().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_raw_client_tells_the_endings_of_a_transport_apart() -> Result<()> {
    let mock = mock("whole: 'hel' 'lo' end; cut: 'hel' cut; eof: 'hel' eof").await?;
    let (whole, cut, eof) = (direct(&mock, "whole").await?, direct(&mock, "cut").await?, direct(&mock, "eof").await?);
    assert!(whole.completed() && whole.text == "hello" && whole.output_events == 2, "{whole:?}");
    assert_eq!((whole.ending(), whole.finish_reason.as_deref()), ("completed", Some("stop")));
    assert!(!cut.completed() && cut.text == "hel" && matches!(cut.end, Some(TransportEnd::Reset | TransportEnd::Cut)), "{cut:?}");
    assert!(!eof.completed() && eof.text == "hel" && eof.end == Some(TransportEnd::Complete), "{eof:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_gateway_both_sdks_take_a_clean_early_end_for_a_whole_answer() -> Result<()> {
    let mock = mock("whole: 'hello' end; eof: 'hel' eof; cut: 'hel' cut").await?;
    for sdk in Sdk::ALL {
        let cases = [Case::stream("whole"), Case::stream("eof"), Case::stream("cut"), Case::whole("whole"), Case::abort("whole", 1)];
        let views = sdk.run(&mock.base_url(), PROVIDER_KEY, &cases).await?;
        assert!(views[0].completed() && views[0].text == "hello", "{sdk:?}: {views:?}");
        assert!(views[1].completed() && views[1].text == "hel" && views[1].outcome["finish_reason"].is_null(), "{sdk:?}: {views:?}");
        assert!(views[2].raised() && views[2].text == "hel", "{sdk:?}: {views:?}");
        assert!(views[3].completed() && views[3].text == "hello", "{sdk:?}: {views:?}");
        assert_eq!(views[4].outcome["outcome"], "aborted", "{sdk:?}: {views:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressing_nginx_holds_a_whole_answer_back_where_no_header_forbids_it() -> Result<()> {
    let mock = mock("m: words 20 every 50ms end").await?;
    let nginx = Nginx::start(Proxying::Gzip, mock.addr()).await?;
    let chat = Chat::new("m").key(PROVIDER_KEY).header("accept-encoding", "gzip");
    let answer = Answer::to(nginx.addr(), &chat.bytes()).await?;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    Ok(())
}

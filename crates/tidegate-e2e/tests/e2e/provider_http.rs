//! What a provider's HTTP may look like, and what the gateway makes of it.

use anyhow::Result;
use tidegate_e2e::{Chat, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_told_once_and_again_after_a_success() -> Result<()> {
    let scenario = "m: status 401 | status 401 | 'hello' end | status 401";
    let world = World::start(scenario).await?;
    for status in [502, 502, 200, 502] {
        let view = world.chat(&Chat::new("m")).await?;
        assert_eq!(view.status, status, "{view:?}");
    }
    let told = || world.gateway.printed().matches("refuses the gateway's key").count();
    eventually("the log's second line", async || (told() == 2).then_some(())).await
}

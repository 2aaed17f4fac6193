//! What an operator sees: health, models, metrics, logs; and the built-in provider of a first try.

use anyhow::{Context, Result};
use tempfile::TempDir;
use tidegate_e2e::{Chat, Gateway, World};

#[tokio::test(flavor = "multi_thread")]
async fn with_no_configuration_at_all_it_serves_the_built_in_mock() -> Result<()> {
    let folder = TempDir::new()?;
    let gateway = Gateway::start(folder.path(), &["--listen", "127.0.0.1:0"], &[]).await?;
    assert!(gateway.printed().contains("mock"), "the banner says what it serves:\n{}", gateway.printed());
    let view = gateway.chat(&Chat::new("mock")).await?;
    assert!(view.completed() && view.output_events > 3, "{view:?}");
    let record = gateway.record(view.stream_id()).await?;
    tidegate_e2e::agree(&view, &record)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_of_the_environment_is_listened_on_as_platforms_expect() -> Result<()> {
    let (world, _key) = World::of("m: 'hello' end").environment("TIDEGATE__SERVER__LISTEN", "127.0.0.1:0").start_with_key().await?;
    assert_ne!(world.gateway.addr().port(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_listed_in_the_form_that_sdks_read() -> Result<()> {
    let world = World::of("").more("[models.\"gpt-x\"]\nroutes = [{ provider = \"mock\" }]\n").start().await?;
    let body = world.gateway.get("/v1/models").await?.body.context("a list")?;
    assert_eq!(body["object"], "list", "{body}");
    let ids: Vec<&str> = body["data"].as_array().context("data")?.iter().filter_map(|model| model["id"].as_str()).collect();
    assert!(ids.contains(&"gpt-x") && body["data"][0]["object"] == "model", "{body}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_not_configured_is_refused_without_an_attempt() -> Result<()> {
    let folder = TempDir::new()?;
    let config = "[server]\nlisten = \"127.0.0.1:0\"\n[providers.gone]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
                  [models.only]\nroutes = [{ provider = \"gone\" }]\n";
    std::fs::write(folder.path().join("tidegate.toml"), config)?;
    let gateway = Gateway::start(folder.path(), &[], &[]).await?;
    let view = gateway.chat(&Chat::new("other")).await?;
    assert_eq!((view.status, view.code()), (404, "model_not_found"), "{view:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_the_ends_by_status_and_code_and_the_open_streams() -> Result<()> {
    let world = World::start("m: 'hello' end; cut: 'hel' cut; open: 'one' 30s end").await?;
    world.chat_and_record(&Chat::new("m")).await?;
    world.chat_and_record(&Chat::new("cut")).await?;
    let mut open = world.gateway.send(&Chat::new("open")).await?;
    open.event().await?;
    let text = world.gateway.text("/metrics").await?;
    let has = |words: &[&str]| text.lines().any(|line| !line.starts_with('#') && words.iter().all(|word| line.contains(word)));
    assert!(has(&["completed", " 1"]) && has(&["failed_after_output", "upstream_cut", " 1"]), "{text}");
    assert!(has(&["open", " 1"]), "{text}");
    for subject in ["time_to_first_chunk", "time_to_first_event", "longest_gap", "ledger_pending"] {
        assert!(text.contains(subject), "{subject} is missing in\n{text}");
    }
    drop(open);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_log_line_is_json_and_the_end_of_a_stream_is_one_of_them() -> Result<()> {
    let world = World::of("cut: 'secret-answer-text' cut").more("[log]\nformat = \"json\"\n").start().await?;
    let (view, _) = world.chat_and_record(&Chat::new("cut").with("user", "secret-prompt-text")).await?;
    let printed = tidegate_e2e::eventually("the stream in the log", async || {
        Some(world.gateway.printed()).filter(|printed| printed.contains(view.stream_id()))
    })
    .await?;
    assert!(!printed.contains("secret-"), "{printed}");
    let line = printed.lines().find(|line| line.contains(view.stream_id())).context("a line")?;
    let line: serde_json::Value = serde_json::from_str(line).context(line.to_owned())?;
    assert!(line.to_string().contains("upstream_cut"), "{line}");
    Ok(())
}

//! Configuration as an operator meets it: checked, shown, published, reloaded.

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tidegate_e2e::{Chat, World, eventually, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_file_is_refused_with_the_place_the_value_and_the_remedy() -> Result<()> {
    let folder = TempDir::new()?;
    let text = "[server]\nlisten = \"127.0.0.1:0\"\nkeepalive = \"10 parsecs\"\nkeepaliv = \"10s\"\n";
    std::fs::write(folder.path().join("tidegate.toml"), text)?;
    for arguments in [&["config", "check"][..], &["serve"]] {
        let output = run(folder.path(), arguments).await?;
        let printed = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {printed}");
        for expected in ["tidegate.toml", "keepaliv", "keepalive", "10 parsecs", "3", "4"] {
            assert!(printed.contains(expected), "{expected} is missing in\n{printed}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_file_passes_and_is_shown_with_its_secrets_masked() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    world.command(&["config", "check"]).await?;
    let shown = world.command(&["config", "show"]).await?;
    assert!(shown.contains("keepalive") && shown.contains("10s"), "{shown}");
    assert!(!shown.contains(tidegate_e2e::world::PROVIDER_KEY), "{shown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_json_and_knows_every_section() -> Result<()> {
    let folder = TempDir::new()?;
    let output = run(folder.path(), &["config", "schema"]).await?;
    let schema: Value = serde_json::from_slice(&output.stdout)?;
    for section in ["server", "ledger", "providers", "models", "profiles"] {
        assert!(schema["properties"][section].is_object(), "{section} is missing in {schema}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_flag_is_wrong_usage() -> Result<()> {
    let folder = TempDir::new()?;
    assert_eq!(run(folder.path(), &["serve", "--no-such-flag"]).await?.status.code(), Some(2));
    assert_eq!(run(folder.path(), &["--version"]).await?.status.code(), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_new_streams_and_touches_no_running_one() -> Result<()> {
    let world = World::start("m: words 40 every 50ms end; new: 'hello' end").await?;
    let mut running = world.gateway.send(&Chat::new("m")).await?;
    running.event().await?;
    let path = world.folder().join("tidegate.toml");
    let text = std::fs::read_to_string(&path)?;
    // The pattern for every model goes, one name stays.
    std::fs::write(&path, text.replace("[models.\"*\"]", "[models.new]"))?;
    world.gateway.signal(Signal::HUP)?;
    eventually("the old names are gone", async || {
        world.chat(&Chat::new("other")).await.ok().filter(|view| view.code() == "model_not_found")
    })
    .await?;
    assert!(world.chat(&Chat::new("new")).await?.completed());
    let view = running.view().await?;
    assert!(view.completed() && view.output_events == 40, "{view:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_noticed_and_a_bad_one_is_refused_while_the_old_one_stays() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let path = world.folder().join("tidegate.toml");
    let good = std::fs::read_to_string(&path)?;
    std::fs::write(&path, "[server]\nnonsense = 1\n")?;
    eventually("the refusal in the log", async || Some(()).filter(|()| world.gateway.printed().contains("nonsense"))).await?;
    assert!(world.chat(&Chat::new("m")).await?.completed());

    std::fs::write(&path, good.replace("[models.\"*\"]", "[models.only]"))?;
    let gone = eventually("the new file", async || world.chat(&Chat::new("m")).await.ok().filter(|view| view.status == 404)).await?;
    assert_eq!(gone.code(), "model_not_found");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_comes_from_the_environment_and_a_missing_one_is_named() -> Result<()> {
    let folder = TempDir::new()?;
    let text = "[providers.p]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\napi_key = \"${NO_SUCH_SECRET}\"\n\
                [models.m]\nroutes = [{ provider = \"p\" }]\n";
    std::fs::write(folder.path().join("tidegate.toml"), text)?;
    let output = run(folder.path(), &["config", "check"]).await?;
    let printed = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(printed.lines().any(|line| line.contains("NO_SUCH_SECRET")), "{printed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mock_runs_as_a_command_of_its_own() -> Result<()> {
    let folder = TempDir::new()?;
    let help = run(folder.path(), &["mock", "--help"]).await?;
    let text = String::from_utf8(help.stdout).context("text")?;
    assert!(help.status.success() && text.contains("9090"), "{text}");
    Ok(())
}

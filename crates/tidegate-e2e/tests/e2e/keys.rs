//! Client keys: made once, shown once, kept hashed, and asked for on every road.

use anyhow::{Context, Result};
use tempfile::TempDir;
use tidegate_e2e::world::{PROVIDER_KEY, make_key};
use tidegate_e2e::{Chat, World, run};

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_made_the_gateway_takes_it_and_refuses_everything_else() -> Result<()> {
    let (world, key) = World::of("m: 'hello' end").start_with_key().await?;
    assert!(key.starts_with("tg_") && key.len() == 46, "{key}");
    let by_header = Chat::new("m").header("x-api-key", &key);
    let beside_a_proxys = by_header.clone().header("authorization", "Basic eDp5");
    for chat in [Chat::new("m").key(&key), by_header, beside_a_proxys, Chat::whole("m").key(&key)] {
        let view = world.chat(&chat).await?;
        assert!(view.completed(), "{view:?}");
    }
    let wrong = format!("{}x", &key[..45]);
    for chat in
        [Chat::new("m"), Chat::new("m").key(&wrong), Chat::new("m").key("tg_"), Chat::new("m").header("authorization", "Basic eA==")]
    {
        let view = world.chat(&chat).await?;
        assert_eq!((view.status, view.code()), (401, "invalid_api_key"), "{view:?}");
    }
    assert_eq!(world.gateway.get("/v1/models").await?.status, 401);
    assert_eq!(world.gateway.get("/healthz").await?.status, 200);
    assert_eq!(world.mock.journal().entries().len(), 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_names_the_key_its_team_and_environment_and_belongs_to_that_key() -> Result<()> {
    let (world, key) = World::of("m: 'hello' end").start_with_key().await?;
    let other = make_key(world.folder()).await?;
    let view = world.chat(&Chat::new("m").key(&key)).await?;
    let record = world.gateway.record_with_key(view.stream_id(), Some(&key)).await?;
    assert!(record["key_id"].as_str().is_some_and(|id| id.starts_with("key_")), "{record}");
    assert_eq!((&record["team"], &record["environment"]), (&"search".into(), &"staging".into()));

    let path = format!("/v1/streams/{}", view.stream_id());
    assert_eq!(world.gateway.get(&path).await?.status, 401);
    let foreign = tidegate_e2e::eventually("the new key is known", async || {
        world.gateway.get_with_key(&path, Some(&other)).await.ok().filter(|view| view.status != 401)
    });
    assert_eq!(foreign.await?.status, 404, "another key's stream does not exist for this one");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_without_a_restart() -> Result<()> {
    let (world, key) = World::of("m: 'hello' end").start_with_key().await?;
    // A second key stays, so that the gateway does not become open.
    make_key(world.folder()).await?;
    let view = world.chat(&Chat::new("m").key(&key)).await?;
    let record = world.gateway.record_with_key(view.stream_id(), Some(&key)).await?;
    let id = record["key_id"].as_str().context("a key id")?;

    assert!(world.command(&["keys", "list"]).await?.contains(id));
    world.command(&["keys", "revoke", id]).await?;
    tidegate_e2e::eventually("the key is refused", async || {
        world.chat(&Chat::new("m").key(&key)).await.ok().filter(|view| view.code() == "invalid_api_key")
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_printed_logged_stored_or_told() -> Result<()> {
    let (world, key) = World::of("m: 'hello' end; bad: status 401 message 'bad key'").start_with_key().await?;
    let mut told = String::new();
    for model in ["m", "bad"] {
        let view = world.chat(&Chat::new(model).key(&key)).await?;
        let record = world.gateway.record_with_key(view.stream_id(), Some(&key)).await?;
        told += &format!("{view:?} {record}");
    }
    for arguments in [&["keys", "list"][..], &["config", "show"], &["streams", "list"]] {
        told += &world.command(arguments).await?;
    }
    told += &world.gateway.text("/metrics").await?;
    told += &world.gateway.printed();
    assert!(!told.contains(PROVIDER_KEY) && !told.contains(&key), "{told}");
    for file in std::fs::read_dir(world.folder())? {
        let file = file?;
        let bytes = std::fs::read(file.path())?;
        assert!(!bytes.windows(key.len()).any(|window| window == key.as_bytes()), "{:?} holds the key", file.file_name());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_it_refuses_to_listen_beyond_loopback_and_says_what_to_do() -> Result<()> {
    let folder = TempDir::new()?;
    let output = run(folder.path(), &["serve", "--listen", "0.0.0.0:0"]).await?;
    let printed = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(printed.contains("tidegate keys create"), "{printed}");
    Ok(())
}

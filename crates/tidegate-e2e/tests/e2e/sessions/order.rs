//! The tasks of one session run one after the other; sessions run side by side.

use anyhow::Result;
use serde_json::json;
use tidegate_e2e::{Backend, Hello, Message, Prompt, SessionClient, eventually};

use super::world;

on_every_backend!(
    prompts_that_are_sent_at_once_run_in_their_order_and_one_at_a_time,
    many_sessions_run_side_by_side,
    sessions_that_fail_flood_or_never_read_hold_up_no_other,
);

async fn prompts_that_are_sent_at_once_run_in_their_order_and_one_at_a_time(backend: Backend) -> Result<()> {
    let world = world(backend, "m: words 4 every 3ms end").start().await?;
    let mut client = world.session().await?;
    for n in 0..12 {
        client.send(Prompt::to("m").with("content", format!("prompt {n}")).json()).await?;
    }
    let ends = |message: &&Message| matches!(message, Message::Complete { .. });
    client.see("twelve answers", |log| (log.messages().iter().filter(ends).count() == 12).then_some(())).await?;

    let asked = world.conversations("m")?;
    let last: Vec<_> = asked.iter().map(|messages| messages.as_array().and_then(|all| all.last()).cloned()).collect();
    let expected: Vec<_> = (0..12).map(|n| Some(json!({"role": "user", "content": format!("prompt {n}")}))).collect();
    assert_eq!(last, expected);
    // One at a time: each one knows the answer before it.
    let turns: Vec<_> = asked.iter().filter_map(|messages| messages.as_array().map(Vec::len)).collect();
    assert_eq!(turns, (0..12).map(|n| 2 * n + 1).collect::<Vec<_>>());
    Ok(())
}

async fn many_sessions_run_side_by_side(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'one' stall").start().await?;
    let mut clients = Vec::new();
    // More than run at once while nobody waits.
    for _ in 0..20 {
        let mut client = world.session().await?;
        let task = client.ask(&Prompt::to("m")).await?;
        clients.push((client, task));
    }
    for (client, task) in &mut clients {
        client.tokens(task, 1).await?;
    }
    assert!(clients.iter().all(|(client, task)| client.log().end(task).is_none()));
    Ok(())
}

async fn sessions_that_fail_flood_or_never_read_hold_up_no_other(backend: Backend) -> Result<()> {
    let scenario = format!("flood: burst repeat 200000 ('{}') end; fail: refuse; quiet: stall; m: words 5 every 2ms end", "x".repeat(1000));
    let world = world(backend, &scenario).start().await?;
    let addr = world.gateway.addr();
    // One never reads, with more to come than all buffers hold.
    let mut deaf = SessionClient::open(addr, &Hello::resumable().reluctant()).await?;
    deaf.send(Prompt::to("flood").json()).await?;
    // One waits for a silent provider, and sends more than its queue takes.
    let mut flooding = world.session().await?;
    for _ in 0..500 {
        flooding.send(Prompt::to("quiet").json()).await?;
    }
    // One fails again and again.
    let mut failing = world.session().await?;
    let failures = tokio::spawn(async move {
        loop {
            let task = failing.ask(&Prompt::to("fail")).await?;
            failing.end(&task).await?;
        }
        #[expect(unreachable_code, reason = "it says what the loop breaks off with")]
        anyhow::Ok(())
    });
    eventually("the flood reaches the gateway", async || {
        world.requests("flood").first().filter(|entry| entry.bytes_sent > 1 << 20).map(drop)
    })
    .await?;

    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = world.session().await?;
        for _ in 0..5 {
            client.complete(&Prompt::to("m")).await?;
        }
        clients.push(client);
    }
    assert!(!failures.is_finished(), "{:?}", failures.await);
    failures.abort();
    flooding
        .see("the queue is full", |log| log.messages().iter().any(|message| matches!(message, Message::RateLimited { .. })).then_some(()))
        .await?;
    assert!(world.requests("quiet").len() == 1 && !world.requests("flood")[0].finished);
    Ok(())
}

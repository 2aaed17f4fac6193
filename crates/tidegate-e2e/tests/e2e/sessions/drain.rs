//! A gateway that shuts down loses nothing that it accepted, and tells everyone.

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tidegate_e2e::{Backend, Goodbye, Hello, Message, Prompt, SessionClient, World, eventually};

use super::world;

on_every_backend!(an_idle_session_is_told_to_go_elsewhere_at_once);

// Behind a queue a client that can resume its session goes on elsewhere at once: see the faults of gateways.
on_memory!(
    what_was_accepted_is_finished_and_nothing_more_is_accepted,
    past_the_window_everything_ends_typed,
    one_that_does_not_read_holds_up_no_shutdown,
    a_session_whose_client_is_away_holds_up_no_shutdown,
);

fn draining() -> Goodbye {
    Goodbye::Closed(1001, "gateway_draining".to_owned())
}

/// Tells the gateway to shut down, and waits until it does.
async fn shut_down(world: &World) -> Result<()> {
    world.gateway.signal(Signal::TERM)?;
    eventually("readiness flips", async || world.gateway.get("/readyz").await.ok().filter(|view| view.status == 503)).await.map(drop)
}

async fn ended_well(world: &mut World) -> Result<()> {
    assert_eq!(world.gateway.ended().await?.code(), Some(0), "{}", world.gateway.printed());
    world.start_again().await
}

async fn what_was_accepted_is_finished_and_nothing_more_is_accepted(backend: Backend) -> Result<()> {
    let mut world = world(backend, "m: words 10 every 40ms end").start().await?;
    let mut client = world.session().await?;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.push(client.ask(&Prompt::to("m")).await?);
    }
    client.tokens(&tasks[0], 1).await?;
    shut_down(&world).await?;
    client.see("a notice", |log| log.notices(&tasks[0]).any(|(text, _)| text.contains("shutting down")).then_some(())).await?;
    let Message::Error(refused) = client.offer(&Prompt::to("m").with("id", "late")).await? else { bail!("{:#?}", client.log()) };
    assert_eq!((refused.code.as_str(), refused.retryable, refused.id.as_deref()), ("gateway_draining", true, Some("late")));
    assert!(refused.retry_after_ms.is_some(), "{refused:?}");
    let view = Hello::resumable().answer(world.gateway.addr()).await?;
    assert_eq!((view.status, view.code()), (503, "gateway_draining"), "{view:?}");

    assert_eq!(client.goodbye().await?, draining());
    ended_well(&mut world).await?;
    for task in &tasks {
        assert!(matches!(client.log().end(task), Some(Message::Complete { .. })), "{:#?}", client.log());
        client.log().agree(task, &world.record_of_task(task).await?)?;
    }
    Ok(())
}

async fn an_idle_session_is_told_to_go_elsewhere_at_once(backend: Backend) -> Result<()> {
    let mut world = world(backend, "m: 'hello' end").start().await?;
    let (mut fresh, mut used) = (world.session().await?, world.session().await?);
    used.complete(&Prompt::to("m")).await?;
    world.gateway.signal(Signal::TERM)?;
    assert_eq!((fresh.goodbye().await?, used.goodbye().await?), (draining(), draining()));
    ended_well(&mut world).await
}

async fn past_the_window_everything_ends_typed(backend: Backend) -> Result<()> {
    let mut world = world(backend, "m: words 500 every 50ms end; quiet: stall").server("drain = \"500ms\"").start().await?;
    let (mut client, mut waiting) = (world.session().await?, world.session().await?);
    let (running, queued) = (client.ask(&Prompt::to("m")).await?, client.ask(&Prompt::to("m")).await?);
    client.tokens(&running, 1).await?;
    let quiet = waiting.ask(&Prompt::to("quiet")).await?;
    world.journal("quiet", |_| true).await?;
    world.gateway.signal(Signal::TERM)?;
    assert_eq!((client.goodbye().await?, waiting.goodbye().await?), (draining(), draining()));
    ended_well(&mut world).await?;
    for (client, task, partial, has_record) in
        [(&client, &running, true, true), (&client, &queued, false, false), (&waiting, &quiet, false, true)]
    {
        let problem = client.log().end(task).and_then(Message::problem).with_context(|| format!("{:#?}", client.log()))?;
        assert_eq!((problem.code.as_str(), problem.partial, problem.retryable), ("gateway_draining", partial, true));
        if has_record {
            let record = world.record_of_task(task).await?;
            assert_eq!(record["disconnect_source"], "gateway_shutdown", "{record}");
            client.log().agree(task, &record)?;
        }
    }
    Ok(())
}

async fn one_that_does_not_read_holds_up_no_shutdown(backend: Backend) -> Result<()> {
    let scenario = format!("m: burst repeat 200000 ('{}') end", "x".repeat(1000));
    let mut world = world(backend, &scenario).server("drain = \"500ms\"").start().await?;
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::resumable().reluctant()).await?;
    client.send(Prompt::to("m").json()).await?;
    world.provider_stops("m").await?;
    world.gateway.signal(Signal::TERM)?;
    ended_well(&mut world).await?;
    let record =
        eventually("its record", async || world.records().await.ok()?.into_iter().find(|record| record["status"].is_string())).await?;
    assert_ne!(record["status"], "completed", "{record}");
    Ok(())
}

async fn a_session_whose_client_is_away_holds_up_no_shutdown(backend: Backend) -> Result<()> {
    let mut world = world(backend, "m: 'one' stall").start().await?;
    let mut client = world.session().await?;
    let task = client.ask(&Prompt::to("m")).await?;
    client.tokens(&task, 1).await?;
    let log = client.cut()?;
    world.gateway.signal(Signal::TERM)?;
    ended_well(&mut world).await?;
    log.agree(&task, &world.record_of_task(&task).await?)
}

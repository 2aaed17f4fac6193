//! A client that wants no answer any more.

use anyhow::{Result, bail};
use tidegate_e2e::{Backend, Message, Prompt, World};

use super::world;

on_every_backend!(
    a_queued_task_is_dropped_and_never_asked,
    a_running_task_ends_before_its_output,
    a_running_task_ends_after_its_output,
    nobody_is_cancelled_by_an_id_that_is_not_theirs,
);

const SLOW: &str = "quiet: stall; m: 'one' stall; next: 'hello' end";

/// The provider noticed at once that nobody wants its answer.
async fn assert_left(world: &World, model: &str) -> Result<()> {
    world.journal(model, |entry| entry.peer_left_at.is_some()).await.map(drop)
}

async fn a_queued_task_is_dropped_and_never_asked(backend: Backend) -> Result<()> {
    let world = world(backend, SLOW).start().await?;
    let mut client = world.session().await?;
    let running = client.ask(&Prompt::to("m")).await?;
    let (queued, next) = (client.ask(&Prompt::to("quiet")).await?, client.ask(&Prompt::to("next")).await?);
    client.cancel(&queued).await?;
    let Message::Dropped { reason, .. } = client.end(&queued).await? else { bail!("{:#?}", client.log()) };
    assert_eq!(reason, "cancelled");
    client.tokens(&running, 1).await?;
    client.cancel(&running).await?;
    client.end(&next).await?;
    assert_eq!((client.log().text(&next).as_str(), world.requests("quiet").len()), ("hello", 0));
    assert!(world.records().await?.iter().all(|record| record["task_id"] != queued.as_str()), "what never ran has no record");
    Ok(())
}

async fn a_running_task_ends_before_its_output(backend: Backend) -> Result<()> {
    let world = world(backend, SLOW).start().await?;
    let mut client = world.session().await?;
    let task = client.ask(&Prompt::to("quiet")).await?;
    world.journal("quiet", |_| true).await?;
    client.cancel(&task).await?;
    let end = client.end(&task).await?;
    let problem = end.problem().expect("an error");
    assert_eq!((end.code(), problem.partial, problem.retryable), ("cancelled", false, false));
    assert_left(&world, "quiet").await?;
    client.log().agree(&task, &world.record_of_task(&task).await?)?;
    assert_eq!(client.complete(&Prompt::to("next")).await?.1, "hello");
    Ok(())
}

async fn a_running_task_ends_after_its_output(backend: Backend) -> Result<()> {
    let world = world(backend, SLOW).start().await?;
    let mut client = world.session().await?;
    let task = client.ask(&Prompt::to("m")).await?;
    client.tokens(&task, 1).await?;
    client.cancel(&task).await?;
    let end = client.end(&task).await?;
    assert_eq!((end.code(), end.problem().map(|problem| problem.partial)), ("cancelled", Some(true)));
    assert_left(&world, "m").await?;
    let record = world.record_of_task(&task).await?;
    assert_eq!(record["disconnect_source"], "client", "{record}");
    client.log().agree(&task, &record)?;
    assert_eq!(client.complete(&Prompt::to("next")).await?.1, "hello");
    Ok(())
}

async fn nobody_is_cancelled_by_an_id_that_is_not_theirs(backend: Backend) -> Result<()> {
    let world = world(backend, SLOW).start().await?;
    let (mut client, mut other) = (world.session().await?, world.session().await?);
    let theirs = other.ask(&Prompt::to("m")).await?;
    other.tokens(&theirs, 1).await?;
    let over = client.complete(&Prompt::to("next")).await?.0;
    for (n, task) in [over.as_str(), &theirs, "task_00000000000000000000000000", "nonsense"].into_iter().enumerate() {
        client.cancel(task).await?;
        let problems = |message: &Message| message.problem().cloned();
        let problem = client.see(task, |log| log.messages().iter().filter_map(problems).nth(n)).await?;
        assert_eq!(problem.code, "task_not_found", "{task}");
    }
    other.ping().await?;
    assert!(other.log().end(&theirs).is_none());
    Ok(())
}

//! Workers that are lost. Before anything of an answer was shown, another begins it anew; after that, nobody does.

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::json;
use tidegate_e2e::{Backend, Message, Prompt, World, eventually};

use super::{completes, fleet, record_at, runner};

on_every_server!(
    a_task_whose_worker_is_killed_before_output_runs_again_and_its_client_sees_one_answer,
    a_task_whose_worker_is_killed_after_output_ends_partial_and_never_runs_again,
    what_a_client_read_to_its_end_is_in_the_record_although_the_worker_is_killed_at_once,
    while_no_worker_is_there_tasks_wait_and_whoever_comes_runs_them,
    a_worker_that_stops_finishes_what_it_runs_and_leaves_the_rest_to_others,
    past_its_window_a_worker_gives_back_what_nobody_has_seen_and_ends_the_rest_typed,
    nothing_of_a_worker_that_was_frozen_before_output_reaches_the_client,
    nothing_more_of_a_worker_that_was_frozen_after_output_reaches_the_client,
    a_prompt_that_takes_worker_after_worker_with_it_is_given_up,
);

async fn a_task_whose_worker_is_killed_before_output_runs_again_and_its_client_sees_one_answer(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, "m: stall | words 5 end").start().await?;
    let mut client = world.session().await?;
    let (task, next) = (client.ask(&Prompt::to("m")).await?, client.ask(&Prompt::to("m")).await?);
    world.journal("m", |_| true).await?;
    let killed = runner(&world, &task).await?;
    world.workers[killed].kill().await?;
    let text = completes(&world, &mut client, &task).await?;
    assert_eq!((completes(&world, &mut client, &next).await?, world.requests("m").len()), (text, 3));
    // What the killed one had begun is known once it is back, and never taken for an answer.
    world.workers[killed].start_again().await?;
    let record = record_at(&world.workers[killed], &task).await.context("its record")?;
    assert_eq!((&record["status"], &record["partial"]), (&json!("interrupted"), &json!(false)), "{record}");
    Ok(())
}

async fn a_task_whose_worker_is_killed_after_output_ends_partial_and_never_runs_again(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, "m: words 3 stall; next: 'hello' end").start().await?;
    let mut client = world.session().await?;
    let (task, next) = (client.ask(&Prompt::to("m")).await?, client.ask(&Prompt::to("next")).await?);
    client.tokens(&task, 3).await?;
    let killed = runner(&world, &task).await?;
    world.workers[killed].kill().await?;
    let end = client.end(&task).await?;
    let problem = end.problem().context("an error")?;
    assert_eq!((problem.code.as_str(), problem.partial, problem.retryable), ("upstream_cut", true, true), "{problem:?}");
    assert_eq!(completes(&world, &mut client, &next).await?, "hello");
    assert_eq!((world.requests("m").len(), client.log().token_count(&task)), (1, 3));
    world.workers[killed].start_again().await?;
    let record = record_at(&world.workers[killed], &task).await.context("its record")?;
    assert_eq!(record["status"], "interrupted", "{record}");
    Ok(())
}

async fn what_a_client_read_to_its_end_is_in_the_record_although_the_worker_is_killed_at_once(backend: Backend) -> Result<()> {
    // Of a provider that counts nothing, a tokenizer has to look at the answer before the last row can be written.
    let mut world = fleet(backend, "whole: words 3 end; cut: words 3 cut").workers(1).start().await?;
    let mut client = world.session().await?;
    for (model, is_whole) in [("cut", false), ("whole", true), ("cut", false), ("whole", true)] {
        let task = client.ask(&Prompt::to(model)).await?;
        let end = client.end(&task).await?;
        world.workers[0].kill().await?;
        assert_eq!(matches!(end, Message::Complete { .. }), is_whole, "{end:?}");
        world.workers[0].start_again().await?;
        let agrees = async || client.log().agree(&task, &record_at(&world.workers[0], &task).await?).ok();
        let agreed = eventually("its record", agrees).await;
        agreed.with_context(|| format!("{end:?}\n{}", world.workers[0].process.printed()))?;
    }
    Ok(())
}

async fn while_no_worker_is_there_tasks_wait_and_whoever_comes_runs_them(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, "m: 'hello' end").workers(1).start().await?;
    world.workers[0].kill().await?;
    let mut client = world.session().await?;
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(client.ask(&Prompt::to("m")).await?);
    }
    client.ping().await?;
    assert!(world.requests("m").is_empty());
    world.workers[0].start_again().await?;
    for task in &tasks {
        assert_eq!(completes(&world, &mut client, task).await?, "hello");
    }
    Ok(())
}

/// Tells a worker to stop, and waits until it has.
async fn stop(world: &mut World, worker: usize) -> Result<()> {
    let process = &mut world.workers[worker].process;
    process.signal(Signal::TERM)?;
    assert_eq!(process.ended().await?.code(), Some(0), "{}", process.printed());
    Ok(())
}

async fn a_worker_that_stops_finishes_what_it_runs_and_leaves_the_rest_to_others(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, "m: words 20 every 50ms end").start().await?;
    let mut client = world.session().await?;
    let (task, next) = (client.ask(&Prompt::to("m")).await?, client.ask(&Prompt::to("m")).await?);
    client.tokens(&task, 1).await?;
    let stopped = runner(&world, &task).await?;
    stop(&mut world, stopped).await?;
    completes(&world, &mut client, &task).await?;
    completes(&world, &mut client, &next).await?;
    assert!(record_at(&world.workers[stopped], &next).await.is_none(), "one that stops takes nothing new");
    assert_eq!(world.requests("m").len(), 2);
    Ok(())
}

async fn past_its_window_a_worker_gives_back_what_nobody_has_seen_and_ends_the_rest_typed(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, "quiet: stall | 'hello' end; m: words 3 stall").workers(1).server("drain = \"500ms\"").start().await?;
    let (mut unseen, mut seen) = (world.session().await?, world.session().await?);
    let (first, second) = (unseen.ask(&Prompt::to("quiet")).await?, seen.ask(&Prompt::to("m")).await?);
    world.journal("quiet", |_| true).await?;
    seen.tokens(&second, 3).await?;
    stop(&mut world, 0).await?;
    let end = seen.end(&second).await?;
    let problem = end.problem().context("an error")?;
    assert_eq!((problem.code.as_str(), problem.partial, problem.retryable), ("gateway_draining", true, true), "{problem:?}");
    seen.log().agree(&second, &world.record_of_task(&second).await?)?;
    world.workers[0].start_again().await?;
    assert_eq!(completes(&world, &mut unseen, &first).await?, "hello");
    assert_eq!((world.requests("quiet").len(), world.requests("m").len()), (2, 1));
    Ok(())
}

async fn nothing_of_a_worker_that_was_frozen_before_output_reaches_the_client(backend: Backend) -> Result<()> {
    let world = fleet(backend, "m: 300ms words 9 every 300ms end | 'hello' end").start().await?;
    let mut client = world.session().await?;
    let task = client.ask(&Prompt::to("m")).await?;
    world.journal("m", |_| true).await?;
    let frozen = runner(&world, &task).await?;
    world.workers[frozen].process.signal(Signal::STOP)?;
    assert_eq!(completes(&world, &mut client, &task).await?, "hello");
    world.workers[frozen].process.signal(Signal::CONT)?;
    // It finds out by itself, lets its provider go, and says so in its record.
    let is_settled = async || record_at(&world.workers[frozen], &task).await.filter(|record| record["status"].is_string());
    let record = eventually("the frozen worker's record", is_settled).await?;
    assert_eq!((&record["status"], &record["partial"]), (&json!("cancelled_before_output"), &json!(false)), "{record}");
    assert_eq!(client.complete(&Prompt::to("m")).await?.1, "hello");
    assert_eq!((client.log().text(&task).as_str(), world.requests("m").len()), ("hello", 3));
    Ok(())
}

async fn nothing_more_of_a_worker_that_was_frozen_after_output_reaches_the_client(backend: Backend) -> Result<()> {
    let world = fleet(backend, "m: words 40 every 100ms end; next: 'hello' end").start().await?;
    let mut client = world.session().await?;
    let (task, next) = (client.ask(&Prompt::to("m")).await?, client.ask(&Prompt::to("next")).await?);
    client.tokens(&task, 2).await?;
    let frozen = runner(&world, &task).await?;
    world.workers[frozen].process.signal(Signal::STOP)?;
    let end = client.end(&task).await?;
    assert_eq!((end.code(), end.problem().map(|problem| problem.partial)), ("upstream_cut", Some(true)));
    let seen = client.log().token_count(&task);
    world.workers[frozen].process.signal(Signal::CONT)?;
    let is_settled = async || record_at(&world.workers[frozen], &task).await.filter(|record| record["status"].is_string());
    let record = eventually("the frozen worker's record", is_settled).await?;
    assert_eq!(record["status"], "cancelled_after_output", "{record}");
    assert_eq!(completes(&world, &mut client, &next).await?, "hello");
    assert_eq!((client.log().token_count(&task), world.requests("m").len()), (seen, 1));
    Ok(())
}

async fn a_prompt_that_takes_worker_after_worker_with_it_is_given_up(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, "m: stall; next: 'hello' end").start().await?;
    let mut client = world.session().await?;
    let (task, next) = (client.ask(&Prompt::to("m")).await?, client.ask(&Prompt::to("next")).await?);
    for attempt in 1..=5 {
        eventually(format!("attempt {attempt}"), async || (world.requests("m").len() == attempt).then_some(())).await?;
        let killed = runner(&world, &task).await?;
        world.workers[killed].kill().await?;
        world.workers[killed].start_again().await?;
    }
    let Message::Error(problem) = client.end(&task).await? else { bail!("{:#?}", client.log()) };
    assert_eq!((problem.code.as_str(), problem.partial, problem.retryable), ("internal", false, false), "{problem:?}");
    assert_eq!(completes(&world, &mut client, &next).await?, "hello");
    assert_eq!(world.requests("m").len(), 5);
    Ok(())
}

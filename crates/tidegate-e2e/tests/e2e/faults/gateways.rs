//! Gateways that are lost, or that a client leaves for another: its session goes with it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::json;
use tidegate_e2e::session::Log;
use tidegate_e2e::{Backend, Chat, Goodbye, Hello, Message, Prompt, Server, SessionClient, World, eventually};

use super::{back_at, completes, fleet};

on_every_server!(
    the_session_of_a_gateway_that_is_killed_goes_on_at_another_with_all_its_tasks,
    what_was_told_without_a_worker_is_told_again_elsewhere_too,
    a_client_that_leaves_a_gateway_which_lives_takes_its_session_along,
    a_client_goes_to_and_fro_between_gateways_while_its_answer_comes,
    a_long_session_goes_on_elsewhere_from_what_was_kept_of_it,
    a_task_is_cancelled_although_its_gateway_is_killed_with_the_word,
    a_gateway_and_the_worker_that_are_killed_at_once_are_both_replaced,
    nobody_else_goes_on_with_a_session_and_its_owner_notices_nothing,
    a_gateway_that_stops_sends_resumable_clients_elsewhere_at_once_and_finishes_for_the_others,
    a_session_whose_gateway_is_killed_and_that_nobody_comes_for_is_forgotten,
);

/// Kills the first gateway, whose clients have the second one left.
async fn kill_first(world: &mut World) -> Result<()> {
    world.gateway.signal(Signal::KILL)?;
    world.gateway.ended().await.map(drop)
}

fn second(world: &World) -> &tidegate_e2e::Gateway {
    &world.others[0].process
}

async fn the_session_of_a_gateway_that_is_killed_goes_on_at_another_with_all_its_tasks(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, "m: words 40 every 20ms end").start().await?;
    let mut client = world.session().await?;
    let session = client.id().await?;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.push(client.ask(&Prompt::to("m")).await?);
    }
    client.tokens(&tasks[0], 10).await?;
    kill_first(&mut world).await?;
    // What was on its way counts as unseen, and is the same when it is said again.
    assert_eq!(client.goodbye().await?, Goodbye::Cut);
    let seen = client.log().last_seq() - 5;
    let mut client = back_at(second(&world), &session, client.log().clone().forgetting(seen)).await?;
    for task in &tasks {
        completes(&world, &mut client, task).await?;
    }
    assert!(client.log().tasks().eq(tasks.iter()));
    assert_eq!(world.requests("m").len(), 4);
    // It is one conversation still.
    client.complete(&Prompt::to("m")).await?;
    assert_eq!(world.conversations("m")?.last().and_then(|asked| asked.as_array().map(Vec::len)), Some(9));
    Ok(())
}

async fn what_was_told_without_a_worker_is_told_again_elsewhere_too(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, "m: 'hello' end; slow: 'one' stall").start().await?;
    let mut client = world.session().await?;
    let session = client.id().await?;
    client.complete(&Prompt::to("m").with("id", "mine")).await?;
    let running = client.ask(&Prompt::to("slow")).await?;
    client.tokens(&running, 1).await?;
    let queued = client.ask(&Prompt::to("m")).await?;
    client.cancel(&queued).await?;
    client.end(&queued).await?;
    client.cancel("nothing").await?;
    client.send(&json!({"type": "what"})).await?;
    client.cancel(&running).await?;
    client.end(&running).await?;
    // A prompt without a model, where the settings name none, ends before any worker hears of it.
    let refused = client.ask(&Prompt::of("hello")).await?;
    assert_eq!(client.end(&refused).await?.code(), "model_not_found");
    client.ping().await?;
    kill_first(&mut world).await?;
    let last = client.log().last_seq();
    for seen in [last, 0] {
        client = back_at(second(&world), &session, client.log().clone().forgetting(seen)).await?;
        client.ping().await?;
        assert_eq!(client.log().last_seq(), last, "from {seen}");
    }
    client.ask(&Prompt::to("m").with("id", "mine")).await?;
    let task = client.ask(&Prompt::to("m")).await?;
    assert_eq!(completes(&world, &mut client, &task).await?, "hello");
    assert_eq!(world.requests("m").len(), 2, "the prompt with an id ran once");
    Ok(())
}

async fn a_client_that_leaves_a_gateway_which_lives_takes_its_session_along(backend: Backend) -> Result<()> {
    let world = fleet(backend, "m: words 60 every 20ms end").start().await?;
    let mut old = world.session().await?;
    let (session, task) = (old.id().await?, old.ask(&Prompt::to("m")).await?);
    old.tokens(&task, 3).await?;
    let mut new = back_at(second(&world), &session, old.log().clone()).await?;
    let goodbye = old.goodbye().await?;
    assert!(matches!(goodbye, Goodbye::Closed(4000, _) | Goodbye::Cut), "{goodbye:?}");
    completes(&world, &mut new, &task).await?;
    assert!(old.log().end(&task).is_none());
    assert_eq!(world.requests("m").len(), 1);
    Ok(())
}

async fn a_client_goes_to_and_fro_between_gateways_while_its_answer_comes(backend: Backend) -> Result<()> {
    let world = fleet(backend, "m: words 150 every 20ms end").start().await?;
    let mut client = world.session().await?;
    let (session, task) = (client.id().await?, client.ask(&Prompt::to("m")).await?);
    for n in 0..10 {
        client.tokens(&task, 5 * n + 1).await?;
        let log = client.cut()?;
        client = back_at(if n % 2 == 0 { second(&world) } else { &world.gateway }, &session, log).await?;
    }
    completes(&world, &mut client, &task).await?;
    assert_eq!(world.requests("m").len(), 1);
    Ok(())
}

async fn a_long_session_goes_on_elsewhere_from_what_was_kept_of_it(backend: Backend) -> Result<()> {
    // More than is logged before everything is written down anew.
    let mut world = fleet(backend, &format!("m: repeat 400 ('{}') end; slow: words 40 every 20ms end", "x".repeat(1000))).start().await?;
    let mut client = world.session().await?;
    let session = client.id().await?;
    client.complete(&Prompt::to("m")).await?;
    let tasks = [client.ask(&Prompt::to("slow")).await?, client.ask(&Prompt::to("m")).await?, client.ask(&Prompt::to("slow")).await?];
    client.tokens(&tasks[0], 10).await?;
    kill_first(&mut world).await?;
    let seen = client.log().last_seq() - 5;
    let mut client = back_at(second(&world), &session, client.log().clone().forgetting(seen)).await?;
    for task in &tasks {
        completes(&world, &mut client, task).await?;
    }
    assert_eq!(world.conversations("slow")?.last().and_then(|asked| asked.as_array().map(Vec::len)), Some(7));
    Ok(())
}

async fn a_task_is_cancelled_although_its_gateway_is_killed_with_the_word(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, "m: 'one' stall; next: 'hello' end").start().await?;
    let mut client = world.session().await?;
    let (session, task) = (client.id().await?, client.ask(&Prompt::to("m")).await?);
    let next = client.ask(&Prompt::to("next")).await?;
    client.tokens(&task, 1).await?;
    client.cancel(&task).await?;
    kill_first(&mut world).await?;
    // Whether the word was heard nobody knows, so it is said again.
    let mut client = back_at(second(&world), &session, client.log().clone()).await?;
    client.cancel(&task).await?;
    assert_eq!(client.end(&task).await?.code(), "cancelled");
    assert_eq!(completes(&world, &mut client, &next).await?, "hello");
    assert_eq!(world.requests("m").len(), 1);
    world.journal("m", |entry| entry.peer_left_at.is_some()).await?;
    Ok(())
}

async fn a_gateway_and_the_worker_that_are_killed_at_once_are_both_replaced(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, "m: stall | 'hello' end").start().await?;
    let mut client = world.session().await?;
    let (session, task) = (client.id().await?, client.ask(&Prompt::to("m")).await?);
    world.journal("m", |_| true).await?;
    let runner = super::runner(&world, &task).await?;
    world.workers[runner].kill().await?;
    kill_first(&mut world).await?;
    let mut client = back_at(second(&world), &session, client.log().clone()).await?;
    assert_eq!(completes(&world, &mut client, &task).await?, "hello");
    Ok(())
}

async fn nobody_else_goes_on_with_a_session_and_its_owner_notices_nothing(backend: Backend) -> Result<()> {
    let (world, key) = fleet(backend, "m: words 40 every 20ms end").gateways(2).start_with_key().await?;
    let theirs = world.make_key(&[]).await?;
    // Keys are each gateway's own: the thief's is known to the first, the owner's to both.
    let mut owner = SessionClient::open(second(&world).addr(), &Hello::resumable().key(&key)).await?;
    let (session, task) = (owner.id().await?, owner.ask(&Prompt::to("m")).await?);
    owner.tokens(&task, 3).await?;
    let (mut thief, resumed) =
        SessionClient::resume(world.gateway.addr(), &Hello::resumable().key(&theirs), &session, Log::default()).await?;
    assert!(!resumed && thief.id().await? != session);
    assert!(matches!(owner.end(&task).await?, Message::Complete { .. }), "its owner noticed something");
    let log = owner.cut()?;
    let (_, resumed) = SessionClient::resume(world.gateway.addr(), &Hello::resumable().key(&key), &session, log).await?;
    assert!(resumed, "its owner goes on with it there");
    Ok(())
}

async fn a_gateway_that_stops_sends_resumable_clients_elsewhere_at_once_and_finishes_for_the_others(backend: Backend) -> Result<()> {
    let mut world = fleet(backend, "m: words 40 every 50ms end; long: words 40 every 50ms end").start().await?;
    let mut resumable = world.session().await?;
    let mut plain = SessionClient::open(world.gateway.addr(), &Hello::plain()).await?;
    let session = resumable.id().await?;
    let mut tasks = Vec::new();
    for client in [&mut resumable, &mut plain] {
        tasks.push([client.ask(&Prompt::to("m")).await?, client.ask(&Prompt::to("m")).await?]);
        let running = &tasks.last().context("it was pushed")?[0];
        client.tokens(running, 2).await?;
    }
    let stream = world.gateway.send(&Chat::new("long")).await?;
    world.gateway.signal(Signal::TERM)?;
    assert_eq!(resumable.goodbye().await?, Goodbye::Closed(1001, "gateway_draining".to_owned()));
    assert!(resumable.log().end(&tasks[0][0]).is_none(), "at once");
    let mut resumable = back_at(second(&world), &session, resumable.log().clone()).await?;
    for task in &tasks[0] {
        completes(&world, &mut resumable, task).await?;
    }
    for task in &tasks[1] {
        completes(&world, &mut plain, task).await?;
    }
    assert_eq!(plain.goodbye().await?, Goodbye::Closed(1001, "gateway_draining".to_owned()));
    assert!(stream.view().await?.completed());
    assert_eq!(world.gateway.ended().await?.code(), Some(0), "{}", world.gateway.printed());
    assert_eq!(world.requests("m").len(), 4);
    Ok(())
}

async fn a_session_whose_gateway_is_killed_and_that_nobody_comes_for_is_forgotten(backend: Backend) -> Result<()> {
    const RESUME_TTL: Duration = Duration::from_secs(1);
    let mut world = fleet(backend, "m: words 40 every 20ms end").more("[sessions]\nresume_ttl = \"1s\"\n").start().await?;
    let mut client = world.session().await?;
    let (session, task) = (client.id().await?, client.ask(&Prompt::to("m")).await?);
    client.tokens(&task, 1).await?;
    kill_first(&mut world).await?;
    is_forgotten(world.queue()?, RESUME_TTL).await?;
    let (mut anew, resumed) = SessionClient::resume(second(&world).addr(), &Hello::resumable(), &session, client.log().clone()).await?;
    ensure!(!resumed && anew.id().await? != session);
    anew.complete(&Prompt::to("m")).await.map(drop)
}

/// Waits until the queue has forgotten its sessions, which outlive their gateways by `ttl`.
async fn is_forgotten(queue: &mut Server, ttl: Duration) -> Result<()> {
    match queue {
        Server::Redis(redis) => {
            let is_empty = async || redis.ask("KEYS tidegate:{queue}:*:sess_*").await.ok().filter(|keys| keys == "*0\r\n");
            eventually("nothing of it is left", is_empty).await.map(drop)
        }
        // A log forgets nothing: that the time is over shows only when somebody comes for it.
        Server::Kafka(_) => {
            tokio::time::sleep(ttl * 3).await;
            Ok(())
        }
    }
}

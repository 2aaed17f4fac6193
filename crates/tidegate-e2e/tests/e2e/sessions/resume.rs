//! A connection that is lost is not the end of a session: whoever comes back in time goes on without a gap.

use anyhow::{Context, Result};
use serde_json::json;
use tidegate_e2e::session::Log;
use tidegate_e2e::{Backend, Goodbye, Hello, Message, Prompt, SessionClient, World, eventually};

use super::world;

on_every_backend!(
    everything_behind_the_last_seen_message_is_said_again,
    an_answer_goes_on_where_it_was,
    queued_tasks_run_on_and_their_acks_are_repeated,
    who_saw_more_than_was_said_or_less_than_is_kept_begins_anew,
    a_session_that_never_was_is_answered_with_a_new_one,
    a_session_is_gone_when_its_time_is_over,
    the_latest_connection_has_the_session,
    a_session_is_resumed_again_and_again,
    resume_comes_first_or_not_at_all,
    what_follows_resume_in_the_same_packet_belongs_to_the_session,
    history_and_accepted_ids_outlive_a_connection,
    a_provider_is_read_for_nobody_only_as_far_as_can_be_repeated,
);

// Behind a queue an answer is whole for its worker once it is in the session's log, whoever takes it from there and when.
on_memory!(an_answer_that_came_while_nobody_was_there_is_complete_once_it_is_taken, an_answer_that_nobody_came_for_is_no_completed_one,);

/// Comes back to `session`, of which everything in `log` was seen.
async fn back(world: &World, session: &str, log: Log) -> Result<(SessionClient, bool)> {
    SessionClient::resume(world.gateway.addr(), &Hello::resumable(), session, log).await
}

async fn everything_behind_the_last_seen_message_is_said_again(backend: Backend) -> Result<()> {
    let world = world(backend, "m: words 8 end; cut: 'hel' cut").start().await?;
    let mut client = world.session().await?;
    for model in ["m", "cut"] {
        let task = client.ask(&Prompt::to(model)).await?;
        client.end(&task).await?;
    }
    client.cancel("nothing").await?;
    client.see("its answer", |log| log.messages().iter().any(|message| message.code() == "task_not_found").then_some(())).await?;
    let session = client.id().await?;
    let last = client.log().last_seq();
    // The log expects the very same messages again, and not one more.
    for seen in [last, last - 1, 5, 1, 0, last] {
        let log = client.cut()?.forgetting(seen);
        let resumed;
        (client, resumed) = back(&world, &session, log).await?;
        assert!(resumed, "from {seen}");
        client.ping().await?;
        assert_eq!(client.log().last_seq(), last, "from {seen}");
    }
    let (task, _) = client.complete(&Prompt::to("m")).await?;
    client.log().agree(&task, &world.record_of_task(&task).await?)
}

async fn an_answer_goes_on_where_it_was(backend: Backend) -> Result<()> {
    let world = world(backend, "m: words 40 every 20ms end").start().await?;
    let mut client = world.session().await?;
    let whole = client.complete(&Prompt::to("m")).await?.1;
    let task = client.ask(&Prompt::to("m")).await?;
    let session = client.id().await?;
    for count in [3, 9, 20] {
        client.tokens(&task, count).await?;
        let log = client.cut()?;
        let last = log.last_seq();
        // What was on its way when the connection was lost is among what comes again.
        let resumed;
        (client, resumed) = back(&world, &session, log.forgetting(last - 1)).await?;
        assert!(resumed);
    }
    assert!(matches!(client.end(&task).await?, Message::Complete { .. }));
    assert_eq!(client.log().text(&task), whole);
    let record = world.record_of_task(&task).await?;
    assert_eq!(world.requests("m").len(), 2);
    client.log().agree(&task, &record)
}

async fn queued_tasks_run_on_and_their_acks_are_repeated(backend: Backend) -> Result<()> {
    let world = world(backend, "m: words 10 every 20ms end").start().await?;
    let mut client = world.session().await?;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.push(client.ask(&Prompt::to("m")).await?);
    }
    client.tokens(&tasks[0], 1).await?;
    let session = client.id().await?;
    let (mut client, resumed) = back(&world, &session, client.cut()?.forgetting(0)).await?;
    assert!(resumed);
    for task in &tasks {
        assert!(matches!(client.end(task).await?, Message::Complete { .. }));
        client.log().agree(task, &world.record_of_task(task).await?)?;
    }
    assert!(client.log().tasks().eq(tasks.iter()));
    Ok(())
}

async fn an_answer_that_came_while_nobody_was_there_is_complete_once_it_is_taken(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'one' 100ms words 5 end").start().await?;
    let mut client = world.session().await?;
    let task = client.ask(&Prompt::to("m")).await?;
    client.tokens(&task, 1).await?;
    let session = client.id().await?;
    let log = client.cut()?;
    world.journal("m", |entry| entry.finished).await?;
    let open = eventually("its record", async || world.records().await.ok()?.into_iter().find(|record| record["task_id"] == task.as_str()));
    assert!(open.await?["status"].is_null(), "nobody has taken it yet");
    let (mut client, _) = back(&world, &session, log).await?;
    assert!(matches!(client.end(&task).await?, Message::Complete { .. }));
    client.log().agree(&task, &world.record_of_task(&task).await?)
}

async fn an_answer_that_nobody_came_for_is_no_completed_one(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'one' 300ms words 5 end").more("[sessions]\nresume_ttl = \"1s\"\n").start().await?;
    let mut client = world.session().await?;
    let task = client.ask(&Prompt::to("m")).await?;
    client.tokens(&task, 1).await?;
    let log = client.cut()?;
    world.journal("m", |entry| entry.finished).await?;
    let record = world.record_of_task(&task).await?;
    assert_eq!((&record["status"], &record["code"]), (&json!("cancelled_after_output"), &json!("client_gone")), "{record}");
    log.agree(&task, &record)
}

async fn who_saw_more_than_was_said_or_less_than_is_kept_begins_anew(backend: Backend) -> Result<()> {
    // More than is kept for a resume, which is half a MiB.
    let world = world(backend, &format!("m: repeat 800 ('{}') end; well: 'hello' end", "x".repeat(1000))).start().await?;
    let mut client = world.session().await?;
    client.complete(&Prompt::to("m")).await?;
    let session = client.id().await?;
    let log = client.cut()?.forgetting(0);
    let (mut anew, resumed) = back(&world, &session, log).await?;
    assert!(!resumed && anew.id().await? != session);
    assert_eq!(anew.complete(&Prompt::to("well")).await?.1, "hello");
    assert_eq!(world.conversations("well")?, [json!([{"role": "user", "content": "Say hello."}])], "nothing of the old conversation");

    let (session, last) = (anew.id().await?, anew.log().last_seq());
    let mut ahead = SessionClient::open(world.gateway.addr(), &Hello::resumable()).await?;
    ahead.send(&json!({"type": "RESUME", "sessionId": session, "lastSeq": last + 1})).await?;
    assert_ne!(ahead.id().await?, session);
    Ok(())
}

async fn a_session_that_never_was_is_answered_with_a_new_one(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hello' end").start().await?;
    for session in ["sess_00000000000000000000000000", "nonsense", ""] {
        for hello in [Hello::resumable(), Hello::plain()] {
            let (mut client, resumed) = SessionClient::resume(world.gateway.addr(), &hello, session, Log::default()).await?;
            assert!(!resumed && client.id().await? != session);
            assert_eq!(client.complete(&Prompt::to("m")).await?.1, "hello");
        }
    }
    Ok(())
}

async fn a_session_is_gone_when_its_time_is_over(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'one' stall").more("[sessions]\nresume_ttl = \"1s\"\n").start().await?;
    let mut client = world.session().await?;
    let task = client.ask(&Prompt::to("m")).await?;
    client.tokens(&task, 1).await?;
    let session = client.id().await?;
    let log = client.cut()?;
    // With the session its provider's request ends.
    let entry = world.journal("m", |entry| entry.peer_left_at.is_some()).await?;
    assert!(entry.peer_left_at.is_some_and(|after| after.as_millis() > 900), "{entry:?}");
    log.agree(&task, &world.record_of_task(&task).await?)?;
    let (_, resumed) = back(&world, &session, log).await?;
    assert!(!resumed);
    Ok(())
}

async fn the_latest_connection_has_the_session(backend: Backend) -> Result<()> {
    let world = world(backend, "m: words 40 every 10ms end").start().await?;
    let mut first = world.session().await?;
    let task = first.ask(&Prompt::to("m")).await?;
    first.tokens(&task, 2).await?;
    let session = first.id().await?;
    let (mut second, resumed) = back(&world, &session, first.log().clone()).await?;
    assert!(resumed);
    assert!(!matches!(first.goodbye().await?, Goodbye::Closed(1000, _)), "the old connection is at its end");
    assert!(first.log().end(&task).is_none());
    assert!(matches!(second.end(&task).await?, Message::Complete { .. }));
    second.log().agree(&task, &world.record_of_task(&task).await?)
}

async fn a_session_is_resumed_again_and_again(backend: Backend) -> Result<()> {
    let world = world(backend, "m: words 100 every 10ms end").start().await?;
    let mut client = world.session().await?;
    let task = client.ask(&Prompt::to("m")).await?;
    let session = client.id().await?;
    for _ in 0..20 {
        let log = client.cut()?;
        let resumed;
        (client, resumed) = back(&world, &session, log).await?;
        assert!(resumed);
    }
    assert!(matches!(client.end(&task).await?, Message::Complete { .. }));
    // On the same connection too.
    client.send(&json!({"type": "RESUME", "sessionId": session, "lastSeq": client.log().last_seq()})).await?;
    client.ping().await?;
    assert!(matches!(client.log().messages(), [.., Message::Session { resumed: true, .. }, Message::Pong {}]));
    client.log().agree(&task, &world.record_of_task(&task).await?)
}

async fn resume_comes_first_or_not_at_all(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hello' end").start().await?;
    let (mut other, mut client) = (world.session().await?, world.session().await?);
    let session = other.id().await?;
    client.complete(&Prompt::to("m")).await?;
    client.send(&json!({"type": "RESUME", "sessionId": session, "lastSeq": 0})).await?;
    client.see("its refusal", |log| log.messages().iter().any(|message| message.code() == "invalid_message").then_some(())).await?;
    assert_eq!(client.complete(&Prompt::to("m")).await?.1, "hello");
    other.ping().await
}

async fn what_follows_resume_in_the_same_packet_belongs_to_the_session(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hello' end").start().await?;
    let mut client = world.session().await?;
    client.complete(&Prompt::to("m")).await?;
    let (session, log) = (client.id().await?, client.cut()?);
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::resumable()).await?;
    let resume = json!({"type": "RESUME", "sessionId": session, "lastSeq": 0});
    client.send_at_once(&[&resume, Prompt::to("m").json(), &json!({"type": "PING"})]).await?;
    let second = client.see("both answers", |log| log.tasks().nth(1).filter(|task| log.end(task).is_some()).map(str::to_owned)).await?;
    assert_eq!((client.id().await?, client.log().text(&second)), (session, "hello".to_owned()));
    assert!(
        client
            .log()
            .messages()
            .iter()
            .filter(|message| message.is_numbered())
            .take(3)
            .eq(log.messages().iter().filter(|message| message.is_numbered()))
    );
    Ok(())
}

async fn history_and_accepted_ids_outlive_a_connection(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hello' end").start().await?;
    let mut client = world.session().await?;
    let prompt = Prompt::to("m").with("id", "mine");
    let (task, _) = client.complete(&prompt).await?;
    let session = client.id().await?;
    let (mut client, _) = back(&world, &session, client.cut()?).await?;
    assert_eq!(client.ask(&prompt).await?, task, "it was accepted before");
    client.complete(&Prompt::to("m")).await?;
    let asked = world.conversations("m")?;
    assert_eq!((asked.len(), asked[1].as_array().map(Vec::len)), (2, Some(3)), "{asked:?}");
    Ok(())
}

async fn a_provider_is_read_for_nobody_only_as_far_as_can_be_repeated(backend: Backend) -> Result<()> {
    // The pause keeps the flood behind the cut: what lies unread in a socket that is lost may be more than can be repeated.
    let world = world(backend, &format!("m: 'first' 500ms burst repeat 20000 ('{}') end", "x".repeat(1000))).start().await?;
    let mut client = world.session().await?;
    let task = client.ask(&Prompt::to("m")).await?;
    client.tokens(&task, 1).await?;
    let (session, log) = (client.id().await?, client.cut()?);
    eventually("the flood", async || world.requests("m").first().filter(|entry| entry.output_events_sent > 1).map(drop)).await?;
    let stopped = world.provider_stops("m").await?;
    assert!(stopped < 15 << 20, "{stopped} bytes for nobody");
    let (mut client, resumed) = back(&world, &session, log).await?;
    assert!(resumed);
    client.end(&task).await?;
    assert_eq!(client.log().text(&task).len(), 5 + 20_000_000);
    let record = world.record_of_task(&task).await?;
    client.log().agree(&task, &record).context("twenty megabytes")
}

//! A session that is asked more than it can answer at once.

use anyhow::{Result, bail};
use tidegate_e2e::{Backend, Message, Prompt, SessionClient, eventually};

use super::world;

on_every_backend!(
    a_full_queue_refuses_and_forgets,
    a_full_queue_drops_its_oldest,
    a_full_queue_defers_within_a_second_bound,
    who_waits_learns_its_place_and_once_an_answer_was_timed_how_long,
    all_sessions_together_have_a_bound_too,
);

const STALLED: &str = "m: 'one' stall | words 3 end";

/// A session whose first task runs, and does so until it is cancelled.
async fn busy(client: &mut SessionClient) -> Result<String> {
    let running = client.ask(&Prompt::to("m")).await?;
    client.tokens(&running, 1).await?;
    Ok(running)
}

async fn a_full_queue_refuses_and_forgets(backend: Backend) -> Result<()> {
    let world = world(backend, STALLED).more("[queue]\nmax_queue_size = 2\n").start().await?;
    let mut client = world.session().await?;
    let running = busy(&mut client).await?;
    let (second, third) = (client.ask(&Prompt::to("m")).await?, client.ask(&Prompt::to("m")).await?);
    let refused = Prompt::to("m").with("id", "mine");
    for _ in 0..3 {
        let Message::RateLimited { queue_depth: 2, retry_after_ms, id } = client.offer(&refused).await? else {
            bail!("{:#?}", client.log())
        };
        assert!(retry_after_ms >= 1000 && id.as_deref() == Some("mine"));
    }
    client.cancel(&running).await?;
    assert!(matches!(client.end(&second).await?, Message::Complete { .. }));
    // There is room, and nobody remembers what was refused.
    let accepted = client.ask(&refused).await?;
    assert!(matches!(client.end(&third).await?, Message::Complete { .. }));
    assert!(matches!(client.end(&accepted).await?, Message::Complete { .. }));
    assert_eq!(world.requests("m").len(), 4);
    Ok(())
}

async fn a_full_queue_drops_its_oldest(backend: Backend) -> Result<()> {
    let world = world(backend, STALLED).more("[queue]\nmax_queue_size = 2\npolicy = \"drop_oldest\"\n").start().await?;
    let mut client = world.session().await?;
    let running = busy(&mut client).await?;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(client.ask(&Prompt::to("m")).await?);
    }
    for oldest in &waiting[..3] {
        let Message::Dropped { reason, .. } = client.end(oldest).await? else { bail!("{:#?}", client.log()) };
        assert_eq!(reason, "queue_full");
    }
    assert!(client.log().end(&running).is_none(), "what runs is not dropped");
    client.cancel(&running).await?;
    for newest in &waiting[3..] {
        assert!(matches!(client.end(newest).await?, Message::Complete { .. }));
    }
    assert_eq!(world.requests("m").len(), 3);
    Ok(())
}

async fn a_full_queue_defers_within_a_second_bound(backend: Backend) -> Result<()> {
    let world = world(backend, STALLED).more("[queue]\nmax_queue_size = 2\npolicy = \"defer\"\n").start().await?;
    let mut client = world.session().await?;
    let running = busy(&mut client).await?;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(client.ask(&Prompt::to("m")).await?);
    }
    assert!(matches!(client.offer(&Prompt::to("m")).await?, Message::RateLimited { queue_depth: 20, .. }));
    client.cancel(&running).await?;
    for (place, task) in (1..).zip(&waiting) {
        assert!(matches!(client.end(task).await?, Message::Complete { .. }));
        assert!(client.log().notices(task).any(|(_, told)| told == Some(place)), "{task} should be told its place {place}");
    }
    Ok(())
}

async fn who_waits_learns_its_place_and_once_an_answer_was_timed_how_long(backend: Backend) -> Result<()> {
    let world = world(backend, "quick: 50ms 'hello' end; m: 'one' stall").start().await?;
    let mut client = world.session().await?;
    let place = |message: &Message| match message {
        Message::Notice { task_id, queue_position: Some(place), eta_ms, .. } => Some((task_id.clone(), *place, *eta_ms)),
        _ => None,
    };
    busy(&mut client).await?;
    let first = client.ask(&Prompt::to("quick")).await?;
    let told = client.see("its place", |log| log.messages().iter().find_map(place)).await?;
    assert_eq!(told, (first, 1, None), "nothing was timed yet");

    let mut client = world.session().await?;
    client.complete(&Prompt::to("quick")).await?;
    busy(&mut client).await?;
    let (first, second) = (client.ask(&Prompt::to("quick")).await?, client.ask(&Prompt::to("quick")).await?);
    let told =
        client.see("their places", |log| Some(log.messages().iter().filter_map(place).collect()).filter(|told: &Vec<_>| told.len() == 2));
    let told = told.await?;
    let [(one, 1, Some(_)), (two, 2, Some(eta))] = &told[..] else { bail!("{told:?}") };
    assert_eq!((one, two), (&first, &second));
    assert!((1..30_000).contains(eta), "one answer of 50 ms stands before it: {eta} ms");
    Ok(())
}

async fn all_sessions_together_have_a_bound_too(backend: Backend) -> Result<()> {
    let world = world(backend, STALLED).more("[queue]\nmax_queue_size = 2\nglobal_max_size = 2\n").start().await?;
    let (mut first, mut second) = (world.session().await?, world.session().await?);
    let running = busy(&mut first).await?;
    let waiting = [first.ask(&Prompt::to("m")).await?, first.ask(&Prompt::to("m")).await?];
    let Message::RateLimited { queue_depth: 0, retry_after_ms, .. } = second.offer(&Prompt::to("m")).await? else {
        bail!("{:#?}", second.log())
    };
    assert!(retry_after_ms >= 1000);
    first.cancel(&running).await?;
    for task in &waiting {
        first.end(task).await?;
    }
    let room = eventually("room", async || match second.offer(&Prompt::to("m")).await.ok()? {
        // In Kafka the count of what waits is a fraction of a second old.
        Message::Ack { task_id, .. } => second.end(&task_id).await.ok().filter(|end| end.code() != "gateway_overloaded"),
        _ => None,
    });
    assert!(matches!(room.await?, Message::Complete { .. }));
    Ok(())
}

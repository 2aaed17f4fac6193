//! What only Kafka promises: that rebalances disturb nothing, and that what is over can be read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tidegate_queue::{End, Event, Queue, QueueError, Settings};
use tokio::time::{sleep, timeout};

use crate::chaos::{count_ends, run, start_sessions};
use crate::kafka::Kafka;
use crate::support::{
    LEASE, Server, TTL, a_moment, bytes, create, invisible, lease, running, settings, soon, task, until_available, visible,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_come_and_go_disturb_no_task() {
    let server = Arc::new(Kafka::start());
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..3).map(|_| tokio::spawn(come_and_go(Arc::clone(&server), Arc::clone(&stop)))).collect();
    let ends = count_ends(start_sessions(&*server).await).await;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        soon(worker).await.expect("no panic");
    }
    assert_eq!(ends.keys().copied().collect::<Vec<_>>(), ["settled"], "no worker died: {ends:?}");
}

/// A process that leases for some time, ends what it began, and is followed by another.
async fn come_and_go(server: Arc<Kafka>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let queue = server.queue(settings());
        // The group takes about as long to agree, so members come and go while it does, too.
        let shift = Duration::from_millis(rand::random_range(300..3000));
        let working = timeout(shift, work(&queue, &stop));
        drop(working.await);
        soon(queue.all_given_back()).await;
    }
}

/// Tasks run apart, so that the shift's end doesn't end them.
async fn work(queue: &Queue, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match queue.lease().await {
            Ok(lease) => drop(tokio::spawn(run(lease))),
            Err(_) => a_moment().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_gateway_submits_no_more_tasks_than_may_wait() {
    let server = Kafka::start();
    let queue = server.queue(Settings { global_max_size: 5, ..settings() });
    let mut owners = Vec::new();
    for _ in 0..8 {
        owners.push(create(&queue).await);
    }
    let mut accepted = 0;
    for owner in &mut owners {
        match owner.submit(task(), bytes("do it")).await {
            Ok(()) => accepted += 1,
            Err(error) => assert_eq!(error, QueueError::Full),
        }
    }
    assert_eq!(accepted, 5);
    let _running = lease(&queue).await;
    let refused = owners.last_mut().expect("there are eight");
    // That one runs is known a moment later.
    soon(async {
        while refused.submit(task(), bytes("do it")).await == Err(QueueError::Full) {
            a_moment().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_read_again_and_nothing_runs_again() {
    let server = Kafka::start();
    let queue = server.queue(settings());
    let began = SystemTime::now();
    let (mut owner, mut first) = running(&queue, &queue).await;
    let (session, task) = (owner.session(), first.task());
    owner.journal(&[bytes("asked"), bytes("accepted")]).await.expect("written");
    first.emit([invisible("begins")]).await.expect("emitted");
    drop(first);
    let mut second = lease(&queue).await;
    let (heir, _) = queue.adopt(session, TTL).await.expect("an answer").expect("a session");
    assert_eq!(owner.snapshot(bytes("WRONG")).await, Err(QueueError::Fenced));
    second.emit([visible("hello")]).await.expect("emitted");
    second.settle(bytes("done")).await.expect("settled");
    heir.end().await.expect("ended");
    let mut replay = until_available(async || server.replay(began).await).await.expect("a replay");
    let mut events = Vec::new();
    while let Some(replayed) = soon(replay.next()).await.expect("the log is there") {
        assert_eq!(replayed.session, session);
        assert!(replayed.time + Duration::from_secs(1) > began);
        if replayed.event != Event::Renewed {
            events.push(replayed.event);
        }
    }
    let expected = [
        Event::Owned,
        Event::Submitted(task),
        Event::Begun(task, 1),
        Event::Journalled(2),
        Event::Said(task, vec![invisible("begins")]),
        Event::Requeued(task),
        Event::Begun(task, 2),
        Event::Owned,
        Event::Refused,
        Event::Said(task, vec![visible("hello")]),
        Event::Ended(task, End::Settled(bytes("done"))),
        Event::Over,
    ];
    assert_eq!(events, expected);
    let mut later = until_available(async || server.replay(SystemTime::now() + LEASE).await).await.expect("a replay");
    assert_eq!(later.next().await, Ok(None), "nothing has happened since");
    // Whoever read it asked nobody to do anything.
    sleep(LEASE).await;
    assert_eq!(queue.depth().await.expect("a depth").waiting, 0);
}

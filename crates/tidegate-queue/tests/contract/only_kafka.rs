//! What only Kafka promises: that rebalances disturb nothing, and that what is over can be read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tidegate_core::id::SessionId;
use tidegate_queue::{Depth, End, Entry, Fate, Output, Queue, QueueError, Replayed, Settings};
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::{sleep, timeout};

use crate::chaos::{count_ends, run, start_sessions};
use crate::kafka::Kafka;
use crate::support::{
    LEASE, Server, TTL, a_moment, bytes, create, invisible, lease, next, patient, running, session, settings, soon, task, until_available,
    visible,
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

/// As all pods of a deployment are: the group changes with each that comes and goes, so many stop while it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_stopped_together_leave_their_group_and_nobody_waits_for_them() {
    let server = Kafka::start();
    for round in 0..5 {
        // One that says no goodbye stays for a minute, as some do that are stopped while they join.
        let workers: Vec<_> = (0..6).map(|_| server.queue(patient())).collect();
        let workers: Vec<_> = workers.into_iter().map(|worker| tokio::spawn(async move { worker.lease().await })).collect();
        if round == 0 {
            members_become(&server, 6).await;
            workers.iter().for_each(JoinHandle::abort);
            members_become(&server, 0).await;
        } else {
            sleep(Duration::from_millis(rand::random_range(100..1500))).await;
            workers.iter().for_each(JoinHandle::abort);
        }
    }
    let queue = server.queue(patient());
    for _ in 0..8 {
        drop(running(&queue, &queue).await);
    }
}

async fn members_become(server: &Kafka, number: usize) {
    soon(async {
        while block_in_place(|| server.members()) != Some(number) {
            a_moment().await;
        }
    })
    .await;
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
async fn an_heir_gets_hundreds_of_sessions_at_once() {
    let server = Kafka::start();
    let (first, heir) = (server.queue(settings()), server.queue(settings()));
    let making = (0..300).map(|_| {
        let first = first.clone();
        tokio::spawn(async move {
            let mut owner = create(&first).await;
            owner.journal(&[bytes("asked")]).await.expect("written");
            owner.session()
        })
    });
    let mut sessions = Vec::new();
    for session in making.collect::<Vec<_>>() {
        sessions.push(session.await.expect("no panic"));
    }
    // As their clients do when their gateway is gone.
    let adopting = sessions.into_iter().map(|session| {
        let heir = heir.clone();
        tokio::spawn(async move { heir.adopt(session, TTL).await.expect("an answer").expect("a session").1 })
    });
    for past in adopting.collect::<Vec<_>>() {
        assert_eq!(soon(past).await.expect("no panic").entries, [Entry::Journal(bytes("asked"))]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_heir_leaves_out_what_thousands_of_others_said_meanwhile_and_misses_nothing() {
    let server = Kafka::start();
    let (first, heir) = (server.queue(settings()), server.queue(settings()));
    let ttl = LEASE * 4;
    let mut owner = soon(first.create(session(), ttl)).await.expect("a session");
    owner.journal(&[bytes("early")]).await.expect("written");
    // About 2,500 in each partition.
    let others = (0..100).map(|_| {
        let first = first.clone();
        tokio::spawn(async move {
            let mut other = create(&first).await;
            for _ in 0..100 {
                other.journal(&[bytes("WRONG")]).await.expect("written");
            }
        })
    });
    for other in others.collect::<Vec<_>>() {
        other.await.expect("no panic");
    }
    owner.journal(&[bytes("late")]).await.expect("written");
    // Its owner says from time to time where it is.
    sleep(ttl / 2).await;
    owner.journal(&[bytes("last")]).await.expect("written");
    let (_, past) = heir.adopt(owner.session(), ttl).await.expect("an answer").expect("a session");
    assert_eq!(past.entries, ["early", "late", "last"].map(|said| Entry::Journal(bytes(said))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_read_again_and_nothing_runs_again() {
    let server = Kafka::start();
    let queue = server.queue(settings());
    let (mut early, mut before) = running(&queue, &queue).await;
    // So that its moment is another than what follows.
    sleep(Duration::from_millis(20)).await;
    let since = SystemTime::now();
    before.settle(bytes("done before")).await.expect("settled");
    next(&mut early).await;
    let (mut owner, mut first) = running(&queue, &queue).await;
    let (session, ended) = (owner.session(), first.task());
    first.emit([invisible("begins")]).await.expect("emitted");
    drop(first);
    let mut second = lease(&queue).await;
    let (mut heir, _) = queue.adopt(session, TTL).await.expect("an answer").expect("a session");
    assert_eq!(owner.submit(task(), bytes("WRONG")).await, Err(QueueError::Fenced));
    second.emit([visible("hello")]).await.expect("emitted");
    second.settle(bytes("done")).await.expect("settled");
    while !matches!(next(&mut heir).await, Output::Ended { .. }) {}
    let (stopped, open) = (task(), task());
    heir.submit(stopped, bytes("do it")).await.expect("submitted");
    heir.cancel(stopped, bytes("stop it")).await.expect("cancelled");
    next(&mut heir).await;
    heir.submit(open, bytes("do it")).await.expect("submitted");
    let other = task();
    early.submit(other, bytes("do it")).await.expect("submitted");
    early.end().await.expect("ended");

    let tasks = all(&server, since, None).await;
    let [hello, cancelled, over, waiting] =
        [ended, stopped, other, open].map(|id| tasks.iter().find(|task| task.task == id).expect("it is there"));
    assert_eq!(tasks.len(), 4, "neither what was submitted before, nor what was refused: {tasks:?}");
    assert_eq!(hello.session, session);
    assert!(hello.submitted + LEASE > since && hello.attempts[0].begun >= hello.submitted);
    let said: Vec<_> = hello.attempts.iter().map(|attempt| attempt.pieces.clone()).collect();
    assert_eq!(said, [vec![invisible("begins")], vec![visible("hello")]]);
    assert!(matches!(&hello.fate, Fate::Ended { end, .. } if *end == End::Settled(bytes("done"))));
    assert!(cancelled.cancelled.is_some() && matches!(&cancelled.fate, Fate::Ended { end: End::Cancelled, .. }));
    assert!(matches!(over.fate, Fate::SessionOver { .. }));
    assert_eq!((waiting.attempts.len(), &waiting.fate), (0, &Fate::Open));
    assert_eq!(tasks.last(), Some(waiting), "those without an end come last");

    let its_own = all(&server, since, Some(session)).await;
    assert_eq!(its_own.iter().map(|task| task.task).collect::<Vec<_>>(), [ended, stopped, open]);
    assert!(all(&server, SystemTime::now() + LEASE, None).await.is_empty(), "nothing has happened since");
    // Whoever read it asked nobody to do anything.
    Kafka::assert_depth(&queue, Depth { waiting: 1, running: 0 }).await;
}

async fn all(server: &Kafka, since: SystemTime, only: Option<SessionId>) -> Vec<Replayed> {
    let mut replay = until_available(async || server.replay(since, only).await).await.expect("a replay");
    let mut all = Vec::new();
    while let Some(replayed) = soon(replay.next()).await.expect("the log is there") {
        all.push(replayed);
    }
    all
}

//! Tasks: submitted, run, cancelled, counted.

use std::collections::HashMap;

use tidegate_queue::{Depth, End, Output, QueueError, Settings, Stop};

use crate::support::{
    Server, bytes, create, invisible, lease, next, nothing, patient, running, said, settings, soon, task, until_available, visible,
};

pub(crate) async fn a_task_reaches_a_worker_and_its_answer_comes_back_in_order(server: impl Server) {
    let (gateway, worker) = (server.queue(settings()), server.queue(settings()));
    let mut owner = create(&gateway).await;
    for round in 0..3 {
        let task = task();
        owner.submit(task, bytes(format!("prompt {round}"))).await.expect("submitted");
        let mut lease = lease(&worker).await;
        assert_eq!((lease.session(), lease.task(), lease.attempt()), (owner.session(), task, 1));
        assert_eq!(lease.payload(), &bytes(format!("prompt {round}")));
        lease.emit([invisible("begins"), visible("hel")]).await.expect("emitted");
        lease.emit([visible("lo")]).await.expect("emitted");
        lease.settle(bytes("usage")).await.expect("settled");
        for text in ["begins", "hel", "lo"] {
            assert_eq!(next(&mut owner).await, said(task, text));
        }
        assert_eq!(next(&mut owner).await, Output::Ended { task, end: End::Settled(bytes("usage")) });
    }
}

pub(crate) async fn a_task_waits_for_the_first_worker_that_comes(server: impl Server) {
    let gateway = server.queue(settings());
    let mut owner = create(&gateway).await;
    let task = task();
    owner.submit(task, bytes("do it")).await.expect("submitted");
    assert_eq!(lease(&server.queue(settings())).await.task(), task);
}

pub(crate) async fn tasks_of_many_sessions_run_side_by_side_each_once(server: impl Server) {
    const SESSIONS: usize = 40;
    let (gateway, workers) = (server.queue(settings()), [server.queue(settings()), server.queue(settings())]);
    let mut owners = Vec::new();
    for _ in 0..SESSIONS {
        let mut owner = create(&gateway).await;
        let task = task();
        owner.submit(task, bytes("do it")).await.expect("submitted");
        owners.push((owner, task));
    }
    // All leases are held at the same time, by two processes.
    let mut leases = Vec::new();
    for round in 0..SESSIONS {
        leases.push(lease(&workers[round % 2]).await);
    }
    let mut seen: Vec<_> = leases.iter().map(|lease| lease.task()).collect();
    seen.sort();
    let mut submitted: Vec<_> = owners.iter().map(|(_, task)| *task).collect();
    submitted.sort();
    assert_eq!(seen, submitted);
    for lease in &mut leases {
        lease.settle(bytes("done")).await.expect("settled");
    }
    for (owner, task) in &mut owners {
        assert_eq!(next(owner).await, Output::Ended { task: *task, end: End::Settled(bytes("done")) });
    }
}

pub(crate) async fn a_session_runs_one_task_at_a_time_and_takes_the_same_one_twice<S: Server>(server: S) {
    let queue = server.queue(settings());
    let mut owner = create(&queue).await;
    let (first, second) = (task(), task());
    owner.submit(first, bytes("1")).await.expect("submitted");
    owner.submit(first, bytes("1")).await.expect("it is there");
    assert_eq!(owner.submit(second, bytes("2")).await, Err(QueueError::Busy));
    let mut lease = lease(&queue).await;
    owner.submit(first, bytes("1")).await.expect("it runs");
    assert_eq!(owner.submit(second, bytes("2")).await, Err(QueueError::Busy));
    lease.settle(bytes("done")).await.expect("settled");
    owner.submit(first, bytes("1")).await.expect("it is over");
    // And does not run again.
    S::assert_depth(&queue, Depth::default()).await;
    owner.submit(second, bytes("2")).await.expect("its turn has come");
}

pub(crate) async fn no_more_tasks_wait_than_may_however_many_are_submitted_at_once(server: impl Server) {
    let narrow = Settings { global_max_size: 5, ..settings() };
    let gateways = [server.queue(narrow.clone()), server.queue(narrow)];
    let mut owners = Vec::new();
    for round in 0..20 {
        owners.push(create(&gateways[round % 2]).await);
    }
    let submitting = owners.into_iter().map(|mut owner| tokio::spawn(async move { (owner.submit(task(), bytes("do it")).await, owner) }));
    let mut refused = Vec::new();
    // Kept, so that no session ends before all are submitted.
    let mut accepted = Vec::new();
    for submitted in submitting.collect::<Vec<_>>() {
        match submitted.await.expect("no panic") {
            (Ok(()), owner) => accepted.push(owner),
            (Err(QueueError::Full), owner) => refused.push(owner),
            (Err(other), _) => unreachable!("{other}"),
        }
    }
    assert_eq!((accepted.len(), refused.len()), (5, 15));
    let _running = lease(&gateways[0]).await;
    refused[0].submit(task(), bytes("do it")).await.expect("one runs now, so there is room");
    assert_eq!(refused[1].submit(task(), bytes("do it")).await, Err(QueueError::Full));
}

pub(crate) async fn the_depth_tells_what_waits_and_what_runs<S: Server>(server: S) {
    let queue = server.queue(settings());
    S::assert_depth(&queue, Depth::default()).await;
    let mut owners = Vec::new();
    for _ in 0..3 {
        let mut owner = create(&queue).await;
        owner.submit(task(), bytes("do it")).await.expect("submitted");
        owners.push(owner);
    }
    S::assert_depth(&queue, Depth { waiting: 3, running: 0 }).await;
    let mut lease = lease(&queue).await;
    S::assert_depth(&queue, Depth { waiting: 2, running: 1 }).await;
    lease.settle(bytes("done")).await.expect("settled");
    S::assert_depth(&queue, Depth { waiting: 2, running: 0 }).await;
}

pub(crate) async fn a_waiting_task_is_cancelled_at_once_and_no_worker_gets_it<S: Server>(server: S) {
    let queue = server.queue(settings());
    let mut owner = create(&queue).await;
    let task = task();
    owner.submit(task, bytes("do it")).await.expect("submitted");
    owner.cancel(task, bytes("cancelled")).await.expect("cancelled");
    assert_eq!(next(&mut owner).await, Output::Ended { task, end: End::Cancelled });
    nothing(queue.lease()).await;
    S::assert_depth(&queue, Depth::default()).await;
}

pub(crate) async fn a_running_task_is_told_to_stop_and_ends_as_its_worker_says(server: impl Server) {
    // The lease is not renewed within this test: the worker is told.
    let (gateway, worker) = (server.queue(settings()), server.queue(patient()));
    let (mut owner, mut lease) = running(&gateway, &worker).await;
    let (task, stopped) = (lease.task(), lease.stopped());
    lease.emit([visible("half")]).await.expect("emitted");
    owner.cancel(task, bytes("stop it")).await.expect("cancelled");
    assert_eq!(soon(stopped).await, Stop::Cancelled(bytes("stop it")));
    lease.settle(bytes("cancelled after output")).await.expect("settled");
    assert_eq!(next(&mut owner).await, said(task, "half"));
    assert_eq!(next(&mut owner).await, Output::Ended { task, end: End::Settled(bytes("cancelled after output")) });
}

pub(crate) async fn cancelling_what_is_over_changes_nothing(server: impl Server) {
    let queue = server.queue(settings());
    let (mut owner, mut first) = running(&queue, &queue).await;
    first.settle(bytes("done")).await.expect("settled");
    owner.cancel(first.task(), bytes("too late")).await.expect("nothing to do");
    owner.cancel(task(), bytes("never submitted")).await.expect("nothing to do");
    assert_eq!(next(&mut owner).await, Output::Ended { task: first.task(), end: End::Settled(bytes("done")) });
    let second = task();
    owner.submit(second, bytes("do it")).await.expect("submitted");
    lease(&queue).await.settle(bytes("done")).await.expect("settled");
    assert_eq!(next(&mut owner).await, Output::Ended { task: second, end: End::Settled(bytes("done")) });
}

pub(crate) async fn settling_twice_is_one_end(server: impl Server) {
    let queue = server.queue(settings());
    let (mut owner, mut lease) = running(&queue, &queue).await;
    let task = lease.task();
    lease.settle(bytes("done")).await.expect("settled");
    lease.settle(bytes("done")).await.expect("it is");
    assert_eq!(lease.emit([visible("more")]).await, Err(QueueError::Lost));
    drop(lease);
    assert_eq!(next(&mut owner).await, Output::Ended { task, end: End::Settled(bytes("done")) });
    nothing(owner.next()).await;
}

pub(crate) async fn what_a_worker_keeps_with_an_end_is_there_as_soon_as_the_end_is_and_outlives_worker_and_session(server: impl Server) {
    let (gateway, worker, restarted) = (server.queue(settings()), server.queue(settings()), server.queue(settings()));
    let (mut owner, mut lease) = running(&gateway, &worker).await;
    let (_other_owner, mut other) = running(&gateway, &worker).await;
    let asked = [&lease, &other].map(|lease| (lease.session(), lease.task()));
    let [(_, task), (_, other_task)] = asked;
    lease.memo(bytes("what it might have been"));
    lease.memo(bytes("what it was"));
    other.memo(bytes("what the other was"));
    let memos = async || until_available(async || restarted.memos(&asked).await).await.expect("an answer");
    let (its, others) = ((task, bytes("what it was")), (other_task, bytes("what the other was")));
    assert_eq!(memos().await, HashMap::new());
    lease.settle(bytes("done")).await.expect("settled");
    assert_eq!(memos().await, HashMap::from([its.clone()]));
    other.settle(bytes("done, too")).await.expect("settled");
    assert_eq!(memos().await, HashMap::from([its.clone(), others.clone()]));
    drop((lease, other, worker));
    assert_eq!(next(&mut owner).await, Output::Ended { task, end: End::Settled(bytes("done")) });
    owner.end().await.expect("ended");
    assert_eq!(memos().await, HashMap::from([its, others]));
    restarted.forget_memo(task).await.expect("it need not be kept");
}

pub(crate) async fn nothing_is_kept_with_an_end_that_its_worker_did_not_write(server: impl Server) {
    let queue = server.queue(settings());
    let (mut owner, mut lease) = running(&queue, &queue).await;
    let (session, task) = (lease.session(), lease.task());
    lease.emit([visible("half")]).await.expect("emitted");
    lease.memo(bytes("what it would have been"));
    drop(lease);
    assert_eq!(next(&mut owner).await, said(task, "half"));
    assert_eq!(next(&mut owner).await, Output::Ended { task, end: End::Lost });
    assert_eq!(queue.memos(&[(session, task)]).await, Ok(HashMap::new()));
}

//! Leases: kept, dropped, lost, stolen.

use tidegate_queue::{End, Output, Settings};

use crate::process::Process;
use crate::support::{LEASE, Server, bytes, create, invisible, lease, next, nothing, patient, running, said, settings, task, visible};

pub(crate) async fn a_lease_is_kept_for_as_long_as_it_is_held(server: impl Server) {
    let (gateway, worker) = (server.queue(settings()), server.queue(settings()));
    let (mut owner, mut lease) = running(&gateway, &worker).await;
    // Nobody else gets it, for longer than a lease.
    nothing(gateway.lease()).await;
    lease.emit([visible("still here")]).await.expect("emitted");
    lease.settle(bytes("done")).await.expect("settled");
    assert_eq!(next(&mut owner).await, said(lease.task(), "still here"));
}

pub(crate) async fn a_lease_that_is_dropped_before_output_runs_again_at_once(server: impl Server) {
    let queue = server.queue(patient());
    let (mut owner, mut first) = running(&queue, &queue).await;
    first.emit([invisible("begins")]).await.expect("emitted");
    drop(first);
    let mut second = lease(&queue).await;
    assert_eq!(second.attempt(), 2);
    second.settle(bytes("done")).await.expect("settled");
    assert_eq!(next(&mut owner).await, said(second.task(), "begins"));
    assert_eq!(next(&mut owner).await, Output::Ended { task: second.task(), end: End::Settled(bytes("done")) });
}

pub(crate) async fn a_lease_that_is_dropped_after_output_ends_the_task_as_lost(server: impl Server) {
    let queue = server.queue(patient());
    let (mut owner, mut first) = running(&queue, &queue).await;
    let task = first.task();
    first.emit([visible("half")]).await.expect("emitted");
    drop(first);
    assert_eq!(next(&mut owner).await, said(task, "half"));
    assert_eq!(next(&mut owner).await, Output::Ended { task, end: End::Lost });
    nothing(queue.lease()).await;
}

pub(crate) async fn a_worker_that_is_killed_before_output_is_replaced(server: impl Server) {
    let queue = server.queue(settings());
    let mut owner = create(&queue).await;
    let mut worker = Process::start(&server);
    let task = task();
    owner.submit(task, bytes("do it")).await.expect("submitted");
    worker.does("lease").await;
    worker.does("emit invisible begins").await;
    worker.kill();
    let mut second = lease(&queue).await;
    assert_eq!((second.task(), second.attempt()), (task, 2));
    second.emit([visible("hello")]).await.expect("emitted");
    second.settle(bytes("done")).await.expect("settled");
    for expected in [said(task, "begins"), said(task, "hello"), Output::Ended { task, end: End::Settled(bytes("done")) }] {
        assert_eq!(next(&mut owner).await, expected);
    }
}

pub(crate) async fn a_worker_that_is_killed_after_output_is_not_replaced(server: impl Server) {
    let queue = server.queue(settings());
    let mut owner = create(&queue).await;
    let mut worker = Process::start(&server);
    let task = task();
    owner.submit(task, bytes("do it")).await.expect("submitted");
    worker.does("lease").await;
    worker.does("emit visible half").await;
    worker.kill();
    // Nobody leases here: the gateways find it by themselves, also when no worker is left.
    assert_eq!(next(&mut owner).await, said(task, "half"));
    assert_eq!(next(&mut owner).await, Output::Ended { task, end: End::Lost });
    nothing(queue.lease()).await;
}

pub(crate) async fn a_worker_that_was_frozen_finds_everything_refused(server: impl Server) {
    let queue = server.queue(settings());
    let mut owner = create(&queue).await;
    let mut zombie = Process::start(&server);
    let task = task();
    owner.submit(task, bytes("do it")).await.expect("submitted");
    zombie.does("lease").await;
    zombie.freeze();
    let mut second = lease(&queue).await;
    second.emit([visible("hel")]).await.expect("emitted");
    zombie.thaw();
    assert_eq!(zombie.answers("emit visible WRONG").await, "Err(Lost)");
    assert_eq!(zombie.answers("settle WRONG").await, "Err(Lost)");
    assert_eq!(zombie.answers("stopped").await, "Lost");
    zombie.does("drop").await;
    second.emit([visible("lo")]).await.expect("it was never disturbed");
    second.settle(bytes("done")).await.expect("settled");
    for expected in [said(task, "hel"), said(task, "lo"), Output::Ended { task, end: End::Settled(bytes("done")) }] {
        assert_eq!(next(&mut owner).await, expected);
    }
}

pub(crate) async fn a_task_that_takes_every_worker_with_it_is_given_up(server: impl Server) {
    let queue = server.queue(Settings { attempts: 3, ..settings() });
    let mut owner = create(&queue).await;
    let task = task();
    owner.submit(task, bytes("do it")).await.expect("submitted");
    for attempt in 1..=3 {
        assert_eq!(lease(&queue).await.attempt(), attempt);
    }
    assert_eq!(next(&mut owner).await, Output::Ended { task, end: End::GivenUp });
}

pub(crate) async fn a_cancelled_task_whose_worker_is_killed_ends_as_cancelled(server: impl Server) {
    let queue = server.queue(settings());
    let mut owner = create(&queue).await;
    let mut worker = Process::start(&server);
    let task = task();
    owner.submit(task, bytes("do it")).await.expect("submitted");
    worker.does("lease").await;
    owner.cancel(task, bytes("stop it")).await.expect("cancelled");
    worker.kill();
    assert_eq!(next(&mut owner).await, Output::Ended { task, end: End::Cancelled });
    nothing(queue.lease()).await;
}

pub(crate) async fn whoever_stops_waiting_for_a_lease_takes_no_task_along(server: impl Server) {
    let (gateway, worker) = (server.queue(settings()), server.queue(patient()));
    let mut owner = create(&gateway).await;
    for round in 0..20_u32 {
        // At any moment between asking and getting.
        let patience = LEASE * round / 200;
        let waiting = tokio::time::timeout(patience, worker.lease());
        let task = task();
        let (_, submitted) = tokio::join!(waiting, owner.submit(task, bytes("do it")));
        submitted.expect("submitted");
        let mut lease = lease(&worker).await;
        assert_eq!(lease.task(), task);
        lease.settle(bytes("done")).await.expect("settled");
        assert_eq!(next(&mut owner).await, Output::Ended { task, end: End::Settled(bytes("done")) });
    }
}

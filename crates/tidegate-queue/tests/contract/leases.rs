//! Leases: kept, dropped, lost, stolen.

use tidegate_queue::{End, Lease, Output, Queue, QueueError, Settings, Stop};
use tokio::runtime::{Builder, Runtime};

use crate::support::{
    LEASE, Server, bytes, create, invisible, lease, next, nothing, patient, running, said, settings, soon, task, visible,
};

/// A worker process that can be frozen and can vanish: it does something only while it is asked to.
struct Worker {
    queue: Queue,
    runtime: Runtime,
}

impl Worker {
    fn new(server: &impl Server) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let inside = runtime.enter();
        let queue = server.queue(settings());
        drop(inside);
        Self { queue, runtime }
    }

    /// Lets it live while this happens.
    fn run<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    fn lease(&self) -> Lease {
        self.run(lease(&self.queue))
    }

    /// As if the process were killed: nothing of it says anything any more.
    fn vanish(self, lease: Lease) {
        self.runtime.shutdown_background();
        drop(lease);
    }
}

/// In a thread of its own, because a runtime can't run in another.
async fn apart<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(what).await.expect("no panic")
}

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

pub(crate) async fn a_worker_that_vanishes_before_output_is_replaced(server: impl Server) {
    let queue = server.queue(settings());
    let mut owner = create(&queue).await;
    let worker = Worker::new(&server);
    let task = task();
    owner.submit(task, bytes("do it")).await.expect("submitted");
    apart(move || {
        let mut lease = worker.lease();
        worker.run(lease.emit([invisible("begins")])).expect("emitted");
        worker.vanish(lease);
    })
    .await;
    let mut second = lease(&queue).await;
    assert_eq!((second.task(), second.attempt()), (task, 2));
    second.emit([visible("hello")]).await.expect("emitted");
    second.settle(bytes("done")).await.expect("settled");
    for expected in [said(task, "begins"), said(task, "hello"), Output::Ended { task, end: End::Settled(bytes("done")) }] {
        assert_eq!(next(&mut owner).await, expected);
    }
}

pub(crate) async fn a_worker_that_vanishes_after_output_is_not_replaced(server: impl Server) {
    let queue = server.queue(settings());
    let mut owner = create(&queue).await;
    let worker = Worker::new(&server);
    let task = task();
    owner.submit(task, bytes("do it")).await.expect("submitted");
    apart(move || {
        let mut lease = worker.lease();
        worker.run(lease.emit([visible("half")])).expect("emitted");
        worker.vanish(lease);
    })
    .await;
    // Nobody leases here: the gateways find it by themselves, also when no worker is left.
    assert_eq!(next(&mut owner).await, said(task, "half"));
    assert_eq!(next(&mut owner).await, Output::Ended { task, end: End::Lost });
    nothing(queue.lease()).await;
}

pub(crate) async fn a_worker_that_was_frozen_finds_everything_refused(server: impl Server) {
    let queue = server.queue(settings());
    let mut owner = create(&queue).await;
    let worker = Worker::new(&server);
    let task = task();
    owner.submit(task, bytes("do it")).await.expect("submitted");
    let (worker, mut zombie) = apart(move || {
        let lease = worker.lease();
        (worker, lease)
    })
    .await;
    let mut second = lease(&queue).await;
    second.emit([visible("hel")]).await.expect("emitted");
    apart(move || {
        assert_eq!(worker.run(soon(zombie.stopped())), Stop::Lost);
        assert_eq!(worker.run(zombie.emit([visible("WRONG")])), Err(QueueError::Lost));
        assert_eq!(worker.run(zombie.settle(bytes("WRONG"))), Err(QueueError::Lost));
        drop(zombie);
        worker.run(worker.queue.all_given_back());
    })
    .await;
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

pub(crate) async fn a_cancelled_task_whose_worker_vanishes_ends_as_cancelled(server: impl Server) {
    let queue = server.queue(settings());
    let mut owner = create(&queue).await;
    let worker = Worker::new(&server);
    let task = task();
    owner.submit(task, bytes("do it")).await.expect("submitted");
    let (worker, lease) = apart(move || {
        let lease = worker.lease();
        (worker, lease)
    })
    .await;
    owner.cancel(task, bytes("stop it")).await.expect("cancelled");
    apart(move || worker.vanish(lease)).await;
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

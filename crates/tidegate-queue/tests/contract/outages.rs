//! The server gone, frozen, killed, started again.

use tidegate_queue::{End, Entry, Output, QueueError};

use crate::support::{
    Server, TTL, a_moment, bytes, create, invisible, is_unavailable, lease, next, patient, running, said, session, settings, soon, task,
    until_available, visible,
};

pub(crate) async fn without_its_server_everything_fails_in_time_and_recovers(mut server: impl Server) {
    let queue = server.queue(settings());
    let (mut owner, mut held) = running(&queue, &queue).await;
    let mut other = create(&queue).await;
    server.kill();
    let running = held.task();
    tokio::join!(
        is_unavailable(held.emit([visible("half")])),
        async {
            is_unavailable(owner.submit(task(), bytes("do it"))).await;
            is_unavailable(owner.cancel(running, bytes("stop it"))).await;
        },
        async {
            is_unavailable(other.journal(&[bytes("asked")])).await;
            is_unavailable(other.submit(task(), bytes("do it"))).await;
            is_unavailable(other.snapshot(bytes("state"))).await;
        },
        is_unavailable(queue.create(session(), TTL)),
        is_unavailable(queue.adopt(session(), TTL)),
        is_unavailable(queue.depth()),
        is_unavailable(queue.lease()),
    );
    assert!(!queue.is_available());
    // Also for a process that starts while it is gone.
    let late = server.queue(settings());
    is_unavailable(late.create(session(), TTL)).await;
    server.start_again();
    let mut owner = until_available(async || late.create(session(), TTL).await).await.expect("a session");
    owner.submit(task(), bytes("do it")).await.expect("submitted");
    until_available(async || queue.lease().await).await.expect("a lease");
    soon(async {
        while !(queue.is_available() && late.is_available()) {
            a_moment().await;
        }
    })
    .await;
}

pub(crate) async fn a_server_that_does_not_answer_is_noticed_in_time(server: impl Server) {
    let queue = server.queue(patient());
    let (mut owner, mut held) = running(&queue, &queue).await;
    server.freeze();
    is_unavailable(held.emit([visible("half")])).await;
    is_unavailable(owner.journal(&[bytes("asked")])).await;
    is_unavailable(queue.create(session(), TTL)).await;
    is_unavailable(queue.lease()).await;
    server.thaw();
    until_available(async || held.emit([]).await).await.expect("emitted");
    assert_eq!(next(&mut owner).await, said(held.task(), "half"));
}

pub(crate) async fn a_server_that_is_killed_and_started_again_has_lost_nothing<S: Server>(mut server: S) {
    const SESSIONS: usize = 30;
    let queue = server.queue(settings());
    let mut owners = Vec::new();
    for round in 0..SESSIONS {
        let mut owner = create(&queue).await;
        owner.snapshot(bytes(format!("state {round}"))).await.expect("written");
        owner.journal(&[bytes(format!("asked {round}"))]).await.expect("written");
        owner.submit(task(), bytes(format!("prompt {round}"))).await.expect("submitted");
        owners.push(owner);
    }
    server.kill();
    server.start_again();
    let heir = server.queue(settings());
    for (round, owner) in owners.iter().enumerate() {
        let (_, past) = until_available(async || heir.adopt(owner.session(), TTL).await).await.expect("an answer").expect("a session");
        assert_eq!(past.snapshot, Some(bytes(format!("state {round}"))));
        assert_eq!(past.entries, [Entry::Journal(bytes(format!("asked {round}")))]);
    }
    let mut prompts = Vec::new();
    for _ in 0..SESSIONS {
        let mut lease = lease(&heir).await;
        prompts.push(String::from_utf8_lossy(lease.payload()).into_owned());
        lease.settle(bytes("done")).await.expect("settled");
    }
    let mut submitted: Vec<_> = (0..SESSIONS).map(|round| format!("prompt {round}")).collect();
    if !S::IN_ORDER {
        prompts.sort();
        submitted.sort();
    }
    assert_eq!(prompts, submitted);
}

pub(crate) async fn a_running_task_goes_on_after_a_restart_with_each_piece_once(mut server: impl Server) {
    let (gateway, worker) = (server.queue(patient()), server.queue(patient()));
    let (mut owner, mut lease) = running(&gateway, &worker).await;
    let task = lease.task();
    lease.emit([visible("a")]).await.expect("emitted");
    assert_eq!(next(&mut owner).await, said(task, "a"));
    server.kill();
    is_unavailable(lease.emit([visible("b")])).await;
    is_unavailable(lease.emit([visible("c")])).await;
    server.start_again();
    until_available(async || lease.emit([]).await).await.expect("emitted");
    lease.emit([visible("d")]).await.expect("emitted");
    lease.settle(bytes("done")).await.expect("settled");
    for expected in [said(task, "b"), said(task, "c"), said(task, "d"), Output::Ended { task, end: End::Settled(bytes("done")) }] {
        // Where the server took its time, the owner is told so once, and reads on.
        assert_eq!(until_available(async || owner.next().await).await, Ok(expected));
    }
}

pub(crate) async fn a_journal_in_doubt_is_settled_by_a_snapshot(server: impl Server) {
    let queue = server.queue(settings());
    let mut owner = create(&queue).await;
    owner.journal(&[bytes("sure")]).await.expect("written");
    server.freeze();
    // It lies in the frozen server's socket, and is read whenever that goes on, perhaps behind what the owner sends later elsewhere.
    is_unavailable(owner.journal(&[bytes("in doubt")])).await;
    assert_eq!(owner.journal(&[bytes("more")]).await, Err(QueueError::InDoubt));
    is_unavailable(owner.snapshot(bytes("not written"))).await;
    server.thaw();
    until_available(async || owner.snapshot(bytes("state")).await).await.expect("written");
    owner.journal(&[bytes("sure again")]).await.expect("written");
    let (_, past) = queue.adopt(owner.session(), TTL).await.expect("an answer").expect("a session");
    assert_eq!(past.snapshot, Some(bytes("state")));
    assert_eq!(past.entries, [Entry::Journal(bytes("sure again"))]);
}

pub(crate) async fn an_owner_is_told_of_an_outage_that_lasts_and_reads_on_afterwards(mut server: impl Server) {
    let (gateway, worker) = (server.queue(settings()), server.queue(settings()));
    let (mut owner, mut first) = running(&gateway, &worker).await;
    first.emit([invisible("before")]).await.expect("emitted");
    assert_eq!(next(&mut owner).await, said(first.task(), "before"));
    server.kill();
    assert!(matches!(soon(owner.next()).await, Err(QueueError::Unavailable(_))), "once");
    server.start_again();
    // Its worker's lease ran out meanwhile.
    let mut second = until_available(async || worker.lease().await).await.expect("a lease");
    until_available(async || second.emit([visible("after")]).await).await.expect("emitted");
    assert_eq!(next(&mut owner).await, said(first.task(), "after"));
}

pub(crate) async fn workers_wait_on_through_a_restart(mut server: impl Server) {
    let (gateway, worker) = (server.queue(settings()), server.queue(settings()));
    create(&gateway).await.end().await.expect("both are connected");
    let leasing = tokio::spawn(async move {
        loop {
            match worker.lease().await {
                Err(QueueError::Unavailable(_)) => a_moment().await,
                answer => return answer,
            }
        }
    });
    server.kill();
    server.start_again();
    let mut owner = until_available(async || gateway.create(session(), TTL).await).await.expect("a session");
    owner.submit(task(), bytes("do it")).await.expect("submitted");
    let mut lease = soon(leasing).await.expect("no panic").expect("a lease");
    lease.settle(bytes("done")).await.expect("settled");
    assert_eq!(next(&mut owner).await, Output::Ended { task: lease.task(), end: End::Settled(bytes("done")) });
}

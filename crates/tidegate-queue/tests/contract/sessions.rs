//! Sessions: owned, inherited, forgotten.

use std::time::Duration;

use tidegate_core::id::SessionId;
use tidegate_queue::{End, Entry, Output, Past, QueueError, Stop, Tenure};

use crate::process::{PUPPETS_TTL, Process};
use crate::support::{LEASE, Server, TTL, bytes, create, lease, next, running, said, session, settings, soon, task, visible};

pub(crate) async fn an_heir_reads_everything_in_the_order_in_which_its_predecessor_saw_it(server: impl Server) {
    let (first, second, worker) = (server.queue(settings()), server.queue(settings()), server.queue(settings()));
    let mut owner = create(&first).await;
    let task = task();
    owner.journal(&[bytes("asked"), bytes("accepted")]).await.expect("written");
    owner.submit(task, bytes("do it")).await.expect("submitted");
    let mut lease = lease(&worker).await;
    lease.emit([visible("a"), visible("b"), visible("c")]).await.expect("emitted");
    assert_eq!(next(&mut owner).await, said(task, "a"));
    // It lies behind all three in the log, but was written when only the first had been read.
    owner.journal(&[bytes("asked again")]).await.expect("written");
    assert_eq!(next(&mut owner).await, said(task, "b"));
    let expected = [
        Entry::Journal(bytes("asked")),
        Entry::Journal(bytes("accepted")),
        Entry::Output(said(task, "a")),
        Entry::Journal(bytes("asked again")),
        Entry::Output(said(task, "b")),
        Entry::Output(said(task, "c")),
    ];
    let (mut heir, past) = second.adopt(owner.session(), TTL).await.expect("an answer").expect("a session");
    assert_eq!(past, Past { snapshot: None, entries: expected.to_vec() });
    heir.journal(&[bytes("taken over")]).await.expect("written");
    let (_, past) = first.adopt(owner.session(), TTL).await.expect("an answer").expect("a session");
    assert_eq!(past.entries, [&expected[..], &[Entry::Journal(bytes("taken over"))]].concat());
}

pub(crate) async fn an_heir_of_a_killed_gateway_reads_on_where_the_running_task_is(server: impl Server) {
    let (mut first, second, worker) = (Process::start(&server), server.queue(settings()), server.queue(settings()));
    let session = first.answers("create").await;
    let session = SessionId::parse(&session).expect("a session");
    first.does("submit").await;
    let mut lease = lease(&worker).await;
    let task = lease.task();
    lease.emit([visible("a")]).await.expect("emitted");
    first.kill();
    lease.emit([visible("b")]).await.expect("emitted");
    let (mut heir, past) = second.adopt(session, TTL).await.expect("an answer").expect("a session");
    assert_eq!(past.entries, [Entry::Output(said(task, "a")), Entry::Output(said(task, "b"))]);
    lease.emit([visible("c")]).await.expect("emitted");
    heir.submit(task, bytes("do it")).await.expect("it is there");
    lease.settle(bytes("done")).await.expect("settled");
    assert_eq!(next(&mut heir).await, said(task, "c"));
    assert_eq!(next(&mut heir).await, Output::Ended { task, end: End::Settled(bytes("done")) });
}

pub(crate) async fn a_gateway_that_was_frozen_finds_its_session_anothers(server: impl Server) {
    let mut zombie = Process::start(&server);
    let (second, third) = (server.queue(settings()), server.queue(settings()));
    let session = zombie.answers("create").await;
    let session = SessionId::parse(&session).expect("a session");
    zombie.does("journal asked").await;
    zombie.freeze();
    let (mut heir, _) = second.adopt(session, TTL).await.expect("an answer").expect("a session");
    heir.journal(&[bytes("mine")]).await.expect("written");
    // Whatever it does from time to time to keep its session, it does at once when it goes on.
    tokio::time::sleep(PUPPETS_TTL / 3).await;
    zombie.thaw();
    assert_eq!(zombie.answers("journal WRONG").await, "Err(Fenced)");
    assert_eq!(zombie.answers("next").await, "Err(Fenced)");
    heir.journal(&[bytes("still mine")]).await.expect("it was never disturbed");
    let (_, past) = third.adopt(session, TTL).await.expect("an answer").expect("a session");
    let expected = ["asked", "mine", "still mine"].map(|entry| Entry::Journal(bytes(entry)));
    assert_eq!(past.entries, expected);
}

pub(crate) async fn whoever_was_replaced_finds_everything_refused(server: impl Server) {
    let (first, second) = (server.queue(settings()), server.queue(settings()));
    let (mut old, mut lease) = running(&first, &second).await;
    let task = lease.task();
    // By another process, and by its own.
    for queue in [&second, &first] {
        let (mut heir, _) = queue.adopt(old.session(), TTL).await.expect("an answer").expect("a session");
        assert_eq!(soon(old.next()).await, Err(QueueError::Fenced), "it is told");
        assert_eq!(old.journal(&[bytes("WRONG")]).await, Err(QueueError::Fenced));
        assert_eq!(old.snapshot(bytes("WRONG")).await, Err(QueueError::Fenced));
        assert_eq!(old.submit(task, bytes("WRONG")).await, Err(QueueError::Fenced));
        assert_eq!(old.cancel(task, bytes("WRONG")).await, Err(QueueError::Fenced));
        assert_eq!(old.end().await, Err(QueueError::Fenced));
        heir.journal(&[bytes("mine")]).await.expect("written");
        old = heir;
    }
    lease.settle(bytes("done")).await.expect("settled");
    assert_eq!(next(&mut old).await, Output::Ended { task, end: End::Settled(bytes("done")) });
}

pub(crate) async fn a_snapshot_replaces_what_was_read_and_written_before_it(server: impl Server) {
    let (first, second) = (server.queue(settings()), server.queue(settings()));
    let (mut owner, mut lease) = running(&first, &second).await;
    let task = lease.task();
    owner.journal(&[bytes("old")]).await.expect("written");
    lease.emit([visible("read"), visible("unread")]).await.expect("emitted");
    assert_eq!(next(&mut owner).await, said(task, "read"));
    owner.journal(&[bytes("old, too")]).await.expect("written");
    owner.snapshot(bytes("first state")).await.expect("written");
    owner.snapshot(bytes("state")).await.expect("written");
    owner.journal(&[bytes("new")]).await.expect("written");
    assert_eq!(next(&mut owner).await, said(task, "unread"));
    owner.journal(&[bytes("newer")]).await.expect("written");
    let (mut heir, past) = second.adopt(owner.session(), TTL).await.expect("an answer").expect("a session");
    let entries = vec![Entry::Journal(bytes("new")), Entry::Output(said(task, "unread")), Entry::Journal(bytes("newer"))];
    assert_eq!(past, Past { snapshot: Some(bytes("state")), entries });
    heir.snapshot(bytes("all of it")).await.expect("written");
    let (_, past) = first.adopt(owner.session(), TTL).await.expect("an answer").expect("a session");
    assert_eq!(past, Past { snapshot: Some(bytes("all of it")), entries: Vec::new() });
}

pub(crate) async fn what_is_large_arrives_whole(server: impl Server) {
    // A conversation of four mebibytes, in a prompt and in a state, with all of its quotation marks escaped.
    let large = bytes("\\\"".repeat(4 << 20));
    let (first, second) = (server.queue(settings()), server.queue(settings()));
    let mut owner = create(&first).await;
    owner.submit(task(), large.clone()).await.expect("submitted");
    assert!(lease(&second).await.payload() == &large);
    owner.snapshot(large.clone()).await.expect("written");
    let (_, past) = second.adopt(owner.session(), TTL).await.expect("an answer").expect("a session");
    assert!(past.snapshot == Some(large));
}

pub(crate) async fn a_session_that_was_ended_is_gone_and_its_worker_stops(server: impl Server) {
    let (gateway, worker) = (server.queue(settings()), server.queue(settings()));
    let (owner, mut lease) = running(&gateway, &worker).await;
    let session = owner.session();
    let stopped = lease.stopped();
    owner.end().await.expect("ended");
    assert_eq!(soon(stopped).await, Stop::Lost);
    assert_eq!(lease.emit([visible("more")]).await, Err(QueueError::Lost));
    assert!(gateway.adopt(session, TTL).await.expect("an answer").is_none());
}

pub(crate) async fn a_session_that_nobody_owns_is_forgotten(server: impl Server) {
    let queue = server.queue(settings());
    let ttl = LEASE * 2;
    let mut owner = queue.create(session(), ttl).await.expect("a session");
    owner.journal(&[bytes("asked")]).await.expect("written");
    let session = owner.session();
    drop(owner);
    // Adopting it puts the end off, so it is waited for first: a time to live is nothing but time.
    tokio::time::sleep(ttl + LEASE).await;
    assert!(queue.adopt(session, ttl).await.expect("an answer").is_none());
}

pub(crate) async fn a_session_that_is_owned_is_not_forgotten(server: impl Server) {
    let queue = server.queue(settings());
    let ttl = LEASE * 2;
    let mut owner = queue.create(session(), ttl).await.expect("a session");
    owner.journal(&[bytes("asked")]).await.expect("written");
    // Longer than it would live without an owner.
    tokio::time::sleep(ttl * 2).await;
    owner.journal(&[bytes("still here")]).await.expect("written");
    let (_, past) = queue.adopt(owner.session(), ttl).await.expect("an answer").expect("a session");
    assert_eq!(past.entries.len(), 2);
}

pub(crate) async fn a_session_that_was_never_created_cannot_be_adopted(server: impl Server) {
    assert!(server.queue(settings()).adopt(session(), TTL).await.expect("an answer").is_none());
}

pub(crate) async fn an_owner_that_does_not_read_delays_nobody_and_misses_nothing(server: impl Server) {
    const PIECES: usize = 1000;
    let (gateway, worker) = (server.queue(settings()), server.queue(settings()));
    let (mut slow, mut long) = running(&gateway, &worker).await;
    for number in 0..PIECES / 10 {
        let pieces = (0..10).map(|place| visible((number * 10 + place).to_string()));
        long.emit(pieces).await.expect("emitted");
    }
    let (mut quick, mut short) = running(&gateway, &worker).await;
    short.emit([visible("at once")]).await.expect("emitted");
    let told = tokio::time::timeout(Duration::from_secs(2), quick.next()).await.expect("nobody waits for the slow one");
    assert_eq!(told, Ok(said(short.task(), "at once")));
    long.settle(bytes("done")).await.expect("settled");
    for number in 0..PIECES {
        assert_eq!(next(&mut slow).await, said(long.task(), number.to_string()));
    }
    assert_eq!(next(&mut slow).await, Output::Ended { task: long.task(), end: End::Settled(bytes("done")) });
}

pub(crate) async fn nobody_but_its_holder_adopts_a_session_and_who_tries_disturbs_nobody(server: impl Server) {
    let (first, second) = (server.queue(settings()), server.queue(settings()));
    let held_by = |holder: &str| Tenure { ttl: TTL, holder: holder.to_owned() };
    let id = session();
    let mut owner = first.create(id, held_by("key_1")).await.expect("a session");
    for stranger in ["key_2", ""] {
        assert!(second.adopt(id, held_by(stranger)).await.expect("an answer").is_none());
    }
    owner.journal(&[bytes("still mine")]).await.expect("written");
    let (_, past) = second.adopt(id, held_by("key_1")).await.expect("an answer").expect("a session");
    assert_eq!(past.entries, [Entry::Journal(bytes("still mine"))]);
}

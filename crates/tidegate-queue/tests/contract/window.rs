//! Back-pressure: nobody says much more than the client of the session takes.

use tidegate_queue::{End, Entry, Lease, Output, Owner, Settings};

use crate::support::{Server, TTL, bytes, lease, next, nothing, patient, running, said, settings, soon, task, until_available, visible};

/// Pieces of 36 bytes count as 100.
const PIECES: usize = 41;

/// With room for [`PIECES`].
fn narrow(settings: &Settings) -> Settings {
    Settings { window: 4096, ..settings.clone() }
}

fn piece(number: usize) -> String {
    format!("{number:0>36}")
}

/// Says pieces for as long as it may. Returns how many.
async fn say_all_there_is_room_for(lease: &mut Lease) -> usize {
    let mut count = 0;
    while lease.has_room() {
        lease.emit([visible(piece(count))]).await.expect("emitted");
        count += 1;
    }
    count
}

async fn read(owner: &mut Owner, lease: &Lease) {
    for number in 0..PIECES {
        assert_eq!(next(owner).await, said(lease.task(), piece(number)));
    }
}

pub(crate) async fn a_worker_may_say_as_much_anew_as_the_client_took(server: impl Server) {
    // No lease is renewed within this test: the worker is told.
    let (gateway, worker) = (server.queue(narrow(&patient())), server.queue(narrow(&patient())));
    let (mut owner, mut lease) = running(&gateway, &worker).await;
    for round in 0..50 {
        assert_eq!(say_all_there_is_room_for(&mut lease).await, PIECES, "in round {round}");
        read(&mut owner, &lease).await;
        owner.taken();
        soon(lease.room()).await;
    }
}

pub(crate) async fn what_is_only_read_is_not_taken(server: impl Server) {
    let (gateway, worker) = (server.queue(narrow(&settings())), server.queue(narrow(&settings())));
    let (mut owner, mut lease) = running(&gateway, &worker).await;
    say_all_there_is_room_for(&mut lease).await;
    read(&mut owner, &lease).await;
    nothing(lease.room()).await;
    owner.taken();
    soon(lease.room()).await;
}

pub(crate) async fn a_worker_that_waits_keeps_its_task_and_may_end_it(server: impl Server) {
    let (gateway, worker) = (server.queue(narrow(&settings())), server.queue(narrow(&settings())));
    let (mut owner, mut lease) = running(&gateway, &worker).await;
    say_all_there_is_room_for(&mut lease).await;
    // For longer than a lease.
    nothing(gateway.lease()).await;
    lease.emit([visible("one more")]).await.expect("it is only asked to wait");
    lease.settle(bytes("too late")).await.expect("settled");
    read(&mut owner, &lease).await;
    assert_eq!(next(&mut owner).await, said(lease.task(), "one more"));
    assert_eq!(next(&mut owner).await, Output::Ended { task: lease.task(), end: End::Settled(bytes("too late")) });
}

pub(crate) async fn what_one_task_said_leaves_the_next_no_room_until_it_is_taken(server: impl Server) {
    let queue = server.queue(narrow(&patient()));
    let (mut owner, mut first) = running(&queue, &queue).await;
    say_all_there_is_room_for(&mut first).await;
    first.settle(bytes("done")).await.expect("settled");
    read(&mut owner, &first).await;
    assert_eq!(next(&mut owner).await, Output::Ended { task: first.task(), end: End::Settled(bytes("done")) });
    owner.submit(task(), bytes("do it")).await.expect("submitted");
    let second = lease(&queue).await;
    assert!(!second.has_room());
    owner.taken();
    soon(second.room()).await;
}

pub(crate) async fn a_worker_whose_session_nobody_owns_waits_for_an_heirs_client(server: impl Server) {
    let (gateway, other) = (server.queue(narrow(&settings())), server.queue(narrow(&settings())));
    let (owner, mut lease) = running(&gateway, &other).await;
    let session = owner.session();
    drop(owner);
    assert_eq!(say_all_there_is_room_for(&mut lease).await, PIECES);
    let (mut heir, past) = other.adopt(session, TTL).await.expect("an answer").expect("a session");
    let everything: Vec<_> = (0..PIECES).map(|number| Entry::Output(said(lease.task(), piece(number)))).collect();
    assert_eq!(past.entries, everything);
    nothing(lease.room()).await;
    heir.taken();
    soon(lease.room()).await;
    assert_eq!(say_all_there_is_room_for(&mut lease).await, PIECES);
    read(&mut heir, &lease).await;
}

pub(crate) async fn what_was_taken_during_an_outage_is_known_after_it(mut server: impl Server) {
    let (gateway, worker) = (server.queue(narrow(&patient())), server.queue(narrow(&patient())));
    let (mut owner, mut lease) = running(&gateway, &worker).await;
    say_all_there_is_room_for(&mut lease).await;
    read(&mut owner, &lease).await;
    server.kill();
    owner.taken();
    server.start_again();
    soon(lease.room()).await;
    until_available(async || lease.emit([visible("more")]).await).await.expect("emitted");
    assert_eq!(next(&mut owner).await, said(lease.task(), "more"));
}

//! What only Redis promises: which keys there are, and what becomes of a server that forgets, is full or asks for TLS.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tidegate_queue::{End, Entry, Output, Queue, QueueError, Stop};

use crate::chaos::while_the_server_dies;
use crate::redis::{Redis, free_port};
use crate::support::{
    Server, TTL, a_moment, bytes, create, is_unavailable, lease, next, patient, running, said, session, settings, soon, task,
    until_available, visible,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_tasks_wait_than_may_however_many_are_submitted_at_once() {
    crate::tasks::no_more_tasks_wait_than_may_however_many_are_submitted_at_once(Redis::start()).await;
}

#[tokio::test]
async fn an_ended_session_leaves_no_key_behind_whatever_it_was_doing() {
    let server = Redis::start();
    let queue = server.queue(settings());
    let idle = create(&queue).await;
    let mut waiting = create(&queue).await;
    waiting.journal(&[bytes("asked")]).await.expect("written");
    waiting.submit(task(), bytes("do it")).await.expect("submitted");
    let first = lease(&queue).await;
    let (mut busy, mut second) = running(&queue, &queue).await;
    second.emit([visible("half")]).await.expect("emitted");
    busy.snapshot(bytes("state")).await.expect("written");
    let mut over = create(&queue).await;
    over.submit(task(), bytes("do it")).await.expect("submitted");
    lease(&queue).await.settle(bytes("done")).await.expect("settled");
    for owner in [idle, waiting, busy, over] {
        owner.end().await.expect("ended");
    }
    assert!(matches!(second.emit([visible("more")]).await, Err(QueueError::Lost)));
    drop((first, second));
    soon(queue.all_given_back()).await;
    assert_eq!(server.count("DBSIZE"), 1, "only the task stream is left");
    assert_eq!(server.count("XLEN tidegate:{queue}:tasks"), 0);
}

#[tokio::test]
async fn a_session_that_expires_leaves_no_key_behind_whatever_it_was_doing() {
    let server = Redis::start();
    let gateway = server.queue(settings());
    let worker = server.queue(settings());
    let ttl = Duration::from_millis(900);
    for _ in 0..2 {
        let mut owner = gateway.create(session(), ttl).await.expect("a session");
        owner.journal(&[bytes("asked")]).await.expect("written");
        owner.submit(task(), bytes("do it")).await.expect("submitted");
    }
    let mut taken = lease(&worker).await;
    taken.emit([visible("half")]).await.expect("emitted");
    assert_eq!(soon(taken.stopped()).await, Stop::Lost, "nobody would read what it says");
    soon(async {
        // The task that nobody ever began is dropped by the worker who asks for it.
        let none = worker.lease();
        tokio::select! {
            lease = none => assert!(lease.is_err(), "nothing is left to do, but {lease:?}"),
            () = async { while server.count("XLEN tidegate:{queue}:tasks") > 0 { a_moment().await; } } => {}
        }
    })
    .await;
    assert_eq!(server.count("DBSIZE"), 1, "only the task stream is left");
}

#[tokio::test]
async fn a_memo_that_is_forgotten_leaves_nothing_and_the_others_a_week_later() {
    let server = Redis::start();
    let queue = server.queue(settings());
    for is_forgotten in [true, false] {
        let (owner, mut held) = running(&queue, &queue).await;
        held.memo(bytes("record"));
        held.settle(bytes("done")).await.expect("settled");
        owner.end().await.expect("ended");
        let key = format!("tidegate:{{queue}}:memo:{}", held.task());
        assert_eq!(server.count(&format!("TTL {key}")), 7 * 24 * 3600);
        if is_forgotten {
            queue.forget_memo(held.task()).await.expect("forgotten");
            assert_eq!(server.count(&format!("EXISTS {key}")), 0);
        }
    }
}

#[tokio::test]
async fn a_server_that_forgot_everything_is_served_anew() {
    let server = Redis::start();
    let (gateway, worker) = (server.queue(settings()), server.queue(settings()));
    let (mut owner, mut before) = running(&gateway, &worker).await;
    assert_eq!(server.ask("FLUSHALL"), "+OK\r\n");
    assert_eq!(before.emit([visible("half")]).await, Err(QueueError::Lost));
    assert_eq!(owner.submit(task(), bytes("do it")).await, Err(QueueError::Gone));
    assert_eq!(soon(owner.next()).await, Err(QueueError::Gone));
    let mut owner = create(&gateway).await;
    owner.submit(task(), bytes("do it")).await.expect("submitted");
    until_available(async || worker.lease().await).await.expect("the group is made anew");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_repeating_its_password() {
    let refused = Queue::redis("http://user:secret@host", settings()).expect_err("no address of a Redis");
    assert!(!refused.contains("secret"), "{refused}");
    let queue = Queue::redis("redis://:secret@127.0.0.1:1", settings()).expect("an address");
    let refused = queue.create(session(), TTL).await.expect_err("nobody is there").to_string();
    assert!(!refused.contains("secret") && !format!("{queue:?}").contains("secret"), "{refused}");
}

/// As after a crash with `appendfsync everysec`, or a failover: what happened after SAVE never did.
#[tokio::test]
async fn a_server_that_went_back_in_time_ends_the_sessions_that_it_contradicts_and_no_others() {
    let mut server = Redis::start_with(&["--appendonly", "no"]);
    let (gateway, worker) = (server.queue(patient()), server.queue(patient()));
    let (mut untouched, mut spared) = running(&gateway, &worker).await;
    spared.emit([visible("before")]).await.expect("emitted");
    assert_eq!(next(&mut untouched).await, said(spared.task(), "before"));
    untouched.snapshot(bytes("state")).await.expect("written");
    let mut wrote = create(&gateway).await;
    let (mut read, mut spoke) = running(&gateway, &worker).await;
    let (mut waits, mut ended) = running(&gateway, &worker).await;
    assert_eq!(server.ask("SAVE"), "+OK\r\n");
    let last = session();
    let mut forgotten = gateway.create(last, TTL).await.expect("a session");
    forgotten.journal(&[bytes("asked")]).await.expect("written");
    wrote.journal(&[bytes("asked")]).await.expect("written");
    spoke.emit([visible("half")]).await.expect("emitted");
    assert_eq!(next(&mut read).await, said(spoke.task(), "half"));
    ended.settle(bytes("done")).await.expect("settled");
    assert!(matches!(next(&mut waits).await, Output::Ended { .. }));
    server.kill();
    server.start_again();
    // Its worker is the first to be back, and what it says would hide the gap.
    until_available(async || worker.depth().await).await.expect("it is back");
    assert_eq!(spoke.emit([visible("more")]).await, Err(QueueError::Lost));
    for owner in [&mut forgotten, &mut wrote, &mut read, &mut waits] {
        assert_eq!(soon(owner.next()).await, Err(QueueError::Gone));
        assert_eq!(until_available(async || owner.journal(&[bytes("more")]).await).await, Err(QueueError::Gone));
    }
    spared.emit([visible("after")]).await.expect("emitted");
    spared.settle(bytes("done")).await.expect("settled");
    assert_eq!(next(&mut untouched).await, said(spared.task(), "after"));
    assert_eq!(next(&mut untouched).await, Output::Ended { task: spared.task(), end: End::Settled(bytes("done")) });
    assert!(gateway.adopt(last, TTL).await.expect("an answer").is_none());
}

/// It answers before its file is written, and sometimes it dies in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_ends_once_or_its_session_is_gone_while_a_forgetful_server_dies() {
    let mut server = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let ends = while_the_server_dies(&mut server).await;
    assert!(ends.contains_key("settled"), "{ends:?}");
}

#[tokio::test]
async fn a_full_server_refuses_what_is_new_and_finishes_what_it_has() {
    let server = Redis::start();
    let queue = server.queue(patient());
    let (mut owner, mut held) = running(&queue, &queue).await;
    let mut idle = create(&queue).await;
    assert_eq!(server.ask("CONFIG SET maxmemory 1"), "+OK\r\n");
    is_unavailable(idle.submit(task(), bytes("do it"))).await;
    is_unavailable(queue.create(session(), TTL)).await;
    held.settle(bytes("done")).await.expect("settled");
    assert_eq!(next(&mut owner).await, Output::Ended { task: held.task(), end: End::Settled(bytes("done")) });
    owner.end().await.expect("ended");
    assert_eq!(server.ask("CONFIG SET maxmemory 0"), "+OK\r\n");
    idle.submit(task(), bytes("do it")).await.expect("there is room");
}

#[tokio::test]
async fn an_entry_of_another_version_is_passed_over() {
    let server = Redis::start();
    let queue = server.queue(patient());
    let (mut owner, mut held) = running(&queue, &queue).await;
    let session = owner.session();
    server.ask(&format!("XADD tidegate:{{queue}}:log:{session} * kind news"));
    held.emit([visible("known")]).await.expect("emitted");
    assert_eq!(next(&mut owner).await, said(held.task(), "known"));
    let (_, past) = queue.adopt(session, TTL).await.expect("an answer").expect("a session");
    assert_eq!(past.entries, [Entry::Output(said(held.task(), "known"))]);
}

/// Where the server is, for the process that the test below starts.
const TLS_ADDRESS: &str = "TIDEGATE_TEST_REDIS";

/// Which certificates are the system's is read from the environment, which this process shares with other tests: so the test runs itself
/// again, as a client.
#[tokio::test]
async fn a_server_that_asks_for_tls_is_trusted_by_the_systems_certificates() {
    if let Ok(address) = std::env::var(TLS_ADDRESS) {
        return run_a_task_at(&address).await;
    }
    let folder = TempDir::new().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let (port, certificate, key) = (free_port().to_string(), certificate.to_string_lossy(), key.to_string_lossy());
    let mut arguments = vec!["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    arguments.extend(["--tls-ca-cert-file", &certificate, "--tls-auth-clients", "no"]);
    let _server = Redis::start_with(&arguments);
    for (trusted, expected) in [(&*certificate, true), ("/dev/null", false)] {
        let client = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "only_redis::a_server_that_asks_for_tls_is_trusted_by_the_systems_certificates"])
            .env("SSL_CERT_FILE", trusted)
            .env(TLS_ADDRESS, format!("rediss://127.0.0.1:{port}"))
            .output()
            .expect("it runs");
        assert_eq!(client.status.success(), expected, "{}", String::from_utf8_lossy(&client.stdout));
    }
}

async fn run_a_task_at(address: &str) {
    let queue = Queue::redis(address, settings()).expect("an address");
    let (mut owner, mut held) = running(&queue, &queue).await;
    held.settle(bytes("done")).await.expect("settled");
    assert_eq!(next(&mut owner).await, Output::Ended { task: held.task(), end: End::Settled(bytes("done")) });
}

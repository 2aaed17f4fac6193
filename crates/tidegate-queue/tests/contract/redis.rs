//! A real Redis, and what only Redis promises.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tidegate_queue::{Queue, QueueError, Settings};

use crate::support::{Server, TTL, bytes, create, lease, running, session, settings, soon, task, until_available, visible};

/// A Redis of its own on the loopback, with its files in a folder of its own.
pub(crate) struct Redis {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Server for Redis {
    fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        // Another process may take the port in between; then this one says so and ends, and another is tried.
        let started = (0..20).find_map(|_| {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).expect("a free port").port();
            Some((spawn(port, &folder)?, port))
        });
        assert!(started.is_some(), "redis-server does not start: {}", log(&folder));
        let (child, port) = started.expect("it is");
        Self { child, port, folder }
    }

    fn queue(&self, settings: Settings) -> Queue {
        Queue::redis(&format!("redis://127.0.0.1:{}", self.port), settings).expect("an address")
    }

    fn kill(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it was there");
    }

    fn start_again(&mut self) {
        let child = spawn(self.port, &self.folder);
        assert!(child.is_some(), "redis-server does not start: {}", log(&self.folder));
        self.child = child.expect("it is");
    }

    fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    fn thaw(&self) {
        self.signal(Signal::CONT);
    }
}

impl Redis {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is there");
    }

    /// The number that a command answers.
    fn count(&self, command: &str) -> u64 {
        let answer = ask(self.port, command).expect("an answer");
        answer.trim_start_matches(':').trim().parse().expect("a number")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `None`: it ended again.
fn spawn(port: u16, folder: &TempDir) -> Option<Child> {
    let log = File::options().create(true).append(true).open(folder.path().join("log")).expect("a log");
    let mut child = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--appendonly", "yes", "--appendfsync", "always", "--save", ""])
        .arg("--dir")
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(log)
        .spawn()
        .expect("redis-server is installed: apt-get install redis-server");
    let started = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if ask(port, "PING").is_some_and(|answer| answer.starts_with("+PONG")) {
            return Some(child);
        }
        assert!(started.elapsed() < Duration::from_secs(20), "redis-server does not answer");
        std::thread::yield_now();
    }
    None
}

fn ask(port: u16, command: &str) -> Option<String> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    socket.write_all(format!("{command}\r\n").as_bytes()).ok()?;
    let mut answer = [0; 64];
    let length = socket.read(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}

fn log(folder: &TempDir) -> String {
    std::fs::read_to_string(folder.path().join("log")).unwrap_or_default()
}

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
    assert_eq!(soon(taken.stopped()).await, tidegate_queue::Stop::Lost, "nobody would read what it says");
    soon(async {
        // The task that nobody ever began is dropped by the worker who asks for it.
        let none = worker.lease();
        tokio::select! {
            lease = none => assert!(lease.is_err(), "nothing is left to do, but {lease:?}"),
            () = async { while server.count("XLEN tidegate:{queue}:tasks") > 0 { tokio::time::sleep(Duration::from_millis(20)).await; } } => {}
        }
    })
    .await;
    assert_eq!(server.count("DBSIZE"), 1, "only the task stream is left");
}

#[tokio::test]
async fn a_server_that_forgot_everything_is_served_anew() {
    let server = Redis::start();
    let (gateway, worker) = (server.queue(settings()), server.queue(settings()));
    let (mut owner, mut before) = running(&gateway, &worker).await;
    assert_eq!(ask(server.port, "FLUSHALL").as_deref(), Some("+OK\r\n"));
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

//! A real Redis.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tidegate_queue::{Queue, Settings};

use crate::support::Server;

/// It loses nothing that it has answered, however it ends.
const DURABLE: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// A Redis of its own on the loopback, with its files in a folder of its own.
pub(crate) struct Redis {
    child: Child,
    port: u16,
    /// Beside those that every one gets.
    arguments: Vec<String>,
    folder: TempDir,
}

impl Server for Redis {
    const NAME: &str = "on_redis";

    fn start() -> Self {
        Self::start_with(DURABLE)
    }

    fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn queue_at(address: &str, settings: Settings) -> Queue {
        Queue::redis(address, settings).expect("an address")
    }

    fn kill(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it was there");
    }

    fn start_again(&mut self) {
        let child = spawn(self.port, &self.arguments, &self.folder);
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
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let folder = TempDir::new().expect("a folder");
        // Another process may take the port in between; then this one says so and ends, and another is tried.
        let started = (0..20).find_map(|_| {
            let port = free_port();
            Some((spawn(port, &arguments, &folder)?, port))
        });
        assert!(started.is_some(), "redis-server does not start: {}", log(&folder));
        let (child, port) = started.expect("it is");
        Self { child, port, arguments, folder }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is there");
    }

    /// What it answers to a command, in the protocol's own writing.
    pub(crate) fn ask(&self, command: &str) -> String {
        ask(self.port, command).expect("an answer")
    }

    /// The number that a command answers.
    pub(crate) fn count(&self, command: &str) -> u64 {
        let answer = self.ask(command);
        answer.trim_start_matches(':').trim().parse().expect("a number")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).expect("a free port").port()
}

/// `None`: it ended again.
fn spawn(port: u16, arguments: &[String], folder: &TempDir) -> Option<Child> {
    let log = File::options().create(true).append(true).open(folder.path().join("log")).expect("a log");
    let mut child = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .args(arguments)
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

//! Everything at once: sessions that run task after task while workers die at any moment, and the server too.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate_core::id::TaskId;
use tidegate_queue::{End, Lease, Output, Owner, Queue, QueueError, Settings};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::support::{Server, a_moment, bytes, create, invisible, settings, soon, task, visible};

const SESSIONS: usize = 24;
const TASKS: usize = 12;
const PIECES: usize = 6;
const OUTAGES: usize = 6;

pub(crate) async fn every_task_ends_once_and_in_order_while_workers_die(server: impl Server) {
    let workers = Workers::start(&server);
    let ends = count_ends(start_sessions(&server).await).await;
    assert_eq!(ends.values().sum::<usize>(), SESSIONS * TASKS);
    assert!(ends["settled"] > 0 && ends["lost"] > 0, "workers died, and did not always: {ends:?}");
    workers.stop().await;
}

pub(crate) async fn every_task_ends_once_while_the_server_dies_too(mut server: impl Server) {
    let ends = while_the_server_dies(&mut server).await;
    assert!(!ends.contains_key("gone"), "it forgets nothing: {ends:?}");
    assert_eq!(ends.values().sum::<usize>(), SESSIONS * TASKS);
}

/// Kills the server some times, and counts how tasks ended.
pub(crate) async fn while_the_server_dies<S: Server>(server: &mut S) -> HashMap<&'static str, usize> {
    let workers = Workers::start(server);
    let counting = tokio::spawn(count_ends(start_sessions(server).await));
    for _ in 0..OUTAGES {
        // The sessions need time between two outages; how long does not matter.
        sleep(S::RECOVERY).await;
        server.kill();
        server.start_again();
    }
    let ends = counting.await.expect("no panic");
    workers.stop().await;
    ends
}

pub(crate) type Sessions = Vec<JoinHandle<Vec<&'static str>>>;

/// Each runs its tasks, one after another.
pub(crate) async fn start_sessions(server: &impl Server) -> Sessions {
    let gateways = [server.queue(settings()), server.queue(settings())];
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let owner = create(&gateways[number % 2]).await;
        sessions.push(tokio::spawn(run_session(owner)));
    }
    sessions
}

/// Waits for all of them, and counts how tasks ended.
pub(crate) async fn count_ends(sessions: Sessions) -> HashMap<&'static str, usize> {
    let mut ends = HashMap::new();
    for session in sessions {
        for how in timeout(Duration::from_secs(120), session).await.expect("it comes to its end").expect("no panic") {
            *ends.entry(how).or_default() += 1;
        }
    }
    ends
}

async fn run_session(mut owner: Owner) -> Vec<&'static str> {
    let mut ends = Vec::new();
    for _ in 0..TASKS {
        let task = task();
        let how = loop {
            match owner.submit(task, bytes("do it")).await {
                Ok(()) => break read_task(&mut owner, task).await,
                Err(QueueError::Unavailable(_)) => a_moment().await,
                Err(QueueError::Gone) => break "gone",
                Err(other) => unreachable!("{other}"),
            }
        };
        ends.push(how);
        if how == "gone" {
            break;
        }
    }
    ends
}

/// Reads what one task says to its end, and judges it.
async fn read_task(owner: &mut Owner, task: TaskId) -> &'static str {
    let mut pieces = Vec::new();
    loop {
        match timeout(Duration::from_secs(60), owner.next()).await.expect("every task ends") {
            Ok(Output::Piece { task: of, data }) => {
                assert_eq!(of, task, "tasks run one after another");
                let piece = String::from_utf8_lossy(&data).into_owned();
                // What an attempt says before its output may be there several times, but never after any output.
                assert!(piece != "begins" || pieces.is_empty(), "ran again after output: {pieces:?}");
                if piece != "begins" {
                    pieces.push(piece);
                }
            }
            Ok(Output::Ended { task: of, end }) => {
                assert_eq!(of, task, "tasks run one after another");
                let whole: Vec<String> = (0..PIECES).map(|number| number.to_string()).collect();
                assert_eq!(pieces[..], whole[..pieces.len()], "each piece once and in order");
                return match end {
                    End::Settled(_) => {
                        assert_eq!(pieces.len(), PIECES);
                        "settled"
                    }
                    End::Lost => {
                        assert!(!pieces.is_empty(), "lost means that there was output");
                        "lost"
                    }
                    End::GivenUp => {
                        assert!(pieces.is_empty(), "given up means that there was none");
                        "given up"
                    }
                    End::Cancelled => unreachable!("nobody cancelled it"),
                };
            }
            Err(QueueError::Unavailable(_)) => {}
            Err(QueueError::Gone) => return "gone",
            Err(other) => unreachable!("{other}"),
        }
    }
}

/// Some workers, each killed and replaced again and again.
struct Workers {
    stop: Arc<AtomicBool>,
    all: Vec<JoinHandle<()>>,
}

impl Workers {
    fn start(server: &impl Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let all = (0..4).map(|_| {
            let queues: Vec<Queue> = (0..2).map(|_| server.queue(Settings { attempts: 50, ..settings() })).collect();
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let queue = queues[rand::random_range(0..queues.len())].clone();
                    let worker = tokio::spawn(work(queue));
                    // It dies at any moment.
                    sleep(Duration::from_millis(rand::random_range(0..150))).await;
                    worker.abort();
                }
            })
        });
        Self { all: all.collect(), stop }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.all {
            soon(worker).await.expect("no panic");
        }
    }
}

async fn work(queue: Queue) {
    loop {
        match queue.lease().await {
            // A task that was lost is another's; this worker goes on.
            Ok(lease) => drop(run(lease).await),
            Err(_) => a_moment().await,
        }
    }
}

pub(crate) async fn run(mut lease: Lease) -> Result<(), QueueError> {
    lease.emit([invisible("begins")]).await?;
    for number in 0..PIECES {
        sleep(Duration::from_millis(rand::random_range(0..4))).await;
        lease.emit([visible(number.to_string())]).await?;
    }
    lease.settle(bytes("done")).await
}

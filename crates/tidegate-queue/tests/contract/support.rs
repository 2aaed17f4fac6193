//! What the tests have in common.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::id::{SessionId, TaskId};
use tidegate_queue::{Depth, Lease, Output, Owner, Piece, Queue, QueueError, Settings};
use tokio::time::timeout;

/// Short, so that tests see leases run out.
pub(crate) const LEASE: Duration = Duration::from_millis(600);
/// Longer than any test.
pub(crate) const TTL: Duration = Duration::from_secs(120);
/// A call that fails does so in less than this. A second is promised; the rest is for a machine that does many things at once.
pub(crate) const IN_TIME: Duration = Duration::from_millis(2500);

/// A real server, which ends with the value.
pub(crate) trait Server {
    /// The module of its tests.
    const NAME: &str;
    /// Whether tasks of different sessions come in the order of their submission too.
    const IN_ORDER: bool = true;
    /// How long it needs after a start until its clients get something done again.
    const RECOVERY: Duration = LEASE;

    /// A queue with nothing in it, on a server that others may use too: it is neither killed nor frozen.
    fn start() -> Self;
    /// On a server of its own.
    fn start_apart() -> Self
    where
        Self: Sized,
    {
        Self::start()
    }
    /// Where other processes find its queue.
    fn address(&self) -> String;
    /// The way there.
    fn queue_at(address: &str, settings: Settings) -> Queue;
    /// Another process's way to its queue.
    fn queue(&self, settings: Settings) -> Queue {
        Self::queue_at(&self.address(), settings)
    }
    /// Ends it without a warning. What it has kept is kept.
    fn kill(&mut self);
    /// Starts it again with what it has kept.
    fn start_again(&mut self);
    /// It stays, and does nothing any more.
    fn freeze(&self);
    /// It goes on.
    fn thaw(&self);
    /// The depth is this.
    fn assert_depth(queue: &Queue, depth: Depth) -> impl Future<Output = ()> + Send {
        async move { assert_eq!(queue.depth().await, Ok(depth)) }
    }
}

pub(crate) fn settings() -> Settings {
    Settings { lease: LEASE, ..Settings::default() }
}

/// With leases that don't run out within a test.
pub(crate) fn patient() -> Settings {
    Settings { lease: Duration::from_secs(300), ..Settings::default() }
}

pub(crate) fn session() -> SessionId {
    SessionId::new(number(), rand::random())
}

pub(crate) fn task() -> TaskId {
    TaskId::new(number(), rand::random())
}

fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn bytes(text: impl Into<String>) -> Bytes {
    Bytes::from(text.into())
}

pub(crate) fn visible(text: impl Into<String>) -> Piece {
    Piece { data: bytes(text), visible: true }
}

pub(crate) fn invisible(text: impl Into<String>) -> Piece {
    Piece { data: bytes(text), visible: false }
}

/// A piece as the owner reads it.
pub(crate) fn said(task: TaskId, text: impl Into<String>) -> Output {
    Output::Piece { task, data: bytes(text) }
}

/// Fails instead of waiting for ever.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), what).await.expect("it happens within twenty seconds")
}

/// The call says in time that the server is not there.
pub(crate) async fn is_unavailable<T: std::fmt::Debug>(call: impl Future<Output = Result<T, QueueError>>) {
    let answer = timeout(IN_TIME, call).await.expect("it ends in time");
    assert!(matches!(answer, Err(QueueError::Unavailable(_))), "{answer:?}");
}

pub(crate) async fn create(queue: &Queue) -> Owner {
    soon(queue.create(session(), TTL)).await.expect("a session")
}

pub(crate) async fn lease(queue: &Queue) -> Lease {
    soon(queue.lease()).await.expect("a lease")
}

pub(crate) async fn next(owner: &mut Owner) -> Output {
    soon(owner.next()).await.expect("an output")
}

/// A session with a task that a worker has just begun.
pub(crate) async fn running(gateway: &Queue, worker: &Queue) -> (Owner, Lease) {
    let mut owner = create(gateway).await;
    owner.submit(task(), bytes("do it")).await.expect("submitted");
    let lease = lease(worker).await;
    (owner, lease)
}

/// Repeats a call until the server is there.
pub(crate) async fn until_available<T>(mut call: impl AsyncFnMut() -> Result<T, QueueError>) -> Result<T, QueueError> {
    soon(async {
        loop {
            match call().await {
                Err(QueueError::Unavailable(_)) => a_moment().await,
                answer => return answer,
            }
        }
    })
    .await
}

/// The server needs time to start: how much, it alone knows.
pub(crate) async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Nothing comes for as long as something wrong would need to.
pub(crate) async fn nothing<T: std::fmt::Debug>(what: impl Future<Output = T>) {
    // That nothing happens can't be waited for.
    let something = timeout(LEASE * 3, what).await;
    assert!(something.is_err(), "nothing should come, but {something:?}");
}

//! Many streams read at once, and what a window of that reading says.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    client::{Connection, Progress},
    peer::Peer,
    samples::Samples,
    spec::Spec,
};

/// Streams that are opened before the first event of each of them is waited for.
const BURST: usize = 100;

/// Open streams, each read by a task until the value is dropped.
pub(crate) struct Streams {
    tasks: JoinSet<Result<()>>,
    tally: Rc<Tally>,
}

#[derive(Default)]
struct Tally {
    reads: Cell<u64>,
    events: Cell<u64>,
    latency: RefCell<Samples>,
}

/// What came in a stretch of time.
pub(crate) struct Window {
    pub(crate) events: u64,
    /// Reads of the client that brought something.
    pub(crate) reads: u64,
    pub(crate) seconds: f64,
    /// Nanoseconds of the peer's processor time; `None` where there is no peer.
    pub(crate) cpu: Option<u64>,
    /// Nanoseconds from the source's write to the client's read, of every event.
    pub(crate) latency: Samples,
}

impl Streams {
    /// Opens `count` streams, `apart` from each other so that their events do not come in step, and reads them.
    ///
    /// # Errors
    ///
    /// When a stream does not begin.
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes what was opened.
    pub(crate) async fn open(peer: &Peer, spec: Spec, count: usize, apart: Duration) -> Result<Self> {
        let mut streams = Self { tasks: JoinSet::new(), tally: Rc::default() };
        let request = peer.request(spec);
        for _ in 0..count {
            let mut connection = peer.connect().await?;
            connection.send(&request).await?;
            let tally = Rc::clone(&streams.tally);
            streams.tasks.spawn_local(async move { read_on(&mut connection, &tally).await });
            sleep(apart).await;
        }
        Ok(streams)
    }

    /// Reads for `length` and tells what came.
    ///
    /// # Errors
    ///
    /// When a stream ended or the peer is gone.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost but the window.
    pub(crate) async fn window(&mut self, peer: &Peer, length: Duration) -> Result<Window> {
        let (began, before) = (Instant::now(), peer.cpu()?);
        let (reads, events) = (self.tally.reads.get(), self.tally.events.get());
        self.tally.latency.take();
        sleep(length).await;
        let (seconds, after) = (began.elapsed().as_secs_f64(), peer.cpu()?);
        let window = Window {
            events: self.tally.events.get() - events,
            reads: self.tally.reads.get() - reads,
            seconds,
            cpu: before.zip(after).map(|(before, after)| after.since(&before)),
            latency: self.tally.latency.take(),
        };
        match self.tasks.try_join_next() {
            Some(ended) => ended?.context("a stream ended"),
            None if window.events == 0 => bail!("no event came through {}", peer.kind()),
            None => Ok(()),
        }?;
        Ok(window)
    }
}

async fn read_on(connection: &mut Connection, tally: &Tally) -> Result<()> {
    loop {
        let mut events = 0;
        let progress = connection
            .read(|stamps, now| {
                events += 1;
                tally.latency.borrow_mut().add(now.saturating_sub(stamps.written));
            })
            .await?;
        tally.reads.set(tally.reads.get() + 1);
        tally.events.set(tally.events.get() + events);
        if progress == Progress::Complete {
            bail!("an endless answer was completed");
        }
    }
}

/// Opens `count` streams, reads the first event of each, and leaves them unread from then on: one value, no tasks.
///
/// # Errors
///
/// When a stream does not begin.
///
/// # Cancel safety
///
/// Dropping it closes what was opened.
pub(crate) async fn open_unread(peer: &Peer, spec: Spec, count: usize) -> Result<Vec<Connection>> {
    let request = peer.request(spec);
    let mut connections = Vec::with_capacity(count);
    while connections.len() < count {
        let known = connections.len();
        for _ in known..count.min(known + BURST) {
            let mut connection = peer.connect().await?;
            connection.send(&request).await?;
            connections.push(connection);
        }
        for connection in &mut connections[known..] {
            connection.first_event().await?;
        }
    }
    Ok(connections)
}

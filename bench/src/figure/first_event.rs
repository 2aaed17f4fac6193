//! What a peer adds to the time until the first event: requests that arrive steadily, while earlier answers are still streaming.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::milliseconds;
use crate::{
    client::{Connection, Progress},
    clock::now_ns,
    lab::Lab,
    peer::{Kind, Peer},
    rows::Row,
    samples::Samples,
    spec::{Mode, Spec},
};

/// Between two requests: 200 a second.
const ARRIVAL: Duration = Duration::from_millis(5);
/// An answer: it begins after 10 ms and lasts 0.4 s, so some 80 run at any time.
const ANSWER: Spec = Spec { mode: Mode::Paced { gap: Duration::from_millis(20) }, think: Duration::from_millis(10), events: 20 };
/// Kept connections; more are opened, and kept too, when all are busy.
const CONNECTIONS: usize = 100;

pub(super) async fn measure(lab: &mut Lab) -> Result<()> {
    let peers = lab.start_all().await?;
    let mut pools = Vec::new();
    for peer in &peers {
        pools.push(Pool::open(peer).await?);
    }
    for _ in 0..lab.plan.rounds {
        let mut base = 0.0;
        for pool in &pools {
            let mut transit = pool.round(lab.plan.window).await?;
            let [p50, p99] = [0.5, 0.99].map(|share| milliseconds(transit.quantile(share)));
            if pool.peer.kind() == Kind::Direct {
                base = p50;
            }
            lab.found(Row::FirstEventP50, pool.peer.kind(), p50 - base);
            lab.found(Row::FirstEventP99, pool.peer.kind(), p99 - base);
        }
    }
    Ok(())
}

/// A peer with kept connections to it.
struct Pool<'a> {
    peer: &'a Peer,
    request: Rc<[u8]>,
    idle: Rc<RefCell<Vec<Connection>>>,
}

impl<'a> Pool<'a> {
    async fn open(peer: &'a Peer) -> Result<Self> {
        let pool = Self { peer, request: peer.request(ANSWER).into(), idle: Rc::default() };
        for _ in 0..CONNECTIONS {
            let connection = peer.connect().await?;
            pool.idle.borrow_mut().push(connection);
        }
        // Once through, so that the peer's own connections to the source are there too.
        pool.round(ARRIVAL * u32::try_from(CONNECTIONS)?).await?;
        Ok(pool)
    }

    /// Sends requests for `length`; gives the nanoseconds that each spent on the way there and its first event on the way back.
    async fn round(&self, length: Duration) -> Result<Samples> {
        let transits = Rc::new(RefCell::new(Samples::default()));
        let mut tasks = JoinSet::new();
        let begin = Instant::now();
        let mut due = begin;
        while due < begin + length {
            sleep_until(due).await;
            due += ARRIVAL;
            let free = self.idle.borrow_mut().pop();
            let connection = match free {
                Some(connection) => connection,
                None => self.peer.connect().await?,
            };
            tasks.spawn_local(ask(connection, Rc::clone(&self.request), Rc::clone(&transits), Rc::clone(&self.idle)));
        }
        while let Some(ended) = tasks.join_next().await {
            ended?.context("an answer failed")?;
        }
        Ok(transits.take())
    }
}

async fn ask(mut connection: Connection, request: Rc<[u8]>, transits: Rc<RefCell<Samples>>, idle: Rc<RefCell<Vec<Connection>>>) -> Result<()> {
    let sent = now_ns();
    let first = Cell::new(true);
    connection.send(&request).await?;
    let note = |stamps: crate::event::Stamps, now: u64| {
        if first.replace(false) {
            let there = stamps.received.saturating_sub(sent);
            let back = now.saturating_sub(stamps.written);
            transits.borrow_mut().add(there + back);
        }
    };
    while connection.read(note).await? == Progress::More {}
    idle.borrow_mut().push(connection);
    Ok(())
}

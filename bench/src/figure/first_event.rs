//! What a peer adds to the time until the first event: requests that arrive while earlier answers are still streaming.

use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

use anyhow::{Context, Result};
use rand::{RngExt, SeedableRng, rngs::StdRng};
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

/// Between two requests on the average: 200 a second.
const ARRIVAL: Duration = Duration::from_millis(5);
/// Every peer gets the same requests at the same moments.
const SEED: u64 = 200;
/// An answer: it begins after 10 ms and lasts 2.5 s, so some 500 run at any time once the first ones end.
const ANSWER: Spec = Spec { mode: Mode::Paced { gap: Duration::from_millis(20) }, think: Duration::from_millis(10), events: 125 };
/// Requests that arrive before the first answers end, and are not counted.
const RAMP: usize = 500;
/// Kept connections; more are opened, and kept too, when all are busy.
const CONNECTIONS: usize = RAMP + 50;

pub(super) async fn measure(lab: &mut Lab) -> Result<()> {
    let peers = lab.start_all().await?;
    let mut pools = Vec::new();
    for peer in &peers {
        pools.push(Pool::open(peer).await?);
    }
    for round in 0..lab.plan.short_rounds {
        measure_round(lab, &pools, Arrivals::Apart, [Row::FirstEventP50, Row::FirstEventP99]).await?;
        if round < lab.plan.rounds {
            measure_round(lab, &pools, Arrivals::InStep, [Row::FirstEventInStepP50, Row::FirstEventInStepP99]).await?;
        }
    }
    Ok(())
}

/// One round with each peer; the direct way comes first.
async fn measure_round(lab: &mut Lab, pools: &[Pool<'_>], arrivals: Arrivals, rows: [Row; 2]) -> Result<()> {
    let mut base = 0.0;
    for pool in pools {
        let mut transit = pool.round(arrivals, lab.plan.first_events).await?;
        let [p50, p99] = [0.5, 0.99].map(|share| milliseconds(transit.quantile(share)));
        if pool.peer.kind() == Kind::Direct {
            base = p50;
        }
        lab.found(rows[0], pool.peer.kind(), p50 - base);
        lab.found(rows[1], pool.peer.kind(), p99 - base);
    }
    Ok(())
}

/// When requests come.
#[derive(Clone, Copy)]
enum Arrivals {
    /// At random, as those of many clients who do not know of each other do: the times between them are distributed exponentially.
    Apart,
    /// Every five milliseconds. That divides the time between two events, so each request comes with a quarter of all events that run.
    InStep,
}

impl Arrivals {
    fn gaps(self) -> impl Iterator<Item = Duration> {
        let mut random = StdRng::seed_from_u64(SEED);
        std::iter::repeat_with(move || match self {
            Self::Apart => ARRIVAL.mul_f64(-(1.0 - random.random::<f64>()).ln()),
            Self::InStep => ARRIVAL,
        })
    }
}

/// A peer with kept connections to it.
struct Pool<'a> {
    peer: &'a Peer,
    request: Rc<[u8]>,
    /// The one that rests longest goes first, so that no peer closes one that was forgotten.
    idle: Rc<RefCell<VecDeque<Connection>>>,
}

impl<'a> Pool<'a> {
    async fn open(peer: &'a Peer) -> Result<Self> {
        let pool = Self { peer, request: peer.request(ANSWER).into(), idle: Rc::default() };
        for _ in 0..CONNECTIONS {
            let connection = peer.connect().await?;
            pool.idle.borrow_mut().push_back(connection);
        }
        Ok(pool)
    }

    /// Sends requests until `counted` of them came after the ramp; gives the nanoseconds that each of these spent on the way there, and its first
    /// event on the way back.
    async fn round(&self, arrivals: Arrivals, counted: usize) -> Result<Samples> {
        let transits = Rc::new(RefCell::new(Samples::default()));
        let mut tasks = JoinSet::new();
        let mut due = Instant::now();
        for (n, gap) in arrivals.gaps().take(RAMP + counted).enumerate() {
            sleep_until(due).await;
            due += gap;
            let connection = self.idle.borrow_mut().pop_front();
            let connection = match connection {
                Some(connection) => connection,
                None => self.peer.connect().await?,
            };
            let (request, idle, transits) = (Rc::clone(&self.request), Rc::clone(&self.idle), Rc::clone(&transits));
            tasks.spawn_local(async move {
                let (connection, transit) = ask(connection, &request).await?;
                idle.borrow_mut().push_back(connection);
                if n >= RAMP {
                    transits.borrow_mut().add(transit);
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended?.context("an answer failed")?;
        }
        Ok(transits.take())
    }
}

/// Asks and reads the answer to its end; gives the connection back, with the nanoseconds of the request's and the first event's way.
async fn ask(mut connection: Connection, request: &[u8]) -> Result<(Connection, u64)> {
    let sent = now_ns();
    let mut transit = None;
    connection.send(request).await?;
    while connection
        .read(|stamps, now| {
            transit.get_or_insert_with(|| stamps.received.saturating_sub(sent) + now.saturating_sub(stamps.written));
        })
        .await?
        == Progress::More
    {}
    Ok((connection, transit.context("an answer had no event")?))
}

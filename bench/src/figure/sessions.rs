//! What sessions cost: how soon a prompt is acknowledged while a thousand sessions ask, and what a session takes that asks nothing.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{
    task::JoinSet,
    time::{Instant, interval_at, sleep},
};

use super::{memory::settled, microseconds_each, milliseconds};
use crate::{
    clock::now_ns,
    lab::Lab,
    peer::{Kind, Peer},
    rows::Row,
    samples::Samples,
    session::{Said, Session},
};

/// Between two prompts of a session.
const PACE: Duration = Duration::from_secs(1);
/// Between opening and measuring: each session has asked once or twice, and the connections to the source are there.
const WARM: Duration = Duration::from_secs(2);
/// Sessions that ask at the same time, when each asks once.
const BURST: usize = 100;

pub(super) async fn measure(lab: &mut Lab) -> Result<()> {
    let kinds: Vec<Kind> = [Kind::Echo].into_iter().chain(lab.proxies().into_iter().filter(|&kind| kind == Kind::Tidegate)).collect();
    acknowledgements(lab, &kinds).await?;
    for kind in kinds {
        memory(lab, kind).await?;
    }
    Ok(())
}

async fn acknowledgements(lab: &mut Lab, kinds: &[Kind]) -> Result<()> {
    let mut peers = Vec::new();
    for &kind in kinds {
        peers.push(lab.site(kind)?.start().await?);
    }
    for _ in 0..lab.plan.rounds {
        for peer in &peers {
            let mut load = Load::open(peer, lab.plan.asking_sessions).await?;
            sleep(WARM).await;
            let (mut latency, answers, cpu) = load.window(peer, lab.plan.window).await?;
            lab.found(Row::AckP50, peer.kind(), milliseconds(latency.quantile(0.5)));
            lab.found(Row::AckP99, peer.kind(), milliseconds(latency.quantile(0.99)));
            lab.found(Row::PromptCpu, peer.kind(), microseconds_each(cpu, answers));
        }
    }
    Ok(())
}

/// Resident memory of sessions that were opened, and of the same ones when each has had an answer.
async fn memory(lab: &mut Lab, kind: Kind) -> Result<()> {
    let (peer, count) = (lab.site(kind)?.start().await?, lab.plan.silent_streams[1]);
    peer.session().await?.answer(last(kind)).await?;
    let rest = settled(&peer, lab.plan.settle).await?;
    let mut sessions = Vec::with_capacity(count);
    while sessions.len() < count {
        sessions.push(peer.session().await?);
    }
    lab.found(Row::SessionMemory, kind, (settled(&peer, lab.plan.settle).await? - rest) / count as f64);
    for burst in sessions.chunks_mut(BURST) {
        for session in &mut *burst {
            session.ask().await?;
        }
        for session in burst {
            while session.next().await? != last(kind) {}
        }
    }
    lab.found(Row::SessionMemoryAnswered, kind, (settled(&peer, lab.plan.settle).await? - rest) / count as f64);
    Ok(())
}

/// What ends a prompt: an echo server says one thing alone.
fn last(kind: Kind) -> Said {
    if kind == Kind::Echo { Said::Accepted } else { Said::Complete }
}

/// Sessions that ask at their pace for as long as this lives.
struct Load {
    tasks: JoinSet<Result<()>>,
    tally: Rc<Tally>,
}

#[derive(Default)]
struct Tally {
    latency: RefCell<Samples>,
    answers: Cell<u64>,
}

impl Load {
    /// Opens `count` sessions whose prompts are spread over their pace.
    async fn open(peer: &Peer, count: usize) -> Result<Self> {
        let mut sessions = Vec::with_capacity(count);
        while sessions.len() < count {
            sessions.push(peer.session().await?);
        }
        let (mut tasks, tally, last) = (JoinSet::new(), Rc::<Tally>::default(), last(peer.kind()));
        let (mut first, apart) = (Instant::now(), PACE / u32::try_from(count)?);
        for session in sessions {
            first += apart;
            tasks.spawn_local(talk(session, first, last, Rc::clone(&tally)));
        }
        Ok(Self { tasks, tally })
    }

    /// Latencies, answers and the peer's processor time of a stretch of time.
    async fn window(&mut self, peer: &Peer, length: Duration) -> Result<(Samples, u64, u64)> {
        let (before, answered) = (peer.cpu()?.context("no peer to measure")?, self.tally.answers.get());
        self.tally.latency.take();
        sleep(length).await;
        let cpu = peer.cpu()?.context("no peer to measure")?.since(&before);
        match self.tasks.try_join_next() {
            Some(ended) => ended?.context("a session ended").and_then(|()| bail!("a session ended")),
            None => Ok((self.tally.latency.take(), self.tally.answers.get() - answered, cpu)),
        }
    }
}

async fn talk(mut session: Session, first: Instant, last: Said, tally: Rc<Tally>) -> Result<()> {
    let (mut due, mut asked) = (interval_at(first, PACE), VecDeque::new());
    loop {
        tokio::select! {
            _ = due.tick() => {
                asked.push_back(now_ns());
                session.ask().await?;
            }
            said = session.next() => {
                let (said, now) = (said?, now_ns());
                if said == Said::Accepted {
                    let asked = asked.pop_front().context("more was accepted than asked")?;
                    tally.latency.borrow_mut().add(now - asked);
                }
                if said == last {
                    tally.answers.set(tally.answers.get() + 1);
                }
            }
        }
    }
}

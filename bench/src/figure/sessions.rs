//! What sessions cost: how soon a prompt is acknowledged and answered while a thousand sessions ask, and what a session takes that asks nothing.

use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{
    sync::watch,
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
/// Sessions that ask at the same time, when each asks once.
const BURST: usize = 100;

/// What is found of sessions that ask: acknowledgement, first token, rate and processor time.
const FEWER: [Row; 6] =
    [Row::FewerAckP50, Row::FewerAckP99, Row::FewerFirstTokenP50, Row::FewerFirstTokenP99, Row::FewerAnswerRate, Row::FewerPromptCpu];
const MORE: [Row; 6] = [Row::AckP50, Row::AckP99, Row::FirstTokenP50, Row::FirstTokenP99, Row::AnswerRate, Row::PromptCpu];

pub(super) async fn measure(lab: &mut Lab) -> Result<()> {
    let alone: Vec<Kind> = [Kind::Echo].into_iter().chain(lab.proxies().into_iter().filter(|&kind| kind == Kind::Tidegate)).collect();
    beside_each_other(lab, &alone, lab.plan.silent_streams[1]).await?;
    beside_each_other(lab, &lab.queues(), lab.plan.asking_sessions[1]).await
}

async fn beside_each_other(lab: &mut Lab, kinds: &[Kind], idle: usize) -> Result<()> {
    conversations(lab, kinds).await?;
    for &kind in kinds {
        memory(lab, kind, idle).await?;
    }
    Ok(())
}

async fn conversations(lab: &mut Lab, kinds: &[Kind]) -> Result<()> {
    let mut peers = Vec::new();
    for &kind in kinds {
        peers.push(lab.site(kind)?.start().await?);
    }
    for (count, rows) in lab.plan.asking_sessions.into_iter().zip([FEWER, MORE]) {
        for _ in 0..lab.plan.rounds {
            for peer in &peers {
                conversation(lab, peer, count, rows).await?;
            }
        }
    }
    Ok(())
}

/// One window of `count` sessions that ask.
async fn conversation(lab: &mut Lab, peer: &Peer, count: usize, rows: [Row; 6]) -> Result<()> {
    let mut load = Load::open(peer, count).await?;
    sleep(lab.plan.warm).await;
    let (mut heard, cpu) = load.window(peer, lab.plan.window).await?;
    load.close().await?;
    // What they leave to be done is done before the next ones begin.
    sleep(lab.plan.settle).await;
    let [ack_p50, ack_p99, first_p50, first_p99, rate, prompt_cpu] = rows;
    lab.found(ack_p50, peer.kind(), milliseconds(heard.accepted.quantile(0.5)));
    lab.found(ack_p99, peer.kind(), milliseconds(heard.accepted.quantile(0.99)));
    lab.found(first_p50, peer.kind(), milliseconds(heard.begun.quantile(0.5)));
    lab.found(first_p99, peer.kind(), milliseconds(heard.begun.quantile(0.99)));
    lab.found(rate, peer.kind(), heard.answers as f64 / lab.plan.window.as_secs_f64());
    lab.found(prompt_cpu, peer.kind(), microseconds_each(cpu, heard.answers));
    Ok(())
}

/// Resident memory of `count` sessions that were opened, and of the same ones when each has had an answer.
async fn memory(lab: &mut Lab, kind: Kind, count: usize) -> Result<()> {
    let peer = lab.site(kind)?.start().await?;
    peer.answered_session().await?.close().await?;
    let (rest, server_rest) = (settled(&peer, lab.plan.settle).await?, server_memory(&peer)?);
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
            session.finish(kind.last_word()).await?;
        }
    }
    lab.found(Row::SessionMemoryAnswered, kind, (settled(&peer, lab.plan.settle).await? - rest) / count as f64);
    if let Some((kept, rest)) = server_memory(&peer)?.zip(server_rest) {
        lab.found(Row::SessionMemoryKept, kind, (kept - rest) / count as f64);
    }
    Ok(())
}

/// Resident KiB of the queue's server, where there is one.
fn server_memory(peer: &Peer) -> Result<Option<f64>> {
    Ok(peer.server_memory()?.map(|memory| memory.resident as f64))
}

/// Sessions that ask at their pace until this is closed.
struct Load {
    tasks: JoinSet<Result<()>>,
    heard: Rc<RefCell<Heard>>,
    /// The sessions go on for as long as this is there.
    open: watch::Sender<()>,
}

/// What all sessions of a load heard.
#[derive(Default)]
struct Heard {
    /// From a prompt to its acknowledgement.
    accepted: Samples,
    /// From a prompt to the first token of its answer.
    begun: Samples,
    answers: u64,
}

impl Load {
    /// Opens `count` sessions whose prompts are spread over their pace.
    async fn open(peer: &Peer, count: usize) -> Result<Self> {
        let mut sessions = Vec::with_capacity(count);
        while sessions.len() < count {
            sessions.push(peer.session().await?);
        }
        let (mut tasks, heard, last) = (JoinSet::new(), Rc::<RefCell<Heard>>::default(), peer.kind().last_word());
        let (mut first, apart) = (Instant::now(), PACE / u32::try_from(count)?);
        let open = watch::Sender::new(());
        for session in sessions {
            first += apart;
            tasks.spawn_local(talk(session, first, last, Rc::clone(&heard), open.subscribe()));
        }
        Ok(Self { tasks, heard, open })
    }

    /// What was heard in a stretch of time, and the peer's processor time.
    async fn window(&mut self, peer: &Peer, length: Duration) -> Result<(Heard, u64)> {
        let before = peer.cpu()?.context("no peer to measure")?;
        self.heard.take();
        sleep(length).await;
        let cpu = peer.cpu()?.context("no peer to measure")?.since(&before);
        match self.tasks.try_join_next() {
            Some(ended) => ended?.and_then(|()| bail!("a session ended")),
            None => Ok((self.heard.take(), cpu)),
        }
    }

    /// Ends the sessions.
    async fn close(mut self) -> Result<()> {
        drop(self.open);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

async fn talk(mut session: Session, first: Instant, last: Said, heard: Rc<RefCell<Heard>>, mut open: watch::Receiver<()>) -> Result<()> {
    let mut due = interval_at(first, PACE);
    // When the prompts without their last word were asked; how many of them were accepted; whether the oldest has an answer that began.
    let (mut asked, mut accepted, mut begun) = (VecDeque::new(), 0, false);
    loop {
        let said = tokio::select! {
            _ = open.changed() => return session.close().await,
            _ = due.tick() => {
                asked.push_back(now_ns());
                session.ask().await?;
                continue;
            }
            said = session.next() => said?,
        };
        let (now, mut heard) = (now_ns(), heard.borrow_mut());
        match said {
            Said::Accepted => {
                heard.accepted.add(now - asked.get(accepted).context("more was accepted than asked")?);
                accepted += 1;
            }
            Said::Refused => drop(asked.remove(accepted).context("more was refused than asked")?),
            Said::Token if !begun => {
                heard.begun.add(now - asked.front().context("nobody asked for this answer")?);
                begun = true;
            }
            _ => {}
        }
        if said == last || said == Said::Failed {
            heard.answers += u64::from(said == last);
            asked.pop_front().context("nobody asked for this answer")?;
            (accepted, begun) = (accepted - 1, false);
        }
    }
}

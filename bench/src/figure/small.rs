//! What a small request with a whole JSON answer costs: kept connections, each sending the next request when it has its answer.

use std::{cell::Cell, rc::Rc};

use anyhow::Result;
use tokio::{task::JoinSet, time::Instant};

use super::microseconds_each;
use crate::{
    client::Connection,
    lab::Lab,
    peer::Peer,
    rows::Row,
    spec::{Mode, Spec},
};

const CONNECTIONS: usize = 32;

pub(super) async fn measure(lab: &mut Lab) -> Result<()> {
    let peers = lab.start_all().await?;
    for peer in &peers {
        // Opens the kept connections of the peer before anything counts.
        burst(peer, lab.plan.small_requests / 10).await?;
    }
    let requests = lab.plan.small_requests;
    for _ in 0..lab.plan.short_rounds {
        for peer in &peers {
            let (began, before) = (Instant::now(), peer.cpu()?);
            burst(peer, requests).await?;
            let (seconds, after) = (began.elapsed().as_secs_f64(), peer.cpu()?);
            if let Some((before, after)) = before.zip(after) {
                lab.found(Row::SmallCpu, peer.kind(), microseconds_each(after.since(&before), u64::try_from(requests)?));
            }
            lab.found(Row::SmallRate, peer.kind(), requests as f64 / seconds);
        }
    }
    Ok(())
}

async fn burst(peer: &Peer, requests: usize) -> Result<()> {
    let request: Rc<[u8]> = peer.request(Spec::endless(Mode::Whole)).into();
    let left = Rc::new(Cell::new(requests));
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let connection = peer.connect().await?;
        tasks.spawn_local(ask_while_any_left(connection, Rc::clone(&request), Rc::clone(&left)));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

async fn ask_while_any_left(mut connection: Connection, request: Rc<[u8]>, left: Rc<Cell<usize>>) -> Result<()> {
    while let Some(rest) = left.get().checked_sub(1) {
        left.set(rest);
        connection.send(&request).await?;
        connection.body().await?;
    }
    Ok(())
}

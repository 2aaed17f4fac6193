//! What the provider still does after clients left: events that nobody reads, requests that nobody waits for.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::milliseconds;
use crate::{
    clock::now_ns,
    lab::Lab,
    peer::Peer,
    rows::Row,
    source::SourceCount,
    spec::{Mode, Spec},
    streams::open_unread,
};

const CLIENTS: usize = 200;
/// A provider that still has streams after this fails the figure.
const LIMIT: Duration = Duration::from_secs(60);
/// Clients leave half a slow gap after their last event: a peer that notices only at the next event lets one more of each be produced.
const SLOW: Duration = Duration::from_secs(1);
const PACED: Duration = Duration::from_millis(20);

pub(super) async fn measure(lab: &mut Lab) -> Result<()> {
    let peers = lab.start_proxies().await?;
    for _ in 0..lab.plan.rounds {
        for peer in peers.iter() {
            let kind = peer.kind();
            for (row, gap) in [(Row::ForNobody, SLOW), (Row::ForNobodyPaced, PACED)] {
                let (_, count) = leave(lab, peer, Mode::Paced { gap }, CLIENTS).await?;
                lab.found(row, kind, count.events_since as f64);
            }
            let (left, count) = leave(lab, peer, Mode::Silent, lab.plan.silent_streams[1]).await?;
            lab.found(Row::IdleAfter, kind, milliseconds(count.idle_since.saturating_sub(left)));
        }
    }
    Ok(())
}

/// Opens streams and closes them all; gives the time when the last client had left, and the source's books once it is idle.
async fn leave(lab: &Lab, peer: &Peer, mode: Mode, clients: usize) -> Result<(u64, SourceCount)> {
    let connections = open_unread(peer, Spec::endless(mode), clients).await?;
    sleep(SLOW / 2).await;
    drop(connections);
    let left = now_ns();
    Ok((left, lab.source_idle(left, LIMIT).await?))
}

//! The memory that one more open stream takes while nothing happens on it.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::{
    lab::Lab,
    peer::Peer,
    rows::Row,
    spec::{Mode, Spec},
    streams::open_unread,
};

pub(super) async fn measure(lab: &mut Lab) -> Result<()> {
    let spec = Spec::endless(Mode::Silent);
    for kind in lab.proxies() {
        let peer = lab.site(kind)?.start().await?;
        drop(open_unread(&peer, spec, 1).await?);
        let rest = settled(&peer, lab.plan.settle).await?;
        let mut connections = Vec::new();
        for (row, count) in [Row::MemoryFewer, Row::MemoryMore].into_iter().zip(lab.plan.silent_streams) {
            connections.append(&mut open_unread(&peer, spec, count - connections.len()).await?);
            let more = settled(&peer, lab.plan.settle).await? - rest;
            lab.found(row, kind, more / count as f64);
        }
        drop(connections);
        lab.source_idle(0, Duration::from_secs(60)).await?;
    }
    Ok(())
}

/// Resident KiB after `settle`.
pub(super) async fn settled(peer: &Peer, settle: Duration) -> Result<f64> {
    sleep(settle).await;
    Ok(peer.memory()?.map_or(0.0, |memory| memory.resident as f64))
}

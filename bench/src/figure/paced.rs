//! What an event costs at the pace of a model: many streams, each with an event every 20 ms.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::{microseconds_each, milliseconds};
use crate::{
    lab::Lab,
    rows::Row,
    spec::{Mode, Spec},
    streams::Streams,
};

const GAP: Duration = Duration::from_millis(20);
/// Between two openings, so that streams are spread over the gap.
const APART: Duration = Duration::from_millis(1);
/// Between opening and measuring.
const SETTLE: Duration = Duration::from_millis(500);

pub(super) async fn measure(lab: &mut Lab) -> Result<()> {
    let peers = lab.start_all().await?;
    for _ in 0..lab.plan.rounds {
        for peer in &peers {
            let mut streams = Streams::open(peer, Spec::endless(Mode::Paced { gap: GAP }), lab.plan.paced_streams, APART).await?;
            sleep(SETTLE).await;
            let mut window = streams.window(peer, lab.plan.window).await?;
            drop(streams);
            lab.source_idle(0, Duration::from_secs(10)).await?;
            if let Some(cpu) = window.cpu {
                lab.found(Row::PacedCpu, peer.kind(), microseconds_each(cpu, window.events));
            }
            lab.found(Row::PacedLatencyP50, peer.kind(), milliseconds(window.latency.quantile(0.5)));
            lab.found(Row::PacedLatencyP99, peer.kind(), milliseconds(window.latency.quantile(0.99)));
        }
    }
    Ok(())
}

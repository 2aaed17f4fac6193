//! What an event costs when the source writes as fast as it is let, and how long text lies on the way then.

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

const STREAMS: usize = 32;
/// Between opening and measuring: buffers fill up in it.
const SETTLE: Duration = Duration::from_secs(1);

pub(super) async fn measure(lab: &mut Lab) -> Result<()> {
    let peers = lab.start_all().await?;
    for _ in 0..lab.plan.rounds {
        for peer in &peers {
            let mut streams = Streams::open(peer, Spec::endless(Mode::Flat), STREAMS, Duration::ZERO).await?;
            sleep(SETTLE).await;
            let mut window = streams.window(peer, lab.plan.window).await?;
            drop(streams);
            lab.source_idle(0, Duration::from_secs(10)).await?;
            let (kind, events) = (peer.kind(), window.events as f64);
            if let Some(cpu) = window.cpu {
                lab.found(Row::FlatCpu, kind, microseconds_each(cpu, window.events));
                lab.found(Row::FlatPerCore, kind, events * 1e9 / cpu as f64);
            }
            lab.found(Row::FlatRate, kind, events / window.seconds);
            lab.found(Row::FlatEventsPerRead, kind, events / window.reads as f64);
            lab.found(Row::FlatLatency, kind, milliseconds(window.latency.quantile(0.5)));
            lab.found(Row::FlatLatencyP99, kind, milliseconds(window.latency.quantile(0.99)));
        }
    }
    Ok(())
}

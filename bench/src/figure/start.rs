//! How long a peer takes from `exec` to its first 200, and the memory that it holds when nothing has happened yet.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::{lab::Lab, rows::Row};

/// After it, whatever a start still does in the background is done.
const SETTLE: Duration = Duration::from_millis(500);

pub(super) async fn measure(lab: &mut Lab) -> Result<()> {
    for n in 0..lab.plan.starts {
        for kind in lab.proxies() {
            let peer = lab.site(kind)?.start().await?;
            lab.found(Row::Start, kind, peer.start_time().as_secs_f64() * 1e3);
            if n > 0 {
                continue;
            }
            sleep(SETTLE).await;
            if let Some(memory) = peer.memory()? {
                lab.found(Row::Rest, kind, memory.resident as f64 / 1024.0);
                lab.found(Row::RestProportional, kind, memory.proportional as f64 / 1024.0);
            }
        }
    }
    Ok(())
}

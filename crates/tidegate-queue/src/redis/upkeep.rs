//! What every process does from time to time: it puts off the expiry of the sessions that it owns, and looks for tasks whose worker is lost.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::id::SessionId;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::scripts::SCRIPTS;
use super::{Process, key, log_key, millis, state_key, verdict};
use crate::error::QueueError;

/// The longest time between two rounds.
const ROUND: Duration = Duration::from_secs(1);
/// How many sessions one script puts off.
const AT_ONCE: usize = 256;

/// Goes round, for as long as the process lives.
pub(super) async fn keep(process: Arc<Process>) {
    let round = ROUND.min(process.settings.lease / 4);
    loop {
        sleep(round).await;
        // Without the server there is nothing to do, and the link says so.
        if let Err(error) = refresh(&process).await.and(reap(&process).await)
            && process.link.is_up()
        {
            warn!(%error, "the queue's upkeep failed");
        }
    }
}

/// Puts off the expiry of the sessions that are due, and tells owners that are none any more.
async fn refresh(process: &Process) -> Result<(), QueueError> {
    let now = Instant::now();
    for sessions in process.follows.due(now).chunks(AT_ONCE) {
        for ((session, epoch), word) in sessions.iter().zip(refresh_some(process, sessions).await?) {
            match verdict(&word) {
                Ok(()) => process.follows.refreshed(*session, *epoch, now),
                Err(why) => process.follows.end(*session, *epoch, why),
            }
        }
    }
    Ok(())
}

async fn refresh_some(process: &Process, sessions: &[(SessionId, u64)]) -> Result<Vec<String>, QueueError> {
    let mut call = SCRIPTS.refresh.prepare_invoke();
    call.key(key("tasks"));
    for (session, epoch) in sessions {
        call.key(state_key(*session)).key(log_key(*session)).arg(*epoch);
    }
    process.run(&call).await
}

/// Takes tasks away from workers that gave no sign of life for longer than a lease.
async fn reap(process: &Process) -> Result<(), QueueError> {
    let mut from = "0-0".to_owned();
    loop {
        let mut call = SCRIPTS.reap.key(key("tasks"));
        call.arg(millis(process.settings.lease)).arg(process.settings.attempts).arg(&from);
        from = process.run(&call).await?;
        if from == "0-0" {
            return Ok(());
        }
    }
}

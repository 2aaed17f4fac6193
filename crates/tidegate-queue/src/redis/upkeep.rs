//! What every process does from time to time: it puts off the expiry of the sessions that it owns, and looks for tasks whose worker is lost.

use std::sync::Arc;
use std::time::Duration;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::entries::id;
use super::follow::Held;
use super::scripts::SCRIPTS;
use super::{Process, key, log_key, millis, state_key, verdict};
use crate::settings::Settings;

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
        let Ok(mut connection) = process.link.connection().await else { continue };
        let now = Instant::now();
        let refreshed = refresh(&process, &mut connection, &process.follows.held(Some(now)), now).await;
        if let Err(error) = refreshed.and(reap(&mut connection, &process.settings).await) {
            warn!(%error, "the queue's upkeep failed");
        }
    }
}

/// Puts off the expiry of these sessions. Tells owners that are none any more, or whose session the server remembers otherwise than they do.
pub(super) async fn refresh(process: &Process, connection: &mut MultiplexedConnection, sessions: &[Held], now: Instant) -> RedisResult<()> {
    for sessions in sessions.chunks(AT_ONCE) {
        let mut call = SCRIPTS.refresh.prepare_invoke();
        call.key(key("tasks"));
        for Held { session, owner, answered, anchor } in sessions {
            call.key(state_key(*session)).key(log_key(*session));
            call.arg(session.to_string()).arg(&**owner).arg(*answered).arg(id(*anchor));
        }
        let words: Vec<String> = call.invoke_async(connection).await?;
        for (held, word) in sessions.iter().zip(words) {
            match verdict(&word) {
                Ok(()) => process.follows.refreshed(held, now),
                Err(why) => process.follows.end(held.session, &held.owner, why),
            }
        }
    }
    Ok(())
}

/// Takes tasks away from workers that gave no sign of life for longer than a lease.
async fn reap(connection: &mut MultiplexedConnection, settings: &Settings) -> RedisResult<()> {
    let mut from = "0-0".to_owned();
    loop {
        let mut call = SCRIPTS.reap.key(key("tasks"));
        from = call.arg(millis(settings.lease)).arg(settings.attempts).arg(&from).invoke_async(connection).await?;
        if from == "0-0" {
            return Ok(());
        }
    }
}

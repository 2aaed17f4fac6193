//! What every process does from time to time: it puts off the expiry of the sessions that it owns, tells what their clients took, and looks
//! for tasks whose worker is lost.

use std::sync::Arc;
use std::time::Duration;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, MissedTickBehavior, interval};
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
    let mut rounds = interval(ROUND.min(process.settings.lease / 4));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_round = tokio::select! {
            _ = rounds.tick() => true,
            () = process.follows.has_to_tell() => false,
        };
        // Without the server there is nothing to do, and the link says so.
        let Ok(mut connection) = process.link.connection().await else { continue };
        let now = Instant::now();
        let kept = if is_round {
            let refreshed = refresh(&process, &mut connection, &process.follows.held(Some(now)), now).await;
            refreshed.and(reap(&mut connection, &process.settings).await)
        } else {
            // A worker may wait to be told. What gets lost here is told in the next round.
            refresh(&process, &mut connection, &process.follows.to_tell(), now).await
        };
        if let Err(error) = kept {
            warn!(%error, "the queue's upkeep failed");
        }
    }
}

/// Puts off the expiry of these sessions, and tells what their clients took. Tells owners that are none any more, or whose session the server
/// remembers otherwise than they do.
pub(super) async fn refresh(process: &Process, connection: &mut MultiplexedConnection, sessions: &[Held], now: Instant) -> RedisResult<()> {
    for sessions in sessions.chunks(AT_ONCE) {
        let mut call = SCRIPTS.refresh.prepare_invoke();
        call.key(key("tasks"));
        for Held { session, owner, answered, anchor, taken } in sessions {
            call.key(state_key(*session)).key(log_key(*session));
            call.arg(session.to_string()).arg(&**owner).arg(*answered).arg(id(*anchor)).arg(*taken);
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

//! What follows an attempt to deliver a webhook.

use std::time::Duration;

use jiff::fmt::rfc2822;

/// How long a webhook is worth a try, from the event that it tells of.
pub const KEPT: Duration = Duration::from_secs(24 * HOUR);

/// The pauses between attempts; after the last of them the message has expired. Short at first, for a receiver that restarts; long at the
/// end, for one whose people have to wake up.
const PAUSES_S: [u64; 10] = [5, 30, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 6 * HOUR, 8 * HOUR];
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Up to this part of a pause is added by chance, so that messages that failed together do not come back together.
const JITTER: u64 = 5;

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered.
    Answered {
        /// HTTP status.
        status: u16,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It did not, or its name could not be resolved.
    NoAnswer,
    /// It may not be reached.
    Forbidden,
}

/// What is done next with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the receiver has it.
    Delivered,
    /// Nothing: it will never be taken, or not in time.
    GiveUp,
    /// Another attempt, at this time in milliseconds since the Unix epoch.
    TryAt(u64),
}

/// What follows the attempt of that number, counted from 1, given the present time and the message's end in milliseconds since the Unix
/// epoch. `chance` is any random number.
///
/// Success is a status 2xx and nothing else: a redirect would take the message to a place that nobody has judged. Source: Standard Webhooks,
/// "Deliverability and reliability".
#[must_use]
pub fn next(outcome: Outcome, attempt: u32, now_unix_ms: u64, expires_unix_ms: u64, chance: u64) -> Next {
    let asked = match outcome {
        Outcome::Answered { status: 200..=299, .. } => return Next::Delivered,
        Outcome::Answered { status: 410, .. } | Outcome::Forbidden => return Next::GiveUp,
        Outcome::Answered { status: 429 | 502..=504, retry_after } => retry_after,
        Outcome::Answered { .. } | Outcome::NoAnswer => None,
    };
    let asked_ms = asked.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    let failures_before = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause_ms = PAUSES_S.get(failures_before).or(PAUSES_S.last()).map_or(0, |pause| pause * 1000).max(asked_ms);
    let by_chance = chance % (pause_ms / JITTER + 1);
    let at = now_unix_ms.saturating_add(pause_ms).saturating_add(by_chance);
    if at < expires_unix_ms { Next::TryAt(at) } else { Next::GiveUp }
}

/// Reads a `Retry-After`: seconds, or a date (RFC 9110, 10.2.3). `None` for anything else.
#[must_use]
pub fn retry_after(value: &str, now_unix_ms: u64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::parse(value).ok()?.timestamp().as_millisecond();
    Some(Duration::from_millis(u64::try_from(date).unwrap_or(0).saturating_sub(now_unix_ms)))
}

#[cfg(test)]
mod tests;

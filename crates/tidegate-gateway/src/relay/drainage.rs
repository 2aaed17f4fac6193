//! Reading on after the client left, for providers that bill the whole answer anyway.

use std::future::poll_fn;
use std::num::NonZeroU32;

use std::time::Duration;

use super::reading::Events;
use crate::attempt::open::Body;
use crate::record::live::Live;
use crate::tasks::Tasks;

/// Reads the rest of an answer for its usage alone, within both caps, then lets the stream settle its record.
///
/// # Cancel safety
///
/// Dropping it cancels the provider's request and settles the record with what is known.
pub async fn drain(mut live: Box<Live>, body: Body, events: Events, caps: (NonZeroU32, Duration), tasks: Tasks) {
    let (max_tokens, max_time) = caps;
    let mut body = Some(body);
    let finished = tokio::time::timeout(max_time, read_on(&mut live, &mut body, events, max_tokens)).await;
    if matches!(finished, Ok(true))
        && let Some(body) = body
    {
        body.release(&tasks);
    }
    drop(live);
}

/// True when the answer came to its end.
async fn read_on(live: &mut Live, body: &mut Option<Body>, mut events: Events, max_tokens: NonZeroU32) -> bool {
    let mut outputs = 0;
    loop {
        while let Ok(Some((_, facts))) = events.take_next() {
            outputs += u32::from(facts.has_output);
            if let Some(attempt) = live.exchange.tally_mut().attempt()
                && facts.usage.is_some()
            {
                attempt.usage = facts.usage;
            }
            if facts.is_last {
                return true;
            }
        }
        if outputs >= max_tokens.get() {
            return false;
        }
        let Some(body) = body.as_mut() else { return false };
        match poll_fn(|cx| body.poll_data(cx)).await {
            Some(Ok(data)) => events.push(data),
            None => return true,
            Some(Err(_)) => return false,
        }
    }
}

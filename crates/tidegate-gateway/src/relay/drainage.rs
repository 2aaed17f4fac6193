//! Reading on after the client left, for providers that bill the whole answer anyway.

use std::future::{Future, poll_fn};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use tidegate_wire::openai_chat;

use super::reading::{self, Events, Expectation, Reading};
use crate::attempt::open::{Answer, Body, OpenError};
use crate::record::live::Live;
use crate::record::spend::Shown;
use crate::tasks::Tasks;

/// What is left of an attempt whose client left. Dropping it cancels the provider's request.
#[expect(clippy::large_enum_variant, reason = "it is moved once in the life of a stream that is drained, and kept by nobody")]
pub enum Rest {
    /// The request is sent, the answer's head has not come.
    Unanswered {
        /// Brings the answer.
        answer: Pin<Box<dyn Future<Output = Result<Answer, OpenError>> + Send>>,
        /// How it is read.
        expectation: Expectation,
    },
    /// An answer is being read.
    Answering {
        /// Its body.
        body: Body,
        /// How far it is read.
        reading: Reading,
    },
}

/// Reads the rest of an answer for its usage alone, within both caps, then lets the stream settle its record.
///
/// # Cancel safety
///
/// Dropping it cancels the provider's request and settles the record with what is known.
pub async fn drain(mut live: Box<Live>, rest: Rest, caps: (NonZeroU32, Duration), tasks: Tasks) {
    let (max_tokens, max_time) = caps;
    if let Ok(Some(body)) = tokio::time::timeout(max_time, read_on(&mut live, rest, max_tokens)).await {
        body.release(&tasks);
    }
    drop(live);
}

/// The body, where the answer came to its end.
async fn read_on(live: &mut Live, rest: Rest, max_tokens: NonZeroU32) -> Option<Body> {
    let (mut body, reading) = match rest {
        Rest::Answering { body, reading } => (body, reading),
        Rest::Unanswered { answer, expectation } => {
            let Answer { head, body } = answer.await.ok()?;
            if let Some(attempt) = live.exchange.tally_mut().attempt() {
                attempt.http_status = Some(head.status);
            }
            let reading = Reading::of(&head, expectation);
            (body, reading)
        }
    };
    let is_complete = match reading {
        Reading::Events(mut events) => {
            let is_complete = read_events(live, &mut body, &mut events, max_tokens).await;
            // What came after the client left was paid for too.
            if let Some(uncounted) = live.uncounted.last_mut() {
                uncounted.shown = Shown::Piece(events.output_sample());
            }
            is_complete
        }
        Reading::Whole(so_far) => read_whole(live, &mut body, so_far).await,
        // It tells no usage.
        Reading::Refusal { .. } => false,
    };
    is_complete.then_some(body)
}

async fn read_events(live: &mut Live, body: &mut Body, events: &mut Events, max_tokens: NonZeroU32) -> bool {
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
        match poll_fn(|cx| body.poll_data(cx)).await {
            Some(Ok(data)) => events.push(data),
            None => return true,
            Some(Err(_)) => return false,
        }
    }
}

/// How many tokens a whole answer has is known when it is there: the time alone is its cap.
async fn read_whole(live: &mut Live, body: &mut Body, mut whole: BytesMut) -> bool {
    loop {
        match poll_fn(|cx| body.poll_data(cx)).await {
            Some(Ok(data)) if reading::gather(&mut whole, &data).is_ok() => {}
            None => break,
            Some(_) => return false,
        }
    }
    if let Some(attempt) = live.exchange.tally_mut().attempt() {
        attempt.usage = openai_chat::read_whole(&whole).usage;
    }
    true
}

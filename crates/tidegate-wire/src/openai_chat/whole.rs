//! What a whole answer is.

use tidegate_core::event::{EventFacts, EventKind};
use tidegate_core::failure::Failure;

use super::answer::Answer;
use super::{provider_error, usage};

/// Reads a whole answer with a status of success: its usage, whether it shows anything, and the failure if it is an error or no answer
/// at all. White space before the JSON is a keepalive of some providers and does no harm.
#[must_use]
pub fn read_whole(body: &[u8]) -> EventFacts {
    let facts = EventFacts { proves_end: true, is_last: true, ..EventFacts::of(EventKind::Completion) };
    let failure = match Answer::read(body) {
        Some(answer) if answer.is_error() => provider_error::read_event(body).failure,
        Some(answer) if answer.choices.failed => Failure::UpstreamError,
        Some(answer) if answer.choices.seen != 0 => {
            return EventFacts { has_output: answer.choices.shown.is_some(), usage: answer.usage.and_then(usage::read), ..facts };
        }
        // No SDK raises on an answer without choices (protocols.md, rule 2).
        Some(_) | None => Failure::UpstreamMalformed,
    };
    EventFacts { failure: Some(failure), ..EventFacts::of(EventKind::Error) }
}

#[cfg(test)]
mod tests;

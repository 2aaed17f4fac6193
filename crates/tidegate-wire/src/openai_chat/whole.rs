//! stub
use tidegate_core::event::{EventFacts, EventKind};

/// Reads a whole answer.
#[must_use]
pub fn read_whole(body: &[u8]) -> EventFacts {
    let _ = body;
    EventFacts::of(EventKind::Completion)
}

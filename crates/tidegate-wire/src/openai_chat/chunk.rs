//! stub
use tidegate_core::event::{EventFacts, EventKind};

use crate::sse::RawEvent;

/// Reads the events of one attempt.
#[derive(Debug)]
pub struct ChatReader {
    choices: u32,
    client_wants_usage: bool,
}

impl ChatReader {
    /// A reader of an answer with `choices` choices.
    #[must_use]
    pub fn new(choices: u32, client_wants_usage: bool) -> Self {
        Self { choices, client_wants_usage }
    }
    /// Classes one event.
    pub fn read(&mut self, event: &RawEvent) -> EventFacts {
        let _ = (event, self.choices, self.client_wants_usage);
        EventFacts::of(EventKind::Other)
    }
    /// The end of the answer is proved.
    #[must_use]
    pub fn end_is_proved(&self) -> bool {
        false
    }
}

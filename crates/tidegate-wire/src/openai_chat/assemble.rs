//! stub
use bytes::Bytes;

use crate::sse::RawEvent;

/// Assembles the chunks of a stream into one whole answer.
#[derive(Debug, Default)]
pub struct Assembler {}

impl Assembler {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }
    /// Adds one chunk.
    pub fn add(&mut self, event: &RawEvent) {
        let _ = event;
    }
    /// The whole answer.
    #[must_use]
    pub fn finish(self) -> Bytes {
        Bytes::new()
    }
}

//! What waits to go to the client, in order, with the number of output events in it.

use std::collections::VecDeque;

use bytes::Bytes;
use tidegate_wire::sse::{RawEvent, Run};

/// Bytes for the client and how many output events they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Whole events, or a whole body.
    pub bytes: Bytes,
    /// Events in it that show output.
    pub output_events: u64,
}

/// Pieces in order. Events that lay side by side in the provider's packet stay one piece and go out in one write.
#[derive(Debug, Default)]
pub struct Pieces {
    whole: VecDeque<Piece>,
    run: Run,
    run_outputs: u64,
    bytes: usize,
}

impl Pieces {
    /// Adds an event.
    pub fn push_event(&mut self, event: RawEvent, has_output: bool) {
        self.bytes += event.bytes().len();
        if let Some(bytes) = self.run.push(event) {
            let output_events = std::mem::take(&mut self.run_outputs);
            self.whole.push_back(Piece { bytes, output_events });
        }
        self.run_outputs += u64::from(has_output);
    }

    /// Adds bytes that the gateway made.
    pub fn push(&mut self, bytes: Bytes, output_events: u64) {
        self.close_run();
        self.bytes += bytes.len();
        self.whole.push_back(Piece { bytes, output_events });
    }

    /// Adds something that the gateway says beside the answer, if there is anything.
    pub fn extend(&mut self, bytes: Option<Bytes>) {
        if let Some(bytes) = bytes {
            self.push(bytes, 0);
        }
    }

    /// Adds everything that waits in `other`, which is empty afterwards.
    pub fn append(&mut self, other: &mut Self) {
        self.close_run();
        while let Some(piece) = other.pop() {
            self.bytes += piece.bytes.len();
            self.whole.push_back(piece);
        }
    }

    /// Takes the first piece.
    pub fn pop(&mut self) -> Option<Piece> {
        if self.whole.is_empty() {
            self.close_run();
        }
        let piece = self.whole.pop_front()?;
        self.bytes -= piece.bytes.len();
        if self.bytes == 0 {
            // An idle stream holds no memory for a queue that it does not use.
            self.whole = VecDeque::new();
        }
        Some(piece)
    }

    /// Whether output waits.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.run_outputs > 0 || self.whole.iter().any(|piece| piece.output_events > 0)
    }

    /// How many bytes wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn close_run(&mut self) {
        if let Some(bytes) = self.run.take() {
            let output_events = std::mem::take(&mut self.run_outputs);
            self.whole.push_back(Piece { bytes, output_events });
        }
    }
}

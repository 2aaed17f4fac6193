//! Which prompts were accepted, by their own ids, after their tasks are over.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::queue::Receipt;

/// How many are remembered. A client repeats a prompt whose ACK it has not seen, which is one of its last few.
const REMEMBERED: usize = 256;

/// The last prompts that had an id and whose tasks are over.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Receipts {
    last: VecDeque<Receipt>,
}

impl Receipts {
    /// The task of this receipt is over.
    pub(super) fn keep(&mut self, receipt: Receipt) {
        if receipt.id.is_none() {
            return;
        }
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(receipt);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Receipt> {
        self.last.iter()
    }
}

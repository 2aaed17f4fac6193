//! Puts a log into the order in which the session's owner saw it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::entry::Position;
use crate::log::{Entry, Output, Past};

/// A session's log as far as it was read, in the order of the log. Outputs stand there before the owner has seen them: each journal entry
/// says how far it had.
#[derive(Debug, Default)]
pub(super) struct History {
    snapshot: Option<Bytes>,
    journal: Vec<(Position, Vec<Bytes>)>,
    outputs: VecDeque<(Position, Output)>,
}

impl History {
    pub(super) fn snapshot(&mut self, seen: Position, state: Bytes) {
        self.snapshot = Some(state);
        self.journal.clear();
        self.outputs.retain(|(position, _)| *position > seen);
    }

    pub(super) fn journal(&mut self, seen: Position, entries: Vec<Bytes>) {
        self.journal.push((seen, entries));
    }

    pub(super) fn outputs(&mut self, outputs: impl IntoIterator<Item = (Position, Output)>) {
        self.outputs.extend(outputs);
    }

    pub(super) fn into_past(mut self) -> Past {
        let mut entries = Vec::new();
        for (seen, journalled) in self.journal {
            while let Some((_, output)) = self.outputs.pop_front_if(|(position, _)| *position <= seen) {
                entries.push(Entry::Output(output));
            }
            entries.extend(journalled.into_iter().map(Entry::Journal));
        }
        entries.extend(self.outputs.into_iter().map(|(_, output)| Entry::Output(output)));
        Past { snapshot: self.snapshot, entries }
    }
}

//! What was said to the client, numbered, and the last of it kept for a client that comes back.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::message::Body;
use super::settings::{ReplayBounds, Settings};

/// Numbers messages from 1 and keeps the last ones, within bounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Outbox {
    #[serde(skip, default = "standard")]
    bounds: ReplayBounds,
    kept: VecDeque<Body>,
    kept_bytes: usize,
    last_seq: u64,
    /// Since the connection was lost.
    #[serde(skip)]
    unseen: Unseen,
}

fn standard() -> ReplayBounds {
    Settings::STANDARD.replay
}

#[derive(Debug, Clone, Copy, Default)]
struct Unseen {
    bytes: usize,
    messages: usize,
}

impl Outbox {
    pub(super) fn new(bounds: ReplayBounds) -> Self {
        Self { bounds, kept: VecDeque::new(), kept_bytes: 0, last_seq: 0, unseen: Unseen::default() }
    }

    /// The same, within these bounds from here on.
    pub(super) fn bounded(self, bounds: ReplayBounds) -> Self {
        Self { bounds, ..self }
    }

    /// The number of the last message, 0 before the first.
    pub(super) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Numbers `body`, and keeps it if the client can come back for it.
    pub(super) fn push(&mut self, body: &Body, keep: bool) -> u64 {
        self.last_seq += 1;
        if !keep {
            self.forget();
            return self.last_seq;
        }
        let bytes = body.footprint();
        self.kept.push_back(body.clone());
        self.kept_bytes += bytes;
        self.unseen.bytes = self.unseen.bytes.saturating_add(bytes);
        self.unseen.messages += 1;
        while self.kept_bytes > self.bounds.bytes || self.kept.len() > self.bounds.messages {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.kept_bytes -= oldest.footprint();
        }
        self.last_seq
    }

    /// Everything behind `last_seq`. `None` if some of it is no longer kept, or so much was never said.
    pub(super) fn after(&self, last_seq: u64) -> Option<impl Iterator<Item = (u64, Body)>> {
        let missed = usize::try_from(self.last_seq.checked_sub(last_seq)?).ok()?;
        let skipped = self.kept.len().checked_sub(missed)?;
        Some((last_seq + 1..).zip(self.kept.iter().skip(skipped).cloned()))
    }

    /// The connection is lost: from here on nobody sees what is said.
    pub(super) fn connection_lost(&mut self) {
        self.unseen = Unseen::default();
    }

    /// Whether as much as was said since the connection was lost can be said again without pushing out what may have been lost with it.
    pub(super) fn has_room(&self) -> bool {
        self.unseen.bytes < self.bounds.bytes / 2 && self.unseen.messages < self.bounds.messages / 2
    }

    /// Drops everything that is kept; the numbers go on.
    pub(super) fn forget(&mut self) {
        self.kept = VecDeque::new();
        self.kept_bytes = 0;
    }
}

//! The tasks of one session that wait, in the order in which they were accepted.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::settings::{QueuePolicy, Settings};
use super::task::{Place, Places, Task};
use crate::id::TaskId;

/// Under which own id a prompt became which task: what its ACK said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Receipt {
    pub(super) task: TaskId,
    pub(super) queue_depth: usize,
    pub(super) id: Option<Arc<str>>,
}

/// A task that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) task: Task,
    pub(super) receipt: Receipt,
    /// The number of the conversation that it belongs to: RESET begins another.
    pub(super) conversation: u64,
}

/// What a prompt finds.
pub(super) enum Room {
    /// A place.
    Free(Place),
    /// The place of the oldest waiting task, which is dropped for it.
    Instead(Receipt, Place),
    /// None.
    Full,
}

/// First in, first out, within bounds.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter()
    }

    /// Makes room for one more. One that `starts_at_once` needs none here, but as all others a place in the gateway.
    pub(super) fn make_room(&mut self, starts_at_once: bool, settings: &Settings, places: &Places) -> Room {
        let fits = starts_at_once || self.len() < settings.most_waiting();
        if let Some(place) = fits.then(|| places.take()).flatten() {
            return Room::Free(place);
        }
        match settings.policy {
            // The place goes from hand to hand: given back, it could be somebody else's before it is taken again.
            QueuePolicy::DropOldest => self.pop().map_or(Room::Full, |oldest| Room::Instead(oldest.receipt, oldest.task.place)),
            QueuePolicy::Reject | QueuePolicy::Defer => Room::Full,
        }
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }

    /// The oldest.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    /// Takes this one out of the middle.
    pub(super) fn remove(&mut self, task: TaskId) -> Option<Waiting> {
        let at = self.waiting.iter().position(|waiting| waiting.task.id == task)?;
        self.waiting.remove(at)
    }
}

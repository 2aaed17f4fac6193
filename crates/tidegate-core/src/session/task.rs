//! A task, and its place among all that wait in the gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::message::Prompt;
use crate::clock::Moment;
use crate::id::TaskId;

/// An accepted prompt.
#[derive(Debug)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What is asked.
    pub prompt: Prompt,
    /// When it was accepted.
    pub accepted: Moment,
    /// Its place among all that wait. Whoever begins to run the task drops it.
    pub place: Place,
}

/// How many tasks may wait in the whole gateway, over all sessions (`queue.global_max_size`). Clones count together.
#[derive(Debug, Clone)]
pub struct Places {
    taken: Arc<AtomicUsize>,
    bound: usize,
}

/// One place. Dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    taken: Arc<AtomicUsize>,
}

impl Places {
    /// Room for `bound` waiting tasks.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self { taken: Arc::default(), bound }
    }

    /// Takes a place. `None`: all are taken.
    #[must_use]
    pub fn take(&self) -> Option<Place> {
        // A count and nothing else: no memory is handed over through it.
        let one_more = |taken| (taken < self.bound).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Place { taken: Arc::clone(&self.taken) })
    }

    /// A place, even if all are taken: for a task that was accepted elsewhere.
    #[must_use]
    pub(super) fn take_anyway(&self) -> Place {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Place { taken: Arc::clone(&self.taken) }
    }

    /// The same places, as they seemed to somebody who found room or none.
    pub(super) fn seen_as(&self, has_room: bool) -> Self {
        Self { taken: Arc::clone(&self.taken), bound: if has_room { usize::MAX } else { 0 } }
    }

    /// Whether one is free right now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.taken() < self.bound
    }

    /// How many are taken, which is how many tasks wait.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

//! How many tasks a process runs at once: more while some wait and the processors have time, fewer once nobody needs them.

use std::time::Duration;

use crate::clock::Moment;

/// How often the size is looked at while it may change: often enough to grow from its least to hundreds within a second.
pub const LOOK: Duration = Duration::from_millis(100);
/// Beyond this share of the processors' time, more tasks at once would only make each one slower.
const BUSY: f64 = 0.9;
/// How long fewer are needed before any is taken away: the pauses of a conversation are shorter.
const PATIENCE: Duration = Duration::from_secs(30);
/// From then on, how often an eighth is taken away.
const STEP: Duration = Duration::from_secs(5);

/// Between how many and how many tasks may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolBounds {
    /// So many always may.
    pub least: usize,
    /// More never may; not below `least`.
    pub most: usize,
}

/// What a pool is asked for, and what the processors do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoolLoad {
    /// Tasks that run.
    pub running: usize,
    /// Tasks that could run and wait for a place.
    pub waiting: usize,
    /// The share of the processors' time that this process takes, from 0 to 1.
    pub busy: f64,
}

/// The size of a pool.
#[derive(Debug, Clone)]
pub struct PoolSize {
    bounds: PoolBounds,
    size: usize,
    /// When an eighth is taken away, unless all of it is needed before.
    shrinks_at: Option<Moment>,
}

impl PoolSize {
    /// A pool of its least size.
    #[must_use]
    pub fn new(bounds: PoolBounds) -> Self {
        Self { bounds, size: bounds.least, shrinks_at: None }
    }

    /// How many tasks may run at once.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether looking on could change it while nothing waits.
    #[must_use]
    pub fn may_shrink(&self) -> bool {
        self.size > self.bounds.least
    }

    /// Looks at the load and returns the new size: at most twice the old one, and never fewer than run.
    pub fn look(&mut self, load: PoolLoad, now: Moment) -> usize {
        let needed = load.running + load.waiting;
        if load.waiting > 0 {
            self.shrinks_at = None;
            if load.busy < BUSY {
                self.size = needed.min(self.size.max(1) * 2).clamp(self.size, self.bounds.most.max(self.size));
            }
        } else if needed >= self.size || !self.may_shrink() {
            self.shrinks_at = None;
        } else if *self.shrinks_at.get_or_insert(now + PATIENCE) <= now {
            self.shrinks_at = Some(now + STEP);
            let fewer = self.size - self.size.div_ceil(8);
            self.size = fewer.max(self.bounds.least).max(load.running);
        }
        self.size
    }
}

#[cfg(test)]
mod tests;

//! The right to run: one permit for each stream, held until its record is handed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the streams that run.
#[derive(Debug, Default)]
pub struct Permits {
    running: Arc<AtomicUsize>,
}

/// The right to run one stream. Dropping it lets another run.
#[derive(Debug)]
pub struct Permit {
    running: Arc<AtomicUsize>,
}

impl Permits {
    /// A permit, unless `most` are out.
    #[must_use]
    pub fn admit(&self, most: usize) -> Option<Permit> {
        let admitted = self.running.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |running| (running < most).then_some(running + 1));
        admitted.is_ok().then(|| Permit { running: Arc::clone(&self.running) })
    }

    /// How many are out.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;

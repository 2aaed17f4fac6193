//! The short way of an open row: the thread that needs it writes it beside the database itself, and wakes nobody.
//!
//! It saves two changes of thread, which take some tenths of a millisecond where the event loops are busy. While more than two rows come in a
//! millisecond, those of one turn of a loop go together ([`turn`](crate::turn)).
//!
//! It is open while the writer vouches for the database, which it does whenever it wrote to it or found its lock free. Who finds it closed
//! takes the long way too, and the writer finds out what is wrong. So what begins here begins at most [`VOUCHED`] after the database could be
//! written.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_core::id::StreamId;

use crate::recent::Recent;
use crate::writer::BATCH_SPACING;

/// How long a look at the database counts. As long as the database may lag behind anyway.
const VOUCHED: Duration = Duration::from_millis(100);
/// A write takes microseconds. One that takes so long waited for a busy disk, with all the streams of its event loop.
const SLOW: Duration = Duration::from_millis(10);
/// How long no event loop writes after that.
const REST: Duration = Duration::from_millis(500);
/// This many rows may come at once before they are a crowd; as those of clients who do not know of each other now and then do.
const AT_ONCE: u64 = 4;

/// The files of the last moments, shared, and whether rows may go there without the writer.
#[derive(Debug)]
pub(crate) struct Shortcut {
    recent: Mutex<Recent>,
    made: Instant,
    /// This and the next in microseconds after `made`.
    vouched_until: AtomicU64,
    rests_until: AtomicU64,
    /// When the last rows, whichever way they took, would have been through one [`BATCH_SPACING`] after the other.
    crowd_until: AtomicU64,
    is_closed: AtomicBool,
}

/// Why a row cannot go the short way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    /// Somebody writes there now, for some microseconds.
    Busy,
    /// Nobody vouches for the database, or the files cannot be written.
    Closed,
}

impl Shortcut {
    /// Closed until the writer vouches.
    pub(crate) fn new(recent: Recent) -> Self {
        Self {
            recent: Mutex::new(recent),
            made: Instant::now(),
            vouched_until: AtomicU64::default(),
            rests_until: AtomicU64::default(),
            crowd_until: AtomicU64::default(),
            is_closed: AtomicBool::default(),
        }
    }

    /// Writes open rows.
    ///
    /// They survive the end of the process, and must be handed to the writer before the guard is dropped: the writer frees a file when
    /// the database has what was handed over.
    pub(crate) fn note<'a>(
        &self,
        now: Instant,
        rows: impl IntoIterator<Item = (StreamId, &'a [u8])>,
    ) -> Result<MutexGuard<'_, Recent>, Missed> {
        let mut recent = self.recent.try_lock().map_err(|_| Missed::Busy)?;
        // Looked at under the lock, so that after the writer's end nothing is added to files that may be another gateway's.
        if !self.is_open(now) || !recent.append_open(rows) {
            return Err(Missed::Closed);
        }
        if now.elapsed() >= SLOW {
            self.rests_until.store(self.micros(now + REST), Ordering::Relaxed);
        }
        Ok(recent)
    }

    /// Whether this row is one of a crowd, so that it had better be written together with others. A crowd ends when fewer rows come again.
    pub(crate) fn is_in_crowd(&self, now: Instant) -> bool {
        let (now, spacing) = (self.micros(now), u64::from(BATCH_SPACING.subsec_micros()));
        let most = now + AT_ONCE * spacing;
        let before = self.crowd_until.update(Ordering::Relaxed, Ordering::Relaxed, |until| (until.max(now) + spacing).min(most));
        before + spacing > most
    }

    /// Whether rows may go this way now.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        let now = self.micros(now);
        let [vouched_until, rests_until] = [&self.vouched_until, &self.rests_until].map(|time| time.load(Ordering::Relaxed));
        (rests_until..vouched_until).contains(&now) && !self.is_closed.load(Ordering::Relaxed)
    }

    /// The database could be written at `looked`.
    pub(crate) fn vouch(&self, looked: Instant) {
        self.vouched_until.store(self.micros(looked + VOUCHED), Ordering::Relaxed);
    }

    /// Closes it for good, after a row that is being noted.
    pub(crate) fn close(&self) {
        let _recent = self.recent();
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// The files, for the writer. A panic cannot leave them half changed, so a poisoned lock is as good as any.
    pub(crate) fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.made).as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;

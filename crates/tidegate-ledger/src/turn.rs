//! Open rows of one turn of an event loop, written together.
//!
//! In a crowd, a write for each row costs too much, and to wake the writer's thread, which then wakes the loops, not much less. So whoever needs a
//! row adds it to those of its thread and lets the loop go round once, in which the others that are ready do the same. The first of them that
//! goes on writes all.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tidegate_core::id::StreamId;
use tokio::task;

use crate::entry::Entry;
use crate::queue::Queue;
use crate::reply::Answer;
use crate::row::{Span, Texts};
use crate::shortcut::{Missed, Shortcut};

/// For how many turns a row waits while the files are in use.
const PATIENCE: u32 = 16;

thread_local! {
    /// What the next row of this thread may join.
    static CURRENT: RefCell<Weak<Turn>> = const { RefCell::new(Weak::new()) };
}

/// The rows of one turn.
struct Turn {
    shortcut: Arc<Shortcut>,
    queue: Arc<Queue>,
    rows: Mutex<Rows>,
}

enum Rows {
    /// They will be written. `None`: that one took the long way.
    Waiting(Vec<Option<(StreamId, Span)>>, Texts),
    /// They are durable, and the writer has them by these numbers.
    Noted(Vec<i64>),
}

/// A stream whose row is one of a turn's.
///
/// Dropped, its client left. So that this is recorded, a row that is not durable yet takes the long way.
pub(crate) struct Seat {
    turn: Arc<Turn>,
    at: usize,
    /// Until it leaves.
    entry: Option<Entry>,
    deadline: Instant,
}

impl Seat {
    /// Adds a row to those of this thread's turn.
    pub(crate) fn take(shortcut: &Arc<Shortcut>, queue: &Arc<Queue>, entry: Entry, text: &[u8], deadline: Instant) -> Self {
        let id = entry.id();
        let (turn, at) = CURRENT.with_borrow_mut(|current| {
            if let Some(turn) = current.upgrade().filter(|turn| Arc::ptr_eq(&turn.shortcut, shortcut)) {
                let mut rows = turn.rows();
                if let Rows::Waiting(waiting, texts) = &mut *rows {
                    let at = waiting.len();
                    waiting.push(Some((id, texts.add(text))));
                    drop(rows);
                    return (turn, at);
                }
            }
            let mut texts = Texts::default();
            let rows = Mutex::new(Rows::Waiting(vec![Some((id, texts.add(text)))], texts));
            let turn = Arc::new(Turn { shortcut: Arc::clone(shortcut), queue: Arc::clone(queue), rows });
            *current = Arc::downgrade(&turn);
            (turn, 0)
        });
        Self { turn, at, entry: Some(entry), deadline }
    }

    /// Returns once the row is durable, or with the answer to wait for where it had to take the long way. `None`: the ledger is closed.
    pub(crate) async fn noted(mut self) -> Option<Result<Entry, Answer>> {
        for _ in 0..PATIENCE {
            task::yield_now().await;
            if self.turn.write(Instant::now()) != Err(Missed::Busy) {
                break;
            }
        }
        self.leave()
    }

    fn leave(&mut self) -> Option<Result<Entry, Answer>> {
        let mut entry = self.entry.take()?;
        match &mut *self.turn.rows() {
            Rows::Noted(numbers) => {
                entry.opened = numbers.get(self.at).copied();
                Some(Ok(entry))
            }
            Rows::Waiting(waiting, texts) => {
                let (_, text) = waiting.get_mut(self.at)?.take()?;
                self.turn.queue.open(entry, texts.get(text), self.deadline).map(Err)
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seat").field(&self.at).finish()
    }
}

impl Turn {
    /// Makes all of its rows durable, where that is not done.
    fn write(&self, now: Instant) -> Result<(), Missed> {
        let mut rows = self.rows();
        let Rows::Waiting(waiting, texts) = &*rows else { return Ok(()) };
        let noted = self.shortcut.note(now, waiting.iter().flatten().map(|(id, text)| (*id, texts.get(*text))))?;
        let numbers = self.queue.noted(waiting, texts).ok_or(Missed::Closed)?;
        drop(noted);
        *rows = Rows::Noted(numbers);
        Ok(())
    }

    /// A panic cannot leave them half changed, so a poisoned lock is as good as any.
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

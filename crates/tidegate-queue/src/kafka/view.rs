//! What one owner sees of its session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_core::id::SessionId;
use tokio::sync::Notify;

use super::entry::{Entry, Position};
use super::fold::{Effect, Fold};
use super::pointer::Pointer;
use super::trail::Trail;
use super::writer::Verdict;
use crate::error::QueueError;
use crate::log::Output;

/// How much is read ahead of an owner. The log keeps the rest.
const AHEAD: usize = 128;
const AHEAD_BYTES: usize = 256 * 1024;

/// One owner's view of its session: the log, read as it grows.
pub(super) struct View {
    pub(super) session: SessionId,
    pub(super) partition: i32,
    pub(super) fold: Fold,
    /// The owner's own; `None` until its first entry was read.
    pub(super) epoch: Option<i64>,
    /// While the past is read, the common reader leaves this view alone.
    pub(super) in_the_past: bool,
    /// The offset from which on it was not read yet.
    pub(super) next: i64,
    pub(super) outputs: Outputs,
    /// Without its [`Pointer::rest`].
    pub(super) pointer: Pointer,
    /// When it was written the last time.
    pointed: Instant,
    /// The last sign of life of the task's worker, or the last attempt to say that there was none.
    pub(super) heard: Instant,
    pub(super) changed: Arc<Notify>,
}

/// Outputs that the owner has not seen.
pub(super) struct Outputs {
    ready: VecDeque<(Position, Output)>,
    bytes: usize,
    /// From this offset on, outputs are not read ahead any more; and what was known of the session there.
    pub(super) skipped: Option<(i64, Fold)>,
    /// Of the last one in the log.
    pub(super) last: Position,
    pub(super) seen: Position,
    /// What was said in the session up to what was seen, and how much of that the client took.
    pub(super) said: u64,
    pub(super) taken: u64,
    /// How much was sent for the log to say of that.
    sent: u64,
}

impl Outputs {
    /// Of an owner that has seen everything up to here.
    pub(super) fn after(seen: Position) -> Self {
        Self { ready: VecDeque::new(), bytes: 0, skipped: None, last: seen, seen, said: 0, taken: 0, sent: 0 }
    }

    /// Where so much was said and taken before.
    pub(super) fn of_which(self, said: u64, taken: u64) -> Self {
        Self { said, taken, ..self }
    }

    /// The next one, which counts as seen from now on.
    pub(super) fn pop(&mut self) -> Option<Output> {
        let (position, output) = self.ready.pop_front()?;
        self.bytes -= size(&output);
        self.seen = position;
        self.said += output.weight();
        Some(output)
    }

    pub(super) fn has_room(&self) -> bool {
        self.ready.len() < AHEAD && self.bytes < AHEAD_BYTES
    }

    /// Takes what was skipped and read again, up to where more may have been skipped.
    pub(super) fn catch_up(&mut self, read: Self, next: (i64, Fold)) {
        self.skipped = (read.last < self.last).then_some(next);
        self.extend(read.ready);
    }

    pub(super) fn extend(&mut self, outputs: impl IntoIterator<Item = (Position, Output)>) {
        for (position, output) in outputs {
            self.bytes += size(&output);
            self.last = self.last.max(position);
            self.ready.push_back((position, output));
        }
    }
}

impl View {
    /// Of a session whose log is read from now on, or whose past is read first.
    pub(super) fn new(session: SessionId, partition: i32, pointer: Pointer, in_the_past: bool) -> Self {
        let now = Instant::now();
        Self {
            session,
            partition,
            fold: Fold::default(),
            epoch: None,
            in_the_past,
            next: 0,
            outputs: Outputs::after(Position::START),
            pointer,
            pointed: now,
            heard: now,
            changed: Arc::default(),
        }
    }

    /// Reads one entry. Whether it holds, and where; `None` if it was read before.
    pub(super) fn read(&mut self, offset: i64, time: i64, entry: Entry) -> Option<Verdict> {
        if offset < self.next {
            return None;
        }
        self.next = offset + 1;
        let verdict = self.apply(offset, time, entry);
        self.changed.notify_one();
        Some(verdict)
    }

    fn apply(&mut self, offset: i64, time: i64, entry: Entry) -> Verdict {
        let before = self.fold.clone();
        let effect = self.fold.apply(offset, time, &entry)?;
        if self.fold.task().and_then(|task| task.claim).is_some_and(|claim| claim.sign == time) {
            self.heard = Instant::now();
        }
        if let (Effect::Snapshot, Entry::Snapshot { seen, .. }) = (&effect, &entry) {
            // Outputs that the snapshot does not know of have to be read too.
            if self.outputs.last <= *seen {
                (self.pointer.trail, self.pointer.fold) = (Trail::default(), before.clone());
            }
        }
        self.pointer.trail.note(offset);
        let outputs = outputs(offset, effect, entry);
        // What was skipped and read again may reach further than the common reader.
        if let Some((position, _)) = outputs.last().filter(|(position, _)| *position > self.outputs.last) {
            if self.outputs.skipped.is_none() && !self.outputs.has_room() {
                self.outputs.skipped = Some((offset, before));
            }
            match self.outputs.skipped {
                Some(_) => self.outputs.last = *position,
                None => self.outputs.extend(outputs),
            }
        }
        Ok(offset)
    }

    /// Why its owner can do nothing any more.
    pub(super) fn lost(&self) -> Option<QueueError> {
        if self.fold.is_over() {
            return Some(QueueError::Gone);
        }
        (self.epoch.is_some() && self.fold.epoch() != self.epoch).then_some(QueueError::Fenced)
    }

    /// The claim whose worker has not been heard for this long, which is asked once in a while.
    pub(super) fn silent_claim(&mut self, lease: Duration) -> Option<i64> {
        let claim = self.fold.task()?.claim?;
        if self.in_the_past || self.heard.elapsed() < lease {
            return None;
        }
        // Where clocks or the way to the broker made it too early, it is said again.
        self.heard += lease / 5;
        Some(claim.id)
    }

    /// What has to be said of what the client took, once a worker may be waiting for it. `again`: what was sent may be lost.
    pub(super) fn untold(&mut self, window: u64, again: bool) -> Option<Entry> {
        let (_, in_the_log) = self.fold.said_and_taken();
        let told = if again { in_the_log } else { in_the_log.max(self.outputs.sent) };
        let taken = self.outputs.taken;
        if self.in_the_past || self.lost().is_some() || taken.saturating_sub(told) < window.div_ceil(2) {
            return None;
        }
        self.outputs.sent = taken;
        self.epoch.map(|epoch| Entry::Taken { epoch, taken })
    }

    /// Whether it is time to write the pointer again.
    pub(super) fn pointer_is_due(&self) -> bool {
        !self.in_the_past && self.lost().is_none() && self.pointed.elapsed() >= self.pointer.tenure.ttl / 3
    }

    /// The pointer, to be written; the view was read up to `read`.
    pub(super) fn pointer_at(&mut self, read: i64) -> Pointer {
        self.pointed = Instant::now();
        Pointer { rest: read, ..self.pointer.clone() }
    }
}

/// What an entry that holds tells the session's owner.
pub(super) fn outputs(offset: i64, effect: Effect, entry: Entry) -> Vec<(Position, Output)> {
    match (effect, entry) {
        (Effect::Pieces(task), Entry::Emit { pieces, .. }) => {
            let pieces = (0..).zip(pieces);
            pieces.map(|(part, piece)| (Position { offset, part }, Output::Piece { task, data: piece.data })).collect()
        }
        (Effect::Ended(task, end), _) => vec![(Position { offset, part: 0 }, Output::Ended { task, end })],
        _ => Vec::new(),
    }
}

fn size(output: &Output) -> usize {
    match output {
        Output::Piece { data, .. } => data.len(),
        Output::Ended { .. } => 0,
    }
}

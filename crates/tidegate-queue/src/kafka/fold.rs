//! What a session's log means: which entries hold, and what follows from them.
//!
//! Kafka refuses no write, so whoever reads the log decides, by the same rules and in the same order, and comes to the same answer: a writer
//! learns from its own reading whether its entry holds. Nothing else decides anything: who owns a session, who runs its task, how a task ended.
//!
//! A reader may begin anywhere. A [`Fold`] that has not read the beginning believes the first owner's entry that it meets, until it meets one
//! of a later owner, whose beginning it has not read either: then all that it believed came too late, and never held. Only
//! [`Entry::Submit`]s that held are ever looked for by workers, so what it believes wrongly until then changes nothing.

use std::cmp::Ordering;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tidegate_core::id::TaskId;

use super::entry::{Entry, Stamp, flag, put_task, task as get_task};
use crate::log::{End, weight};

/// A session, as far as its log was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fold {
    /// Of the owner. Offsets begin at 0, and the first entry is its owner's.
    epoch: Option<i64>,
    /// Of the owner's last entry that held.
    seq: u64,
    over: bool,
    task: Option<Task>,
    /// The last task that ended.
    last: Option<TaskId>,
    /// What was said, and taken by the client, in the measure of the window.
    said: u64,
    taken: u64,
}

/// The session's running or waiting task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) id: TaskId,
    /// The offset of its [`Entry::Submit`].
    pub(super) submitted: i64,
    /// How many workers have begun it.
    pub(super) attempts: u32,
    pub(super) claim: Option<Claim>,
    visible: bool,
    cancelled: bool,
}

/// A worker's right to run the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    /// The offset of its [`Entry::Claim`].
    pub(super) id: i64,
    /// The number of its emits so far.
    emits: u32,
    /// Its last sign of life, in the broker's milliseconds.
    pub(super) sign: i64,
}

/// What follows from an entry that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing more than what the fold remembers.
    None,
    /// Another owner than before.
    Owned,
    /// The owner wrote into its journal.
    Journal,
    /// The journal begins anew.
    Snapshot,
    /// There is a task to run: a new one, or one that nobody runs any more.
    Waiting,
    /// A worker runs it.
    Claimed,
    /// The task's worker is asked to end it.
    Cancelling,
    /// Outputs of the task.
    Pieces(TaskId),
    /// The task is over.
    Ended(TaskId, End),
    /// The session is over, and its task with it.
    Over,
}

/// Why an entry does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Another owner came before it.
    Fenced,
    /// The session is over.
    Gone,
    /// Its writer wrote later ones, or this one before.
    Repeated,
    /// The claim is not the task's, or not any more.
    Lost,
    /// The claim gave a sign of life in time.
    Alive,
}

/// A worker's grip on the task.
struct Held<'fold> {
    task: TaskId,
    claim: &'fold mut Claim,
    attempts: &'fold mut u32,
    visible: &'fold mut bool,
}

impl Fold {
    /// Reads the entry at `offset`, which the broker took at `time` (milliseconds).
    pub(super) fn apply(&mut self, offset: i64, time: i64, entry: &Entry) -> Result<Effect, Refusal> {
        if let Some(epoch) = entry.epoch().filter(|epoch| self.epoch < Some(*epoch)) {
            *self = Self { epoch: Some(epoch), said: self.said, taken: self.taken, ..Self::default() };
        }
        if self.over {
            return Err(Refusal::Gone);
        }
        match entry {
            Entry::Create if self.epoch.is_some() => Err(Refusal::Fenced),
            Entry::Create | Entry::Adopt => {
                (self.epoch, self.seq) = (Some(offset), 0);
                Ok(Effect::Owned)
            }
            Entry::Journal { stamp, .. } => self.by_owner(*stamp).map(|()| Effect::Journal),
            Entry::Snapshot { stamp, .. } => self.by_owner(*stamp).map(|()| Effect::Snapshot),
            Entry::Submit { stamp, task, said, taken, .. } => {
                self.by_owner(*stamp)?;
                // Whoever began to read later than the session learns here what was before.
                (self.said, self.taken) = (self.said.max(*said), self.taken.max(*taken));
                Ok(self.submit(offset, *task))
            }
            Entry::Cancel { stamp, task, .. } => {
                self.by_owner(*stamp)?;
                Ok(self.cancel(*task))
            }
            Entry::End { stamp } => {
                self.by_owner(*stamp)?;
                (self.over, self.task) = (true, None);
                Ok(Effect::Over)
            }
            Entry::Taken { epoch, taken } => {
                self.of_owner(*epoch)?;
                self.taken = self.taken.max(*taken);
                Ok(Effect::None)
            }
            Entry::Claim { submitted } => self.claim(*submitted, offset, time),
            Entry::Renew { claim } => {
                self.held(*claim)?.claim.sign = time;
                Ok(Effect::None)
            }
            Entry::Emit { claim, seq, pieces } => {
                let held = self.held(*claim)?;
                in_order(*seq, held.claim.emits)?;
                (held.claim.emits, held.claim.sign) = (held.claim.emits + 1, time);
                *held.visible |= pieces.iter().any(|piece| piece.visible);
                let effect = Effect::Pieces(held.task);
                self.said += pieces.iter().map(|piece| weight(&piece.data)).sum::<u64>();
                Ok(effect)
            }
            Entry::Settle { claim, seq, end, .. } => {
                in_order(*seq, self.held(*claim)?.claim.emits)?;
                Ok(self.end(End::Settled(end.clone())))
            }
            Entry::GiveBack { claim, begun, attempts } => {
                let held = self.held(*claim)?;
                if !begun {
                    *held.attempts -= 1;
                }
                Ok(self.recover(*attempts))
            }
            Entry::Expire { claim, lease_millis, attempts } => {
                let silent = time.saturating_sub(self.held(*claim)?.claim.sign);
                if u64::try_from(silent).unwrap_or(0) < *lease_millis {
                    return Err(Refusal::Alive);
                }
                Ok(self.recover(*attempts))
            }
        }
    }

    /// Whose session it is; `None` before its first entry.
    pub(super) fn epoch(&self) -> Option<i64> {
        self.epoch
    }

    /// The task that waits or runs.
    pub(super) fn task(&self) -> Option<&Task> {
        self.task.as_ref()
    }

    /// Whether this task is the last that ended.
    pub(super) fn ended_last(&self, task: TaskId) -> bool {
        self.last == Some(task)
    }

    /// Whether its running task was cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        self.task.as_ref().is_some_and(|task| task.cancelled)
    }

    /// What was said, and taken by the client, in the measure of the window.
    pub(super) fn said_and_taken(&self) -> (u64, u64) {
        (self.said, self.taken)
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    fn by_owner(&mut self, stamp: Stamp) -> Result<(), Refusal> {
        self.of_owner(stamp.epoch)?;
        if stamp.seq <= self.seq {
            return Err(Refusal::Repeated);
        }
        self.seq = stamp.seq;
        Ok(())
    }

    fn of_owner(&self, epoch: i64) -> Result<(), Refusal> {
        if self.epoch > Some(epoch) { Err(Refusal::Fenced) } else { Ok(()) }
    }

    /// The owner submits only where it knows of no other task. One that this fold still knows of never held.
    fn submit(&mut self, offset: i64, id: TaskId) -> Effect {
        if self.last == Some(id) || self.task.as_ref().is_some_and(|task| task.id == id) {
            return Effect::None;
        }
        self.task = Some(Task { id, submitted: offset, attempts: 0, claim: None, visible: false, cancelled: false });
        Effect::Waiting
    }

    fn cancel(&mut self, id: TaskId) -> Effect {
        match self.task.as_mut().filter(|task| task.id == id) {
            Some(task) if task.claim.is_some() => {
                task.cancelled = true;
                Effect::Cancelling
            }
            Some(_) => self.end(End::Cancelled),
            None => Effect::None,
        }
    }

    fn claim(&mut self, submitted: i64, offset: i64, time: i64) -> Result<Effect, Refusal> {
        match &mut self.task {
            Some(task) if task.submitted == submitted && task.claim.is_none() => {
                task.attempts += 1;
                task.claim = Some(Claim { id: offset, emits: 0, sign: time });
                Ok(Effect::Claimed)
            }
            _ => Err(Refusal::Lost),
        }
    }

    /// What a worker with this claim may change.
    fn held(&mut self, claim: i64) -> Result<Held<'_>, Refusal> {
        match &mut self.task {
            Some(Task { id, claim: Some(held), attempts, visible, .. }) if held.id == claim => {
                Ok(Held { task: *id, claim: held, attempts, visible })
            }
            _ => Err(Refusal::Lost),
        }
    }

    /// What becomes of a task whose worker is lost: the line.
    fn recover(&mut self, attempts: u32) -> Effect {
        let Some(task) = &mut self.task else { return Effect::None };
        if task.cancelled {
            self.end(End::Cancelled)
        } else if task.visible {
            self.end(End::Lost)
        } else if task.attempts >= attempts {
            self.end(End::GivenUp)
        } else {
            task.claim = None;
            Effect::Waiting
        }
    }

    fn end(&mut self, end: End) -> Effect {
        let Some(task) = self.task.take() else { return Effect::None };
        self.last = Some(task.id);
        Effect::Ended(task.id, end)
    }
}

/// Whether an entry is the next of its claim.
fn in_order(seq: u32, emits: u32) -> Result<(), Refusal> {
    match seq.cmp(&emits) {
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(Refusal::Repeated),
        // One before it never arrived: its writer gave that one up, and this one with it.
        Ordering::Greater => Err(Refusal::Lost),
    }
}

/// A fold's bytes, for the pointer from which another gateway reads on.
impl Fold {
    pub(super) fn put(&self, out: &mut BytesMut) {
        out.put_i64(self.epoch.unwrap_or(-1));
        out.put_u64(self.seq);
        out.put_u64(self.said);
        out.put_u64(self.taken);
        out.put_u8(self.last.is_some().into());
        self.last.iter().for_each(|last| put_task(out, *last));
        out.put_u8(self.task.is_some().into());
        self.task.iter().for_each(|task| task.put(out));
    }

    pub(super) fn get(value: &mut Bytes) -> Option<Self> {
        let epoch = Some(value.try_get_i64().ok()?).filter(|epoch| *epoch >= 0);
        let seq = value.try_get_u64().ok()?;
        let (said, taken) = (value.try_get_u64().ok()?, value.try_get_u64().ok()?);
        let last = if flag(value)? { Some(get_task(value)?) } else { None };
        let task = if flag(value)? { Some(Task::get(value)?) } else { None };
        Some(Self { epoch, seq, over: false, task, last, said, taken })
    }
}

impl Task {
    fn put(&self, out: &mut BytesMut) {
        put_task(out, self.id);
        out.put_i64(self.submitted);
        out.put_u32(self.attempts);
        out.put_u8(self.visible.into());
        out.put_u8(self.cancelled.into());
        out.put_u8(self.claim.is_some().into());
        if let Some(claim) = &self.claim {
            out.put_i64(claim.id);
            out.put_u32(claim.emits);
            out.put_i64(claim.sign);
        }
    }

    fn get(value: &mut Bytes) -> Option<Self> {
        let (id, submitted, attempts) = (get_task(value)?, value.try_get_i64().ok()?, value.try_get_u32().ok()?);
        let (visible, cancelled) = (flag(value)?, flag(value)?);
        let claim = match flag(value)? {
            true => Some(Claim { id: value.try_get_i64().ok()?, emits: value.try_get_u32().ok()?, sign: value.try_get_i64().ok()? }),
            false => None,
        };
        Some(Self { id, submitted, attempts, claim, visible, cancelled })
    }
}

#[cfg(test)]
mod tests;

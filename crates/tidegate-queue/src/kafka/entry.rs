//! What stands in the log, and its bytes.
//!
//! A record's key is the session's id as text. Its value begins with a [`Mark`] and the entry's kind. Numbers are big-endian; the last of an
//! entry's byte strings goes to the end of the value.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tidegate_core::id::TaskId;

use crate::lease::Piece;

/// Who wrote an entry, and which of its writer's entries it is. By it a writer finds its own entry when it reads the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mark {
    /// A random number for each writer.
    pub(super) writer: u64,
    pub(super) number: u64,
}

/// By which right an owner writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The offset of the [`Entry::Create`] or [`Entry::Adopt`] that made it the owner. So a later owner's is higher.
    pub(super) epoch: i64,
    /// Grows with each of its entries. One that arrives after its successors is refused.
    pub(super) seq: u64,
}

/// How far an owner has read the outputs: up to this part of the entry at this offset. The order of these is that of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) offset: i64,
    /// Which piece of an [`Entry::Emit`]; 0 for everything else.
    pub(super) part: u32,
}

impl Position {
    /// Before everything.
    pub(super) const START: Self = Self { offset: -1, part: 0 };
}

/// One entry of a session's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Create,
    Adopt,
    Journal {
        stamp: Stamp,
        seen: Position,
        entries: Vec<Bytes>,
    },
    Snapshot {
        stamp: Stamp,
        seen: Position,
        state: Bytes,
    },
    /// With what was said in the session until here, and taken by its client; and with the session's holder, for who reads of it much later.
    Submit {
        stamp: Stamp,
        task: TaskId,
        said: u64,
        taken: u64,
        holder: Bytes,
    },
    Cancel {
        stamp: Stamp,
        task: TaskId,
        why: Bytes,
    },
    End {
        stamp: Stamp,
    },
    /// The owner's client has taken so much of all that was said. Later ones say more, so it is no matter when one arrives.
    Taken {
        epoch: i64,
        taken: u64,
    },
    /// A worker begins the task that was submitted at this offset.
    Claim {
        submitted: i64,
    },
    /// The worker with the claim at this offset says something. `seq` counts its emits.
    Emit {
        claim: i64,
        seq: u32,
        pieces: Vec<Piece>,
    },
    /// `seq` is the number of its emits.
    Settle {
        claim: i64,
        seq: u32,
        end: Bytes,
        memo: Bytes,
    },
    /// It still runs.
    Renew {
        claim: i64,
    },
    /// It doesn't. `begun`: the attempt counts.
    GiveBack {
        claim: i64,
        begun: bool,
        attempts: u32,
    },
    /// Somebody thinks that it gave no sign of life for this long.
    Expire {
        claim: i64,
        lease_millis: u64,
        attempts: u32,
    },
}

impl Entry {
    /// Of the owner that wrote it; `None` for what makes an owner, and for what workers write.
    pub(super) fn epoch(&self) -> Option<i64> {
        match self {
            Self::Journal { stamp, .. }
            | Self::Snapshot { stamp, .. }
            | Self::Submit { stamp, .. }
            | Self::Cancel { stamp, .. }
            | Self::End { stamp } => Some(stamp.epoch),
            Self::Taken { epoch, .. } => Some(*epoch),
            _ => None,
        }
    }
}

/// A record's value.
pub(super) fn encode(mark: Mark, entry: &Entry) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    out.put_u64(mark.writer);
    out.put_u64(mark.number);
    out.put_u8(kind(entry));
    match entry {
        Entry::Create | Entry::Adopt => {}
        Entry::Journal { stamp, seen, entries } => {
            put_stamp(&mut out, *stamp);
            put_position(&mut out, *seen);
            entries.iter().for_each(|entry| put_bytes(&mut out, entry));
        }
        Entry::Snapshot { stamp, seen, state } => {
            put_stamp(&mut out, *stamp);
            put_position(&mut out, *seen);
            out.put_slice(state);
        }
        Entry::Submit { stamp, task, said, taken, holder } => {
            put_stamp(&mut out, *stamp);
            put_task(&mut out, *task);
            out.put_u64(*said);
            out.put_u64(*taken);
            out.put_slice(holder);
        }
        Entry::Cancel { stamp, task, why } => {
            put_stamp(&mut out, *stamp);
            put_task(&mut out, *task);
            out.put_slice(why);
        }
        Entry::End { stamp } => put_stamp(&mut out, *stamp),
        Entry::Taken { epoch, taken } => {
            out.put_i64(*epoch);
            out.put_u64(*taken);
        }
        Entry::Claim { submitted: offset } | Entry::Renew { claim: offset } => out.put_i64(*offset),
        Entry::Emit { claim, seq, pieces } => {
            out.put_i64(*claim);
            out.put_u32(*seq);
            for piece in pieces {
                out.put_u8(piece.visible.into());
                put_bytes(&mut out, &piece.data);
            }
        }
        Entry::Settle { claim, seq, end, memo } => {
            out.put_i64(*claim);
            out.put_u32(*seq);
            put_bytes(&mut out, end);
            out.put_slice(memo);
        }
        Entry::GiveBack { claim, begun, attempts } => {
            out.put_i64(*claim);
            out.put_u8((*begun).into());
            out.put_u32(*attempts);
        }
        Entry::Expire { claim, lease_millis, attempts } => {
            out.put_i64(*claim);
            out.put_u64(*lease_millis);
            out.put_u32(*attempts);
        }
    }
    out.freeze()
}

/// Reads what [`encode`] wrote. `None` for anything else: of a later version, or not ours.
pub(super) fn decode(value: &[u8]) -> Option<(Mark, Entry)> {
    let mut value = Bytes::copy_from_slice(value);
    let value = &mut value;
    let mark = Mark { writer: value.try_get_u64().ok()?, number: value.try_get_u64().ok()? };
    let entry = match value.try_get_u8().ok()? {
        1 => Entry::Create,
        2 => Entry::Adopt,
        3 => Entry::Journal { stamp: stamp(value)?, seen: position(value)?, entries: all(value, bytes)? },
        4 => Entry::Snapshot { stamp: stamp(value)?, seen: position(value)?, state: rest(value) },
        5 => {
            let (stamp, task) = (stamp(value)?, task(value)?);
            Entry::Submit { stamp, task, said: value.try_get_u64().ok()?, taken: value.try_get_u64().ok()?, holder: rest(value) }
        }
        6 => Entry::Cancel { stamp: stamp(value)?, task: task(value)?, why: rest(value) },
        7 => Entry::End { stamp: stamp(value)? },
        8 => Entry::Claim { submitted: value.try_get_i64().ok()? },
        9 => Entry::Emit { claim: value.try_get_i64().ok()?, seq: value.try_get_u32().ok()?, pieces: all(value, piece)? },
        10 => {
            let (claim, seq, end) = (value.try_get_i64().ok()?, value.try_get_u32().ok()?, bytes(value)?);
            Entry::Settle { claim, seq, end, memo: rest(value) }
        }
        11 => Entry::Renew { claim: value.try_get_i64().ok()? },
        12 => Entry::GiveBack { claim: value.try_get_i64().ok()?, begun: flag(value)?, attempts: value.try_get_u32().ok()? },
        13 => {
            Entry::Expire { claim: value.try_get_i64().ok()?, lease_millis: value.try_get_u64().ok()?, attempts: value.try_get_u32().ok()? }
        }
        14 => Entry::Taken { epoch: value.try_get_i64().ok()?, taken: value.try_get_u64().ok()? },
        _ => return None,
    };
    value.is_empty().then_some((mark, entry))
}

fn kind(entry: &Entry) -> u8 {
    match entry {
        Entry::Create => 1,
        Entry::Adopt => 2,
        Entry::Journal { .. } => 3,
        Entry::Snapshot { .. } => 4,
        Entry::Submit { .. } => 5,
        Entry::Cancel { .. } => 6,
        Entry::End { .. } => 7,
        Entry::Claim { .. } => 8,
        Entry::Emit { .. } => 9,
        Entry::Settle { .. } => 10,
        Entry::Renew { .. } => 11,
        Entry::GiveBack { .. } => 12,
        Entry::Expire { .. } => 13,
        Entry::Taken { .. } => 14,
    }
}

fn put_stamp(out: &mut BytesMut, stamp: Stamp) {
    out.put_i64(stamp.epoch);
    out.put_u64(stamp.seq);
}

fn stamp(value: &mut Bytes) -> Option<Stamp> {
    Some(Stamp { epoch: value.try_get_i64().ok()?, seq: value.try_get_u64().ok()? })
}

fn put_position(out: &mut BytesMut, position: Position) {
    out.put_i64(position.offset);
    out.put_u32(position.part);
}

fn position(value: &mut Bytes) -> Option<Position> {
    Some(Position { offset: value.try_get_i64().ok()?, part: value.try_get_u32().ok()? })
}

/// A task's id, which the pointers and task records hold too.
pub(super) fn put_task(out: &mut BytesMut, task: TaskId) {
    out.put_u128(task.number());
}

pub(super) fn task(value: &mut Bytes) -> Option<TaskId> {
    let number = value.try_get_u128().ok()?;
    let millis = u64::try_from(number >> 80).ok()?;
    Some(TaskId::new(millis, number))
}

pub(super) fn flag(value: &mut Bytes) -> Option<bool> {
    Some(value.try_get_u8().ok()? != 0)
}

fn piece(value: &mut Bytes) -> Option<Piece> {
    Some(Piece { visible: flag(value)?, data: bytes(value)? })
}

/// Whoever calls this bounds what it writes far below 4 GiB: the broker refuses a record of more than 16 MiB.
pub(super) fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

pub(super) fn bytes(value: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(value.try_get_u32().ok()?).ok()?;
    (length <= value.len()).then(|| value.split_to(length))
}

fn all<T>(value: &mut Bytes, one: fn(&mut Bytes) -> Option<T>) -> Option<Vec<T>> {
    let mut all = Vec::new();
    while !value.is_empty() {
        all.push(one(value)?);
    }
    Some(all)
}

pub(super) fn rest(value: &mut Bytes) -> Bytes {
    value.split_to(value.len())
}

#[cfg(test)]
mod tests;

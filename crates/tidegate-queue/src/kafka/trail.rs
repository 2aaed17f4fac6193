//! Where a session's entries stand.

use std::ops::Range;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// So many entries of others are read rather than left out: that is quicker than asking for another place.
const WORTH_LEAVING_OUT: i64 = 2_000;

/// How many stretches are told apart.
const MOST: usize = 16;

/// The stretches of a partition in which a session's entries stand. What lies between them is others', and whoever wants to know the session
/// needn't read it: one that is hours old may have said something in a few minutes of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Trail(Vec<Range<i64>>);

impl Trail {
    /// There is an entry at `offset`, and none between it and the one before.
    pub(super) fn note(&mut self, offset: i64) {
        match self.0.last_mut() {
            Some(last) if offset < last.end => {}
            Some(last) if offset - last.end < WORTH_LEAVING_OUT => last.end = offset + 1,
            _ => self.0.push(offset..offset + 1),
        }
        if self.0.len() > MOST {
            self.join_the_closest();
        }
    }

    /// The first entry's offset; `None`: there is no entry.
    pub(super) fn begin(&self) -> Option<i64> {
        self.0.first().map(|first| first.start)
    }

    /// From where to read on after everything before `next`, if nothing is known of what begins at `rest`.
    pub(super) fn onward(&self, next: i64, rest: i64) -> i64 {
        let to = self.0.iter().find(|stretch| stretch.end > next).map_or(rest, |stretch| stretch.start);
        if to - next < WORTH_LEAVING_OUT { next } else { to }
    }

    fn join_the_closest(&mut self) {
        let gap = |place: &usize| self.0[place + 1].start - self.0[*place].end;
        if let Some(place) = (0..self.0.len() - 1).min_by_key(gap) {
            let second = self.0.remove(place + 1);
            self.0[place].end = second.end;
        }
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        // There are at most sixteen.
        out.put_u8(u8::try_from(self.0.len()).unwrap_or(u8::MAX));
        for stretch in &self.0 {
            out.put_i64(stretch.start);
            out.put_i64(stretch.end);
        }
    }

    pub(super) fn get(value: &mut Bytes) -> Option<Self> {
        let stretches = (0..value.try_get_u8().ok()?).map(|_| Some(value.try_get_i64().ok()?..value.try_get_i64().ok()?));
        stretches.collect::<Option<Vec<_>>>().map(Self)
    }
}

#[cfg(test)]
mod tests;

//! What a worker knows: the tasks in its partitions, and what the log says about them.
//!
//! A worker of the group reads the task records of its partitions, and beside each of them the log's partition of the same number, from the
//! first task that is not settled. It commits only what is settled, so whoever has the partition next finds the rest.
//!
//! Who reads a task's record may claim it, and the log says who was first. So a worker that waits in vain also *borrows*: it reads
//! partitions of others where tasks wait, because their worker has enough to do. And one whose partition was taken away goes on with the
//! tasks that it runs.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tidegate_core::id::SessionId;
use tokio::sync::{oneshot, watch};

use super::depth::Progress;
use super::entry::Entry;
use super::fold::{Effect, Fold, Refusal};
use super::lease::Lease;
use super::record::TaskRecord;
use super::tail::Line;
use super::writer::Writer;
use crate::flow::Flow;
use crate::lease::Stop;
use crate::settings::Settings;

/// From where a partition's task records come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The group gave it to this worker, which commits.
    Assigned,
    /// It is another's, with more to do than that one does.
    Borrowed,
    /// From nowhere any more: tasks of it run here.
    Left,
}

/// What a worker knows.
#[derive(Default)]
pub(super) struct Known {
    pub(super) partitions: HashMap<i32, Partition>,
    sessions: HashMap<SessionId, Session>,
    /// Who waits for a lease, longest first.
    pub(super) askers: VecDeque<oneshot::Sender<Lease>>,
    /// Claims that were written and not read yet.
    pub(super) claiming: usize,
    /// [`Settings::window`].
    window: u64,
}

/// A partition of tasks, and of the log beside it.
pub(super) struct Partition {
    pub(super) source: Source,
    /// How far the log is read, once there was a task.
    pub(super) log: Option<LogRange>,
    /// From where the log has to be read again, because it was not read from some task's beginning.
    pub(super) rewind: Option<i64>,
    /// Those that are not settled, by their offset.
    pub(super) records: BTreeMap<i64, Held>,
    /// The offset of the next record.
    pub(super) next: Option<i64>,
    /// What was committed the last time.
    pub(super) committed: Option<(i64, Progress)>,
    /// When there was something to do the last time.
    pub(super) used: Instant,
}

/// Which part of a log's partition is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogRange {
    pub(super) from: i64,
    pub(super) next: i64,
    /// Where the log ended when its reading began: before, what waits may be over.
    pub(super) present: i64,
}

/// A task that is not settled.
pub(super) struct Held {
    pub(super) task: TaskRecord,
    /// When its record was read.
    since: Instant,
    /// This worker's claim is on its way.
    claiming: bool,
}

/// A session with such a task.
struct Session {
    partition: i32,
    fold: Fold,
    /// The last sign of life of the task's worker, or the last attempt to say that there was none.
    heard: Instant,
    /// When this worker sent its own the last time.
    renewed: Instant,
    /// Leases of this process, by their claims.
    leases: Vec<(i64, Arc<Grip>)>,
}

/// What a lease is told.
#[derive(Debug)]
pub(super) struct Grip {
    pub(super) stop: watch::Sender<Option<Stop>>,
    pub(super) flow: watch::Sender<Flow>,
    /// Its own end stands in the log.
    pub(super) settled: AtomicBool,
}

/// What an entry of the log means for the worker.
pub(super) enum News {
    None,
    /// There may be something to run, or to commit.
    Changed,
    /// A claim of this process holds that nobody waits for any more.
    Unwanted {
        partition: i32,
        session: SessionId,
        claim: i64,
    },
}

impl Known {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { window: settings.window, ..Self::default() }
    }

    /// A task's record was read. Whether the log has to be read again for it.
    pub(super) fn add(&mut self, partition: i32, offset: i64, task: TaskRecord) -> bool {
        let Some(known) = self.partitions.get_mut(&partition) else { return false };
        known.next = known.next.max(Some(offset + 1));
        known.used = Instant::now();
        let (session, submitted) = (task.session, task.submitted);
        known.records.entry(offset).or_insert(Held { task, since: Instant::now(), claiming: false });
        if known.log.is_none_or(|log| submitted < log.from) {
            known.rewind = Some(known.rewind.map_or(submitted, |rewind| rewind.min(submitted)));
            return true;
        }
        self.settle(partition, session);
        false
    }

    /// Partitions of which the log has to be read again.
    pub(super) fn rewinds(&self) -> Vec<i32> {
        self.partitions.iter().filter(|(_, partition)| partition.rewind.is_some()).map(|(number, _)| *number).collect()
    }

    /// A partition's log ended at `end` a moment ago, and is going to be read again: from here. Whether it was read before.
    pub(super) fn rewind(&mut self, partition: i32, end: i64) -> Option<(i64, bool)> {
        let known = self.partitions.get_mut(&partition)?;
        let from = known.rewind.take()?;
        let before = known.log.replace(LogRange { from, next: from, present: known.log.map_or(end, |log| log.next.max(end)) });
        for session in self.sessions.values_mut().filter(|session| session.partition == partition) {
            session.fold = Fold::default();
        }
        Some((from, before.is_some()))
    }

    /// Reads an entry of the log.
    pub(super) fn read(&mut self, line: Line, writer: &Writer) -> News {
        let known = self.partitions.get_mut(&line.partition).filter(|partition| partition.rewind.is_none());
        let Some(log) = known.and_then(|partition| partition.log.as_mut()) else { return News::None };
        log.next = line.offset + 1;
        let Some((session, mark, entry)) = line.what else { return News::None };
        if matches!(entry, Entry::Submit { .. }) {
            self.sessions.entry(session).or_insert_with(|| Session::of(line.partition));
        }
        let Some(known) = self.sessions.get_mut(&session) else {
            writer.came_by(mark, Err(Refusal::Lost));
            return News::None;
        };
        let effect = known.fold.apply(line.offset, line.time, &entry);
        let ours = effect == Ok(Effect::Claimed) && writer.wrote(mark) && known.grip(line.offset).is_none();
        if ours {
            known.leases.push((line.offset, Arc::new(Grip::new(self.window))));
        }
        known.note_sign(line.time);
        known.tell_flow();
        known.tell_leases(line.offset, &entry);
        let wanted = writer.came_by(mark, effect.map(|_| line.offset));
        if ours && !wanted {
            known.leases.retain(|(claim, _)| *claim != line.offset);
        }
        if known.fold.task().is_none() && known.leases.is_empty() {
            self.sessions.remove(&session);
        }
        match entry {
            // They change nothing about which task there is, and most entries are these.
            Entry::Emit { .. } | Entry::Renew { .. } | Entry::Journal { .. } | Entry::Snapshot { .. } | Entry::Taken { .. } => News::None,
            _ if ours && !wanted => News::Unwanted { partition: line.partition, session, claim: line.offset },
            _ => {
                self.settle(line.partition, session);
                News::Changed
            }
        }
    }

    /// The task that has waited longest here, for which a claim is to be written.
    pub(super) fn take(&mut self) -> Option<(i32, i64, TaskRecord)> {
        let mut oldest: Option<(Instant, i32, i64)> = None;
        for (number, partition) in &self.partitions {
            let Some(log) = partition.log.filter(|log| partition.rewind.is_none() && log.next >= log.present) else { continue };
            let mut waiting = partition.records.iter().filter(|(_, held)| {
                let task = self.sessions.get(&held.task.session).and_then(|session| session.fold.task());
                let waits = task.is_some_and(|task| task.submitted == held.task.submitted && task.claim.is_none());
                log.next > held.task.submitted && waits && !held.claiming
            });
            if let Some((offset, held)) = waiting.next() {
                let first = (held.since, *number, *offset);
                oldest = Some(oldest.map_or(first, |oldest| oldest.min(first)));
            }
        }
        let (_, partition, offset) = oldest?;
        let held = self.partitions.get_mut(&partition)?.records.get_mut(&offset)?;
        held.claiming = true;
        self.claiming += 1;
        Some((partition, offset, held.task.clone()))
    }

    /// The session of a task that was taken is nobody's any more: nobody would read the answer.
    pub(super) fn drop_record(&mut self, partition: i32, offset: i64) {
        if let Some(known) = self.partitions.get_mut(&partition) {
            known.records.remove(&offset);
        }
    }

    /// What became of a claim was read, or not in time: the lease's grip, if it holds.
    pub(super) fn claimed(&mut self, partition: i32, offset: i64, session: SessionId, claim: Option<i64>) -> Option<(Arc<Grip>, u32)> {
        self.claiming -= 1;
        if let Some(held) = self.partitions.get_mut(&partition).and_then(|partition| partition.records.get_mut(&offset)) {
            held.claiming = false;
        }
        let known = self.sessions.get(&session)?;
        let attempt = known.fold.task().map_or(1, |task| task.attempts);
        known.grip(claim?).map(|grip| (Arc::clone(grip), attempt))
    }

    /// What has to be said by now: that leases of this process live, and that others don't.
    pub(super) fn due(&mut self, settings: &Settings, lives: impl Fn(SessionId) -> bool) -> Vec<(i32, SessionId, Entry)> {
        let mut due = Vec::new();
        for (id, session) in &mut self.sessions {
            let Some(claim) = session.fold.task().and_then(|task| task.claim) else { continue };
            let silent = session.heard.elapsed();
            match session.grip(claim.id) {
                // Somebody else may have it by now, or nobody would read what is said.
                Some(_) if silent > settings.lease || !lives(*id) => session.lose(claim.id),
                Some(_) if silent.min(session.renewed.elapsed()) >= settings.lease / 3 => {
                    session.renewed = Instant::now();
                    due.push((session.partition, *id, Entry::Renew { claim: claim.id }));
                }
                None if silent >= settings.lease => {
                    // Where clocks or the way to the broker made it too early, it is said again.
                    session.heard += settings.lease / 5;
                    due.push((session.partition, *id, settings.expiry(claim.id)));
                }
                _ => {}
            }
        }
        due
    }

    /// Offsets to commit, where they have changed.
    pub(super) fn progress(&mut self) -> Vec<(i32, i64, Progress)> {
        let mut changed = Vec::new();
        for (number, partition) in self.partitions.iter_mut().filter(|(_, partition)| partition.source == Source::Assigned) {
            let Some(read) = partition.next else { continue };
            let running = |held: &&Held| {
                let task = self.sessions.get(&held.task.session).and_then(|session| session.fold.task());
                task.is_some_and(|task| task.submitted == held.task.submitted && task.claim.is_some())
            };
            let running = count(partition.records.values().filter(running).count());
            let waiting = count(partition.records.len()) - running;
            let from = partition.records.keys().next().map_or(read, |first| read.min(*first));
            let now = (from, Progress { waiting, running, read });
            if partition.committed != Some(now) {
                partition.committed = Some(now);
                changed.push((*number, now.0, now.1));
            }
        }
        changed
    }

    /// How many tasks wait here for somebody who asks, and how large they are.
    pub(super) fn ahead(&self) -> (usize, usize) {
        let waits = |held: &&Held| {
            let task = self.sessions.get(&held.task.session).and_then(|session| session.fold.task());
            task.is_none_or(|task| task.claim.is_none())
        };
        let waiting = self.partitions.values().flat_map(|partition| partition.records.values()).filter(waits);
        waiting.fold((0, 0), |(count, bytes), held| (count + 1, bytes + held.task.payload.len()))
    }

    /// What was committed of these partitions did not arrive.
    pub(super) fn not_committed(&mut self, partitions: impl Iterator<Item = i32>) {
        for number in partitions {
            if let Some(partition) = self.partitions.get_mut(&number) {
                partition.committed = None;
            }
        }
    }

    /// Whether leases of this process are in this partition.
    pub(super) fn runs_in(&self, partition: i32) -> bool {
        self.sessions.values().any(|session| session.partition == partition && !session.leases.is_empty())
    }

    /// Nothing is read of this partition any more. Whether its log was.
    pub(super) fn forget(&mut self, partition: i32) -> bool {
        self.sessions.retain(|_, session| session.partition != partition);
        self.partitions.remove(&partition).is_some_and(|partition| partition.log.is_some())
    }

    /// Lets go of a lease, which was settled, given back or lost.
    pub(super) fn let_go(&mut self, session: SessionId, claim: i64) {
        if let Some(known) = self.sessions.get_mut(&session) {
            known.leases.retain(|(id, _)| *id != claim);
        }
    }

    /// Forgets the records of a session whose tasks are over, as far as the log was read.
    fn settle(&mut self, partition: i32, session: SessionId) {
        let submitted = self.sessions.get(&session).and_then(|session| session.fold.task()).map(|task| task.submitted);
        let Some(known) = self.partitions.get_mut(&partition) else { return };
        let Some(log) = known.log else { return };
        known.records.retain(|_, held| {
            let task = &held.task;
            task.session != session || log.next <= task.submitted || submitted == Some(task.submitted)
        });
    }
}

impl Grip {
    fn new(window: u64) -> Self {
        Self { stop: watch::Sender::default(), flow: watch::Sender::new(Flow::new(0, 0, window)), settled: AtomicBool::default() }
    }
}

impl Partition {
    pub(super) fn new(source: Source) -> Self {
        Self { source, log: None, rewind: None, records: BTreeMap::new(), next: None, committed: None, used: Instant::now() }
    }
}

impl Session {
    fn of(partition: i32) -> Self {
        let now = Instant::now();
        Self { partition, fold: Fold::default(), heard: now, renewed: now, leases: Vec::new() }
    }

    fn grip(&self, claim: i64) -> Option<&Arc<Grip>> {
        self.leases.iter().find(|(id, _)| *id == claim).map(|(_, grip)| grip)
    }

    fn note_sign(&mut self, time: i64) {
        if self.fold.task().and_then(|task| task.claim).is_some_and(|claim| claim.sign == time) {
            self.heard = Instant::now();
        }
    }

    /// Tells the leases how far they are ahead of the client.
    fn tell_flow(&self) {
        let (said, taken) = self.fold.said_and_taken();
        for (_, grip) in &self.leases {
            grip.flow.send_modify(|flow| flow.learn(said, taken));
        }
    }

    /// Tells the leases what an entry means for them.
    fn tell_leases(&mut self, offset: i64, entry: &Entry) {
        let current = self.fold.task().and_then(|task| task.claim).map(|claim| claim.id);
        self.leases.retain(|(claim, grip)| {
            // What is read again was before the claim.
            if offset < *claim || current == Some(*claim) {
                if let Entry::Cancel { why, .. } = entry
                    && self.fold.is_cancelled()
                {
                    grip.stop.send_if_modified(|stop| stop.is_none() && stop.replace(Stop::Cancelled(why.clone())).is_none());
                }
                return true;
            }
            match entry {
                Entry::Settle { claim: of, .. } if of == claim => grip.settled.store(true, Ordering::Relaxed),
                _ => drop(grip.stop.send_replace(Some(Stop::Lost))),
            }
            false
        });
    }

    fn lose(&mut self, claim: i64) {
        for (_, grip) in self.leases.extract_if(.., |(id, _)| *id == claim) {
            grip.stop.send_replace(Some(Stop::Lost));
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

//! The sessions that this process owns, and the one reader that reads for all of them.

use std::collections::hash_map::Entry as Place;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use tidegate_core::id::SessionId;
use tracing::{debug, warn};

use super::cluster::Cluster;
use super::entry::{Entry, Position};
use super::lock;
use super::past::History;
use super::pointer::{Pointer, Pointers};
use super::scan::Scans;
use super::tail::{Line, Tail};
use super::view::{Outputs, View, outputs};
use super::writer::Writer;
use crate::error::QueueError;
use crate::log::Past;
use crate::settings::Settings;

/// How often partitions without a session are left.
const SWEEP: Duration = Duration::from_secs(30);

/// The sessions that this process owns.
pub(super) struct Sessions {
    pub(super) cluster: Arc<Cluster>,
    pub(super) pointers: Arc<Pointers>,
    pub(super) writer: Writer,
    pub(super) settings: Settings,
    tail: Tail,
    scans: Scans,
    views: Mutex<Views>,
    next_view: AtomicU64,
}

#[derive(Default)]
struct Views {
    /// Several of one session, where one process adopts what it owns.
    all: HashMap<SessionId, Vec<(u64, View)>>,
    /// The partitions that are read, with the offset of the next entry.
    read: HashMap<i32, i64>,
}

/// Which view of which session.
#[derive(Debug, Clone, Copy)]
pub(super) struct ViewId {
    pub(super) session: SessionId,
    pub(super) partition: i32,
    number: u64,
}

impl Sessions {
    pub(super) fn new(cluster: Arc<Cluster>, pointers: Arc<Pointers>, settings: Settings) -> Result<Self, KafkaError> {
        Ok(Self {
            writer: Writer::new(Arc::clone(&cluster)),
            tail: Tail::new(&cluster)?,
            scans: Scans::new(Arc::clone(&cluster)),
            cluster,
            pointers,
            settings,
            views: Mutex::default(),
            next_view: AtomicU64::new(0),
        })
    }

    /// Reads for all of them, for as long as it isn't dropped.
    pub(super) async fn keep_reading(self: Arc<Self>) {
        loop {
            let line = self.tail.next().await;
            self.note(line);
        }
    }

    /// Begins to read somewhere: a reader's first partition takes longest, with connections and all.
    pub(super) async fn warm_up(self: Arc<Self>) {
        let warm = async || {
            self.cluster.partitions().await?;
            self.follow(0).await
        };
        while let Err(error) = warm().await {
            debug!(%error, "the log is not read yet");
        }
    }

    /// Keeps the sessions from being forgotten, and finds tasks whose worker is lost. Runs until it is dropped.
    pub(super) async fn keep_house(self: Arc<Self>) {
        let mut swept = Instant::now();
        loop {
            tokio::time::sleep((self.settings.lease / 10).clamp(Duration::from_millis(20), Duration::from_secs(1))).await;
            for (partition, session, entry) in self.look_after_all() {
                self.writer.send(partition, session, &entry);
            }
            if swept.elapsed() > SWEEP {
                swept = Instant::now();
                self.leave_partitions();
            }
        }
    }

    /// Writes the pointers that are due. What the log has to say: that a worker seems to be lost, and what a client took.
    fn look_after_all(&self) -> Vec<(i32, SessionId, Entry)> {
        let mut due = Vec::new();
        let views = &mut *lock(&self.views);
        for (_, view) in views.all.values_mut().flatten() {
            let lost = view.silent_claim(self.settings.lease).map(|claim| self.settings.expiry(claim));
            let untold = view.untold(self.settings.window, true);
            due.extend(lost.into_iter().chain(untold).map(|entry| (view.partition, view.session, entry)));
            if view.pointer_is_due() {
                let pointer = view.pointer_at(views.read.get(&view.partition).copied().unwrap_or(0));
                self.pointers.send(view.partition, view.session, &pointer);
            }
        }
        due
    }

    /// Reads an adopted session's past, up to the heir's own entry, which is at `epoch`, and everything since. `None`: the log does not go
    /// back so far, or the session was over.
    pub(super) async fn catch_up(&self, id: ViewId, epoch: i64) -> Result<Option<(Past, i64)>, QueueError> {
        let Some(mut found) = self.with(id, |view| view.pointer.clone()) else { return Ok(None) };
        let (mut history, mut fold) = (History::default(), found.fold.clone());
        let mut scan = self.scans.begin(id.partition, found.trail.begin().unwrap_or(found.rest)).await?;
        let taken = loop {
            scan.go_to(found.trail.onward(scan.next, found.rest))?;
            let Some(line) = scan.read().await? else {
                warn!(session = %id.session, "the session's log was deleted before its time");
                return Ok(None);
            };
            let Some((offset, time, entry)) = line.of(id.session) else { continue };
            let Ok(effect) = fold.apply(offset, time, &entry) else {
                if offset == epoch {
                    return Ok(None);
                }
                continue;
            };
            found.trail.note(offset);
            match entry {
                Entry::Journal { seen, entries, .. } => history.journal(seen, entries),
                Entry::Snapshot { seen, state, .. } => history.snapshot(seen, state),
                entry => history.outputs(outputs(offset, effect, entry)),
            }
            if offset == epoch {
                break time;
            }
        };
        self.with(id, |view| {
            let silent = fold.task().and_then(|task| task.claim).map_or(0, |claim| taken.saturating_sub(claim.sign));
            let silent = Duration::from_millis(u64::try_from(silent).unwrap_or(0));
            view.heard = Instant::now().checked_sub(silent).unwrap_or_else(Instant::now);
            let (said, told) = fold.said_and_taken();
            (view.epoch, view.fold, view.pointer.trail) = (Some(epoch), fold, found.trail);
            view.outputs = Outputs::after(Position { offset: epoch, part: 0 }).of_which(said, told);
        });
        // What has come since is read here too, until the common reader is no further than this one.
        while !self.is_present(id, scan.next) {
            let Some(line) = scan.read().await? else { return Ok(None) };
            if let Some((offset, time, entry)) = line.of(id.session) {
                // This process wrote none of these.
                self.with(id, |view| view.read(offset, time, entry));
            }
        }
        Ok(Some((history.into_past(), taken)))
    }

    /// Reads on, for an owner that has seen everything that was read ahead, where more was skipped.
    pub(super) async fn read_skipped(&self, id: ViewId) -> Result<(), QueueError> {
        let skipped = self.with(id, |view| Some((view.outputs.skipped.clone()?, view.outputs.last, view.pointer.trail.clone())));
        let Some(((from, mut fold), last, trail)) = skipped.flatten() else { return Ok(()) };
        let mut scan = self.scans.begin(id.partition, from).await?;
        let mut ready = Outputs::after(Position::START);
        while ready.has_room() && ready.last < last {
            scan.go_to(trail.onward(scan.next, last.offset))?;
            let Some(line) = scan.read().await? else { return Err(QueueError::Gone) };
            let Some((offset, time, entry)) = line.of(id.session) else { continue };
            if let Ok(effect) = fold.apply(offset, time, &entry) {
                ready.extend(outputs(offset, effect, entry));
            }
        }
        self.with(id, |view| view.outputs.catch_up(ready, (scan.next, fold)));
        Ok(())
    }

    /// A session's pointer as it is now, to be written.
    pub(super) fn pointer(&self, id: ViewId) -> Option<Pointer> {
        let views = &mut *lock(&self.views);
        let read = views.read.get(&id.partition).copied().unwrap_or(0);
        views.find(id).map(|view| view.pointer_at(read))
    }

    /// Does something with a view; `None` if it is gone.
    pub(super) fn with<T>(&self, id: ViewId, use_it: impl FnOnce(&mut View) -> T) -> Option<T> {
        lock(&self.views).find(id).map(use_it)
    }

    /// Nobody looks at it any more.
    pub(super) fn remove(&self, id: ViewId) {
        let mut views = lock(&self.views);
        if let Some(of_session) = views.all.get_mut(&id.session) {
            of_session.retain(|(number, _)| *number != id.number);
            if of_session.is_empty() {
                views.all.remove(&id.session);
            }
        }
    }

    /// A view that reads its past first, or has none.
    pub(super) async fn insert(&self, session: SessionId, pointer: Pointer, in_the_past: bool) -> Result<ViewId, QueueError> {
        let partition = self.cluster.partition(session).await?;
        let number = self.next_view.fetch_add(1, Ordering::Relaxed);
        let view = View::new(session, partition, pointer, in_the_past);
        loop {
            self.follow(partition).await?;
            let mut views = lock(&self.views);
            // It may have been left in between, because nobody needed it.
            if views.read.contains_key(&partition) {
                views.all.entry(session).or_default().push((number, view));
                return Ok(ViewId { session, partition, number });
            }
        }
    }

    /// Reads this partition from its end on, if it isn't read yet.
    async fn follow(&self, partition: i32) -> Result<(), QueueError> {
        if !lock(&self.views).read.contains_key(&partition) {
            let end = self.cluster.end_of(&self.cluster.topics.log(), partition).await?;
            if let Place::Vacant(next) = lock(&self.views).read.entry(partition) {
                self.tail.follow(partition, end)?;
                next.insert(end);
            }
        }
        self.tail.flows(partition).await
    }

    fn note(&self, line: Line) {
        let views = &mut *lock(&self.views);
        // What was on its way when a partition was left has been read before, or is of nobody here.
        let Some(next) = views.read.get_mut(&line.partition).filter(|next| line.offset >= **next) else { return };
        *next = line.offset + 1;
        let Some((session, mark, entry)) = line.what else { return };
        let mut verdict = None;
        for (_, view) in views.all.get_mut(&session).into_iter().flatten().filter(|(_, view)| !view.in_the_past) {
            verdict = view.read(line.offset, line.time, entry.clone()).or(verdict);
        }
        self.writer.came_by(mark, verdict.unwrap_or(Ok(line.offset)));
    }

    /// Whether a view that was read up to `next` can be left to the common reader.
    fn is_present(&self, id: ViewId, next: i64) -> bool {
        let mut views = lock(&self.views);
        let there = views.read.get(&id.partition).is_none_or(|read| next >= *read);
        if there && let Some(view) = views.find(id) {
            (view.in_the_past, view.next) = (false, next);
        }
        there
    }

    fn leave_partitions(&self) {
        let mut views = lock(&self.views);
        let needed: HashSet<i32> = views.all.values().flatten().map(|(_, view)| view.partition).collect();
        views.read.retain(|partition, _| {
            let keep = needed.contains(partition);
            if !keep {
                self.tail.leave(*partition);
            }
            keep
        });
    }
}

impl Views {
    fn find(&mut self, id: ViewId) -> Option<&mut View> {
        self.all.get_mut(&id.session)?.iter_mut().find(|(number, _)| *number == id.number).map(|(_, view)| view)
    }
}

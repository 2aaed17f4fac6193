//! The sessions that this process owns, and the one reader that reads for all of them.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use tidegate_core::id::SessionId;
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tracing::{debug, warn};

use super::cluster::Cluster;
use super::entry::{Entry, Position};
use super::fold::Fold;
use super::lock;
use super::past::History;
use super::pointer::{Dated, Pointer, Pointers};
use super::tail::{Line, Scan, Tail};
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
    views: Mutex<Views>,
    /// One partition begins to be read at a time.
    beginning: AsyncMutex<()>,
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
            cluster,
            pointers,
            settings,
            views: Mutex::default(),
            beginning: AsyncMutex::default(),
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
            let _beginning = self.beginning.lock().await;
            self.follow(0).await
        };
        while let Err(error) = warm().await {
            debug!(%error, "the log is not read yet");
        }
    }

    /// Keeps the sessions from being forgotten, and finds tasks whose worker is lost. Runs until it is dropped.
    pub(super) async fn keep_house(self: Arc<Self>) {
        let (mut due, mut swept) = (Vec::new(), Instant::now());
        loop {
            tokio::time::sleep((self.settings.lease / 10).clamp(Duration::from_millis(20), Duration::from_secs(1))).await;
            for (_, view) in lock(&self.views).all.values_mut().flatten() {
                due.extend(view.silent_claim(self.settings.lease).map(|claim| (view.partition, view.session, claim)));
                if let Some(pointer) = view.due_pointer().cloned() {
                    self.pointers.send(view.partition, view.session, &pointer);
                }
            }
            for (partition, session, claim) in due.drain(..) {
                self.writer.send(partition, session, &self.settings.expiry(claim));
            }
            if swept.elapsed() > SWEEP {
                swept = Instant::now();
                self.leave_partitions();
            }
        }
    }

    /// A view of a session that is about to be created.
    pub(super) async fn begin(&self, session: SessionId, ttl: Duration) -> Result<ViewId, QueueError> {
        let pointer = Pointer { from: 0, fold: Fold::default(), ttl };
        self.insert(session, pointer, false).await
    }

    /// Reads an adopted session's past, up to the heir's own entry, which is at `epoch`, and everything since. `None`: there is no such
    /// session any more.
    pub(super) async fn catch_up(&self, id: ViewId, found: &Dated, epoch: i64) -> Result<Option<Past>, QueueError> {
        let (mut history, mut fold) = (History::default(), found.pointer.fold.clone());
        let mut scan = Scan::new(&self.cluster, id.partition, found.pointer.from)?;
        let taken = loop {
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
            match entry {
                Entry::Journal { seen, entries, .. } => history.journal(seen, entries),
                Entry::Snapshot { seen, state, .. } => history.snapshot(seen, state),
                entry => history.outputs(outputs(offset, effect, entry)),
            }
            if offset == epoch {
                break time;
            }
        };
        if found.expired(taken) {
            return Ok(None);
        }
        self.with(id, |view| {
            let silent = fold.task().and_then(|task| task.claim).map_or(0, |claim| taken.saturating_sub(claim.sign));
            let silent = Duration::from_millis(u64::try_from(silent).unwrap_or(0));
            view.heard = Instant::now().checked_sub(silent).unwrap_or_else(Instant::now);
            (view.epoch, view.fold) = (Some(epoch), fold);
            view.outputs = Outputs::after(Position { offset: epoch, part: 0 });
        });
        // What has come since is read here too, until the common reader is no further than this one.
        while !self.is_present(id, scan.next) {
            let Some(line) = scan.read().await? else { return Ok(None) };
            if let Some((offset, time, entry)) = line.of(id.session) {
                // This process wrote none of these.
                self.with(id, |view| view.read(offset, time, entry));
            }
        }
        Ok(Some(history.into_past()))
    }

    /// Reads on, for an owner that has seen everything that was read ahead, where more was skipped.
    pub(super) async fn read_skipped(&self, id: ViewId) -> Result<(), QueueError> {
        let Some((from, mut fold)) = self.with(id, |view| view.outputs.skipped.clone()).flatten() else { return Ok(()) };
        let mut scan = Scan::new(&self.cluster, id.partition, from)?;
        let mut found = Outputs::after(Position::START);
        let mut ready = Vec::new();
        while found.has_room() && scan.next < lock(&self.views).read.get(&id.partition).copied().unwrap_or(0) {
            let Some(line) = scan.read().await? else { return Err(QueueError::Gone) };
            let Some((offset, time, entry)) = line.of(id.session) else { continue };
            if let Ok(effect) = fold.apply(offset, time, &entry) {
                let more = outputs(offset, effect, entry);
                found.extend(more.iter().cloned());
                ready.extend(more);
            }
        }
        let mut views = lock(&self.views);
        let caught_up = scan.next >= views.read.get(&id.partition).copied().unwrap_or(0);
        if let Some(view) = views.find(id) {
            view.outputs.skipped = (!caught_up).then_some((scan.next, fold));
            view.outputs.extend(ready);
        }
        Ok(())
    }

    /// Writes a view's pointer, because it points further than before.
    pub(super) fn point(&self, id: ViewId) {
        let pointer = self.with(id, |view| {
            view.pointed = Instant::now();
            view.pointer.clone()
        });
        pointer.iter().for_each(|pointer| self.pointers.send(id.partition, id.session, pointer));
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
        // Held until the view is there, so that the partition isn't left in between.
        let _beginning = self.beginning.lock().await;
        self.follow(partition).await?;
        let view = View {
            session,
            partition,
            fold: Fold::default(),
            epoch: None,
            in_the_past,
            next: 0,
            outputs: Outputs::after(Position::START),
            pointer,
            pointed: Instant::now(),
            heard: Instant::now(),
            changed: Arc::new(Notify::new()),
        };
        let number = self.next_view.fetch_add(1, Ordering::Relaxed);
        lock(&self.views).all.entry(session).or_default().push((number, view));
        Ok(ViewId { session, partition, number })
    }

    /// Reads this partition from its end on, if it isn't read yet.
    async fn follow(&self, partition: i32) -> Result<(), QueueError> {
        if !lock(&self.views).read.contains_key(&partition) {
            let end = self.cluster.end_of(&self.cluster.topics.log(), partition).await?;
            self.tail.follow(partition, end)?;
            lock(&self.views).read.insert(partition, end);
        }
        self.tail.flows(partition).await
    }

    fn note(&self, line: Line) {
        let Some((session, mark, entry)) = line.what else {
            lock(&self.views).read.insert(line.partition, line.offset + 1);
            return;
        };
        let mut verdict = None;
        let mut views = lock(&self.views);
        for (_, view) in views.all.get_mut(&session).into_iter().flatten().filter(|(_, view)| !view.in_the_past) {
            verdict = view.read(line.offset, line.time, entry.clone()).or(verdict);
        }
        views.read.insert(line.partition, line.offset + 1);
        drop(views);
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
        let Ok(_beginning) = self.beginning.try_lock() else { return };
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

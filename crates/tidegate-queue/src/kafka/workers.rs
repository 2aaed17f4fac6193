//! This process as a worker: what runs in the background while it waits for tasks and runs them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use tidegate_core::id::SessionId;
use tokio::sync::{Notify, oneshot, watch};
use tracing::{debug, warn};

use super::cluster::{Cluster, PATIENCE, Quiet, Reader, unavailable};
use super::depth::Depths;
use super::entry::Entry;
use super::group::{Group, member};
use super::lease::{Claimed, Lease};
use super::lock;
use super::pointer::Pointers;
use super::record::{self, TaskRecord};
use super::tail::{Line, Tail};
use super::worker::{Known, News, Partition, Source};
use super::writer::Writer;
use crate::error::QueueError;
use crate::settings::Settings;

/// How many tasks may wait here for somebody who asks; the rest waits in the topic.
const AHEAD: usize = 64;
const AHEAD_BYTES: usize = 16 * 1024 * 1024;
/// How often a worker that waits in vain looks for tasks elsewhere.
const LOOK: Duration = Duration::from_millis(250);
/// How long a borrowed partition is kept where nothing comes from.
const KEEP: Duration = Duration::from_secs(2);
/// How often what was settled is committed.
const COMMIT: Duration = Duration::from_millis(100);

/// This process as a worker.
pub(super) struct Workers {
    cluster: Arc<Cluster>,
    pointers: Arc<Pointers>,
    depths: Arc<Depths>,
    settings: Settings,
    pub(super) writer: Writer,
    log: Tail,
    assigned: Reader<Group>,
    borrowed: Reader<Quiet>,
    /// Partitions of others that are read. Locked only while `known` is.
    borrowing: Mutex<HashSet<i32>>,
    known: Arc<Mutex<Known>>,
    /// There may be something to run, or somebody to run it.
    changed: Notify,
    /// Some of the log has to be read again.
    rewind: Notify,
    leases: watch::Sender<usize>,
}

/// Counts one lease for as long as it lives.
pub(super) struct InUse(watch::Sender<usize>);

impl Workers {
    pub(super) fn new(
        cluster: &Arc<Cluster>,
        pointers: &Arc<Pointers>,
        depths: &Arc<Depths>,
        settings: Settings,
    ) -> Result<Self, KafkaError> {
        let known = Arc::new(Mutex::new(Known::new(&settings)));
        let assigned = member(cluster, Arc::clone(&known), &settings)?;
        assigned.subscribe(&[&cluster.topics.tasks()])?;
        Ok(Self {
            writer: Writer::new(Arc::clone(cluster)),
            log: Tail::new(cluster)?,
            assigned,
            borrowed: cluster.reader(Quiet, &[])?,
            borrowing: Mutex::default(),
            known,
            changed: Notify::new(),
            rewind: Notify::new(),
            leases: watch::Sender::new(0),
            cluster: Arc::clone(cluster),
            pointers: Arc::clone(pointers),
            depths: Arc::clone(depths),
            settings,
        })
    }

    /// Waits for a lease.
    pub(super) async fn lease(&self) -> Result<Lease, QueueError> {
        let (ask, mut asked) = oneshot::channel();
        lock(&self.known).askers.push_back(ask);
        self.changed.notify_one();
        let mut available = self.cluster.available();
        let outage = async {
            // Whether it is one shows within a second.
            while available.wait_for(|available| !available).await.is_ok() {
                if tokio::time::timeout(PATIENCE, available.wait_for(|available| *available)).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            lease = &mut asked => lease.map_err(|_| QueueError::Unavailable("shutting down".to_owned())),
            () = outage => Err(QueueError::Unavailable("kafka does not answer".to_owned())),
        }
    }

    /// Waits until every lease is settled or dropped, and said so.
    pub(super) async fn all_given_back(&self) {
        // The sender is this value's own.
        let _ = self.leases.subscribe().wait_for(|leases| *leases == 0).await;
        self.cluster.flush().await;
    }

    pub(super) fn in_use(&self) -> InUse {
        self.leases.send_modify(|leases| *leases += 1);
        InUse(self.leases.clone())
    }

    pub(super) fn give_back(&self, partition: i32, session: SessionId, claim: i64, begun: bool) {
        self.writer.send(partition, session, &Entry::GiveBack { claim, begun, attempts: self.settings.attempts });
    }

    pub(super) fn let_go(&self, session: SessionId, claim: i64) {
        lock(&self.known).let_go(session, claim);
    }

    /// Reads the log beside the tasks. Like all that follow, it runs until it is dropped.
    pub(super) async fn keep_reading_log(self: Arc<Self>) {
        loop {
            // Where to read is changed between two entries only, so that none comes from where it was read before.
            tokio::select! {
                line = self.log.next() => self.note(line),
                () = self.rewind.notified() => self.rewind_log().await,
            }
        }
    }

    fn note(&self, line: Line) {
        let news = lock(&self.known).read(line, &self.writer);
        match news {
            News::None => {}
            News::Changed => self.changed.notify_one(),
            News::Unwanted { partition, session, claim } => self.give_back(partition, session, claim, false),
        }
    }

    async fn rewind_log(&self) {
        let partitions = lock(&self.known).rewinds();
        for partition in partitions {
            let rewound = async {
                let end = self.cluster.end_of(&self.cluster.topics.log(), partition).await?;
                // Locked throughout, so that nobody leaves the partition in between.
                let mut known = lock(&self.known);
                let Some((from, before)) = known.rewind(partition, end) else { return Ok(()) };
                if before {
                    self.log.leave(partition);
                }
                self.log.follow(partition, from)
            };
            if let Err(error) = rewound.await {
                debug!(partition, %error, "the log is not read yet");
                tokio::time::sleep(COMMIT).await;
                self.rewind.notify_one();
            }
        }
    }

    pub(super) async fn keep_reading_assigned(self: Arc<Self>) {
        loop {
            match self.assigned.recv().await {
                Ok(message) => self.add(&message),
                Err(error) => debug!(%error, "reading tasks"),
            }
        }
    }

    pub(super) async fn keep_reading_borrowed(self: Arc<Self>) {
        loop {
            match self.borrowed.recv().await {
                Ok(message) => self.add(&message),
                Err(error) => debug!(%error, "reading borrowed tasks"),
            }
        }
    }

    /// Claims tasks for those who wait for one.
    pub(super) async fn keep_claiming(self: Arc<Self>) {
        loop {
            self.changed.notified().await;
            while let Some((partition, offset, task)) = self.take() {
                tokio::spawn(Arc::clone(&self).claim(partition, offset, task));
            }
        }
    }

    fn take(&self) -> Option<(i32, i64, TaskRecord)> {
        let mut known = lock(&self.known);
        known.askers.retain(|asker| !asker.is_closed());
        if known.claiming >= known.askers.len() {
            return None;
        }
        known.take()
    }

    async fn claim(self: Arc<Self>, partition: i32, offset: i64, task: TaskRecord) {
        let claim = match self.pointers.lives_now(task.session).await {
            Ok(true) => {
                let claim = Entry::Claim { submitted: task.submitted };
                self.writer.write(partition, task.session, &claim).await.ok().and_then(Result::ok)
            }
            Ok(false) => {
                lock(&self.known).drop_record(partition, offset);
                None
            }
            Err(_) => None,
        };
        let held = lock(&self.known).claimed(partition, offset, task.session, claim);
        if let Some((claim, (grip, attempt))) = claim.zip(held) {
            self.hand_over(Lease::new(Arc::clone(&self), Claimed { partition, claim, task, attempt, grip }));
        }
        self.changed.notify_one();
    }

    fn hand_over(&self, mut lease: Lease) {
        while let Some(asker) = self.next_asker() {
            match asker.send(lease) {
                Ok(()) => return,
                Err(back) => lease = back,
            }
        }
        // Dropped before anybody had it, it is given back as one that never began.
    }

    fn next_asker(&self) -> Option<oneshot::Sender<Lease>> {
        lock(&self.known).askers.pop_front()
    }

    /// Renews leases, finds those that ran out, commits, borrows and gives back.
    pub(super) async fn keep_house(self: Arc<Self>) {
        let pause = (self.settings.lease / 10).clamp(Duration::from_millis(20), COMMIT);
        // Until the group has agreed, whoever comes is of use elsewhere.
        let (mut looked, mut paused) = (None::<Instant>, false);
        loop {
            tokio::time::sleep(pause).await;
            let due = lock(&self.known).due(&self.settings, |session| self.pointers.lives(session));
            for (partition, session, entry) in due {
                self.writer.send(partition, session, &entry);
            }
            self.commit();
            self.leave();
            self.pace(&mut paused);
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK) && self.waits_in_vain() {
                if let Err(error) = self.borrow().await {
                    debug!(%error, "looking for tasks elsewhere");
                }
                looked = Some(Instant::now());
            }
            // Whatever was overlooked is looked at again.
            self.changed.notify_one();
        }
    }

    /// Adds a task's record, and sees to it that the log is read from the task's beginning on.
    fn add(&self, message: &BorrowedMessage<'_>) {
        let (partition, offset) = (message.partition(), message.offset());
        let Some(task) = record::read(message) else {
            return warn!(partition, offset, "there is a task that this version can't read");
        };
        if lock(&self.known).add(partition, offset, task) {
            self.rewind.notify_one();
        } else {
            self.changed.notify_one();
        }
    }

    fn commit(&self) {
        let changed = lock(&self.known).progress();
        let mut list = TopicPartitionList::new();
        for (partition, offset, progress) in changed {
            let mut element = list.add_partition(&self.cluster.topics.tasks(), partition);
            if element.set_offset(Offset::Offset(offset)).is_ok() {
                element.set_metadata(progress.encode());
            }
        }
        // A partition that was taken away meanwhile is committed by another. What is not committed is read again, and found settled.
        if list.count() > 0
            && let Err(error) = self.assigned.commit(&list, CommitMode::Async)
        {
            debug!(%error, "not committed");
        }
    }

    fn waits_in_vain(&self) -> bool {
        let mut known = lock(&self.known);
        known.askers.retain(|asker| !asker.is_closed());
        known.askers.len() > known.claiming && known.ahead().0 == 0
    }

    /// Reads partitions of others where tasks wait.
    async fn borrow(&self) -> Result<(), QueueError> {
        let backlogs = self.depths.backlogs().await?;
        let mut known = lock(&self.known);
        let mut list = TopicPartitionList::new();
        for backlog in backlogs.iter().filter(|backlog| backlog.depth.waiting > 0) {
            let source = known.partitions.get(&backlog.partition).map(|partition| partition.source);
            if matches!(source, Some(Source::Assigned | Source::Borrowed)) {
                continue;
            }
            let partition = known.partitions.entry(backlog.partition).or_insert_with(|| Partition::new(Source::Borrowed));
            (partition.source, partition.used) = (Source::Borrowed, Instant::now());
            let offset = Offset::Offset(backlog.from);
            list.add_partition_offset(&self.cluster.topics.tasks(), backlog.partition, offset).map_err(unavailable)?;
            lock(&self.borrowing).insert(backlog.partition);
        }
        if list.count() > 0 {
            self.borrowed.incremental_assign(&list).map_err(unavailable)?;
        }
        Ok(())
    }

    /// Stops to read partitions where nothing is left to do.
    fn leave(&self) {
        let mut known = lock(&self.known);
        let mut borrowing = lock(&self.borrowing);
        borrowing.retain(|&partition| {
            let source = known.partitions.get(&partition).map(|partition| (partition.source, partition.used.elapsed() > KEEP));
            if source == Some((Source::Borrowed, false)) {
                return true;
            }
            let mut list = TopicPartitionList::new();
            list.add_partition(&self.cluster.topics.tasks(), partition);
            if let Err(error) = self.borrowed.incremental_unassign(&list) {
                debug!(partition, %error, "a partition is read on");
            }
            if let Some(partition) = known.partitions.get_mut(&partition).filter(|partition| partition.source == Source::Borrowed) {
                partition.source = Source::Left;
                partition.records.clear();
            }
            false
        });
        let left = known.partitions.iter().filter(|(_, partition)| partition.source == Source::Left).map(|(number, _)| *number);
        for partition in left.collect::<Vec<_>>() {
            if !known.runs_in(partition) && known.claiming == 0 && known.forget(partition) {
                self.log.leave(partition);
            }
        }
    }

    /// Reads no more tasks while enough of them wait here.
    fn pace(&self, paused: &mut bool) {
        let (waiting, bytes) = lock(&self.known).ahead();
        let change = if *paused { waiting < AHEAD / 2 && bytes < AHEAD_BYTES / 2 } else { waiting >= AHEAD || bytes >= AHEAD_BYTES };
        // What was assigned meanwhile has to pause too.
        if !change && !*paused {
            return;
        }
        *paused ^= change;
        pace(&self.assigned, *paused);
        pace(&self.borrowed, *paused);
    }
}

/// Stops or resumes whatever is assigned.
fn pace<C: ConsumerContext + 'static>(consumer: &Reader<C>, paused: bool) {
    let outcome = consumer.assignment().and_then(|list| if paused { consumer.pause(&list) } else { consumer.resume(&list) });
    if let Err(error) = outcome {
        debug!(%error, paused, "tasks come as before");
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.send_modify(|leases| *leases -= 1);
    }
}

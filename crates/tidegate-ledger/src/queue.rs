//! What waits for the writer.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_core::id::StreamId;
use tidegate_core::record::StreamRecord;
use tokio::sync::oneshot;

use crate::LedgerError;
use crate::entry::{Entry, IfDropped, Place};
use crate::reply::{self, Answer, Reply};
use crate::row::{Span, Texts};
use crate::store::Numbers;

/// Longest time that an ended stream's row waits for company: somebody who waits for an open row brings it along, so it rarely costs a
/// write of its own.
const LINGER: Duration = Duration::from_millis(5);
/// How long after the last row the writer looks for the next ones by itself. To be woken by whoever brings one costs that one some
/// microseconds, and often its turn on the processor, just when it is about to ask the provider.
const ALERT: Duration = Duration::from_millis(20);

/// One thing for the writer to do.
#[derive(Debug)]
pub(crate) enum Request {
    /// Write a row, whose number is `n`.
    Write { n: i64, row: Row, text: Span },
    /// Read a record, after everything before it was written.
    Read { id: StreamId, reply: oneshot::Sender<Result<Option<StreamRecord>, LedgerError>> },
    /// Write what waits, then end.
    Close { reply: oneshot::Sender<Result<(), LedgerError>> },
}

/// One row to write, without its text.
#[derive(Debug)]
pub(crate) enum Row {
    /// A stream begins, and somebody waits for it until `deadline`.
    Open { entry: Entry, reply: Reply, deadline: Instant },
    /// A stream has begun: its open row is durable already, by the short way.
    Noted { id: StreamId },
    /// A stream ended.
    End { opened: i64, id: StreamId, place: Place },
    /// A stream that was marked as interrupted had ended so.
    Amend { id: StreamId, place: Place },
    /// A stream ended without a record, and so without a text, of its own.
    GiveUp { opened: i64, as_what: IfDropped, completed_ms: u64, place: Place },
}

impl Request {
    /// Whether somebody waits for the answer.
    fn is_urgent(&self) -> bool {
        !matches!(self, Self::Write { row: Row::Noted { .. } | Row::End { .. } | Row::Amend { .. } | Row::GiveUp { .. }, .. })
    }
}

/// The list between the handles and the writer. Its length is bounded: each row holds a place, and for each read somebody waits.
///
/// A channel would wake the writer for every row. Here it sleeps through rows that nobody waits for, and takes all of them with one swap.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    pending: AtomicUsize,
    failing: AtomicBool,
}

/// Requests, and the texts of their rows.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) requests: Vec<Request>,
    pub(crate) texts: Texts,
}

#[derive(Debug, Default)]
struct Waiting {
    batch: Batch,
    /// Given out here, so that rows come to the writer in the order of their numbers.
    numbers: Numbers,
    urgent: bool,
    closed: bool,
    sleep: Sleep,
    /// Until when the writer looks by itself.
    alert_until: Option<Instant>,
}

/// What the writer wants to be woken by.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Sleep {
    /// Nothing but the end: it is at work, or takes a rest.
    #[default]
    Undisturbed,
    UntilUrgent,
    UntilAny,
}

impl Waiting {
    /// Whether there is a reason to end such a sleep.
    fn disturbs(&self, sleep: Sleep) -> bool {
        self.closed
            || match sleep {
                Sleep::Undisturbed => false,
                Sleep::UntilUrgent => self.urgent,
                Sleep::UntilAny => !self.batch.requests.is_empty(),
            }
    }

    /// How long the writer goes on to look by itself, at most until `end`.
    fn rest_of_alert(&self, now: Instant, end: Instant) -> Option<Duration> {
        let rest = self.alert_until?.min(end).saturating_duration_since(now);
        (!self.closed && !rest.is_zero()).then_some(rest)
    }
}

impl Queue {
    /// An empty queue, whose rows are numbered by `numbers`.
    pub(crate) fn new(numbers: Numbers) -> Self {
        Self { waiting: Mutex::new(Waiting { numbers, ..Waiting::default() }), ..Self::default() }
    }

    /// Hands a row over and gives its number. `None` when the ledger is closed; the row is dropped then.
    pub(crate) fn write(&self, row: Row, text: &[u8]) -> Option<i64> {
        let mut waiting = self.lock();
        let n = waiting.numbers.next();
        // Nobody would take it out again.
        let text = if waiting.closed { Span::default() } else { waiting.batch.texts.add(text) };
        self.push(waiting, Request::Write { n, row, text }).then_some(n)
    }

    /// Hands over an open row that is not durable yet, and gives where it will be told. `None` when the ledger is closed.
    pub(crate) fn open(&self, entry: Entry, text: &[u8], deadline: Instant) -> Option<Answer> {
        let (reply, answer) = reply::channel();
        self.write(Row::Open { entry, reply, deadline }, text).map(|_| answer)
    }

    /// Hands over open rows that are durable already, and gives the number of each, 0 where there is none. `None` when the ledger is closed; then
    /// nothing is taken.
    pub(crate) fn noted(&self, rows: &[Option<(StreamId, Span)>], of: &Texts) -> Option<Vec<i64>> {
        let mut waiting = self.lock();
        if waiting.closed {
            return None;
        }
        let Waiting { batch: Batch { requests, texts }, numbers, .. } = &mut *waiting;
        let before = requests.len();
        let number = |row: &Option<(StreamId, Span)>| {
            let Some((id, text)) = *row else { return 0 };
            let (n, text) = (numbers.next(), texts.add(of.get(text)));
            requests.push(Request::Write { n, row: Row::Noted { id }, text });
            n
        };
        let numbers = rows.iter().map(number).collect();
        self.pending.fetch_add(requests.len() - before, Ordering::Relaxed);
        self.wake(waiting);
        Some(numbers)
    }

    /// Asks for something else than a row. False when the ledger is closed.
    pub(crate) fn ask(&self, request: Request) -> bool {
        self.push(self.lock(), request)
    }

    fn push(&self, mut waiting: MutexGuard<'_, Waiting>, request: Request) -> bool {
        if waiting.closed {
            // Dropped only after the lock is released: an entry in it would come back here.
            drop(waiting);
            return false;
        }
        if matches!(request, Request::Write { .. }) {
            self.pending.fetch_add(1, Ordering::Relaxed);
        }
        waiting.closed = matches!(request, Request::Close { .. });
        waiting.urgent |= request.is_urgent();
        waiting.batch.requests.push(request);
        self.wake(waiting);
        true
    }

    /// Ends the writer's sleep where there is a reason to.
    fn wake(&self, waiting: MutexGuard<'_, Waiting>) {
        let wakes = waiting.disturbs(waiting.sleep);
        drop(waiting);
        if wakes {
            self.wake.notify_one();
        }
    }

    /// Waits up to `patience` for something, then until `earliest` for more of it, then up to [`LINGER`] for somebody who cannot wait. While rows
    /// keep coming, it looks for them every [`LINGER`].
    pub(crate) fn wait(&self, patience: Duration, earliest: Instant) {
        let end = Instant::now() + patience;
        let mut waiting = self.lock();
        while let Some(rest) = waiting.rest_of_alert(Instant::now(), end) {
            waiting = self.gather(waiting, earliest, LINGER.min(rest));
            if !waiting.batch.requests.is_empty() {
                return;
            }
        }
        waiting = self.sleep(waiting, Sleep::UntilAny, end.saturating_duration_since(Instant::now()));
        if !waiting.batch.requests.is_empty() {
            drop(self.gather(waiting, earliest, LINGER));
        }
    }

    /// Lets rows come until `earliest`, then up to `linger` longer unless somebody cannot wait.
    fn gather<'a>(&self, waiting: MutexGuard<'a, Waiting>, earliest: Instant, linger: Duration) -> MutexGuard<'a, Waiting> {
        let waiting = self.sleep(waiting, Sleep::Undisturbed, earliest.saturating_duration_since(Instant::now()));
        self.sleep(waiting, Sleep::UntilUrgent, linger)
    }

    /// Takes everything in exchange for `batch`, which is empty. False when the queue is closed: nothing will come after this.
    pub(crate) fn take(&self, batch: &mut Batch) -> bool {
        let mut waiting = self.lock();
        mem::swap(batch, &mut waiting.batch);
        waiting.urgent = false;
        if !batch.requests.is_empty() {
            waiting.alert_until = Some(Instant::now() + ALERT);
        }
        !waiting.closed
    }

    fn sleep<'a>(&self, mut waiting: MutexGuard<'a, Waiting>, sleep: Sleep, longest: Duration) -> MutexGuard<'a, Waiting> {
        if longest.is_zero() || waiting.disturbs(sleep) {
            return waiting;
        }
        waiting.sleep = sleep;
        let (mut waiting, _) =
            self.wake.wait_timeout_while(waiting, longest, |waiting| !waiting.disturbs(sleep)).unwrap_or_else(PoisonError::into_inner);
        waiting.sleep = Sleep::Undisturbed;
        waiting
    }

    /// Lets nothing more in. What waits is still written.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Rows handed over and not written yet.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// The writer has written so many rows.
    pub(crate) fn written(&self, rows: usize) {
        self.pending.fetch_sub(rows, Ordering::Relaxed);
    }

    /// Whether the last attempt to write failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Notes whether writing failed, and returns what it was before.
    pub(crate) fn set_failing(&self, failing: bool) -> bool {
        self.failing.swap(failing, Ordering::Relaxed)
    }

    /// A panic cannot leave the list half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

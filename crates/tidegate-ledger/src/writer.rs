//! The one thread that writes.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tidegate_core::id::StreamId;
use tidegate_core::record::StreamRecord;
use tokio::sync::oneshot;

use crate::entry::{Entry, IfDropped};
use crate::keeper::Keeper;
use crate::key_table::KeyTable;
use crate::queue::{Queue, Request, Row};
use crate::recent::{self, Recent};
use crate::reply::{Reply, Tidings};
use crate::store::{self, WriterLock};
use crate::tables::{Fact, SWEEP_ROWS, Tables};
use crate::{Durability, LedgerError, LedgerSettings, row};

/// While rows keep coming, the database takes them together, this far apart; each is durable in [`Recent`] before. A row that comes after a
/// quiet moment goes into the database at once.
const APPLY_SPACING: Duration = Duration::from_millis(100);
/// While many streams run, batches are this far apart, so that each wakes the thread for several rows.
const BATCH_SPACING: Duration = Duration::from_micros(500);
/// With fewer streams than this, nobody is worth waiting for.
const COMPANY: usize = 8;
/// While many streams run, the database's lock is asked for this rarely where its pages can wait.
const LOCK_SPACING: Duration = Duration::from_millis(5);
/// Pause between attempts while rows cannot be written.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long the last rows are tried at the end.
const LAST_TRIES: Duration = Duration::from_secs(3);
/// How often old rows are looked for, and how soon again while there are more.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const SWEEP_AGAIN: Duration = Duration::from_millis(20);

/// What [`start`] made.
pub(crate) struct Started {
    pub(crate) queue: Arc<Queue>,
    pub(crate) keys: Arc<ArcSwap<KeyTable>>,
    pub(crate) interrupted: u64,
}

/// Opens the database, closes what a dead gateway left open, and starts the writer and the keeper.
pub(crate) fn start(settings: &LedgerSettings) -> Result<Started, LedgerError> {
    let path = &settings.path;
    // The lock comes first: open rows of a gateway that lives must not be touched.
    let lock = WriterLock::take(path)?;
    let failed = |source| LedgerError::Start { path: path.clone(), source };
    let mut tables = Tables::new(store::open(path, settings.durability)?)?;
    take_left(&mut tables, &Recent::path(path))?;
    let interrupted = tables.interrupt_open()?;
    let recent = Recent::create(Recent::path(path)).map_err(failed)?;

    let side = store::open(path, settings.durability)?;
    let keys = Arc::new(ArcSwap::from_pointee(KeyTable::load(&side)?));
    let keeper = Keeper::start(side, Arc::clone(&keys)).map_err(failed)?;
    let queue = Arc::new(Queue::default());
    let mut writer = Writer::new(tables, recent, Arc::clone(&queue), settings);
    let body = move || {
        let (close, result) = writer.run();
        // Only now is the ledger free for the next one, and only then is it told to be closed.
        drop((writer, keeper, lock));
        if let Some(reply) = close {
            let _ = reply.send(result);
        }
    };
    thread::Builder::new().name("ledger".to_owned()).spawn(body).map_err(failed)?;
    Ok(Started { queue, keys, interrupted })
}

/// Takes over what a gateway that died had written beside the database only.
fn take_left(tables: &mut Tables, path: &Path) -> Result<(), LedgerError> {
    match fs::read(path) {
        Ok(bytes) => Ok(tables.take_left(recent::left(&String::from_utf8_lossy(&bytes)))?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(LedgerError::Start { path: path.to_owned(), source }),
    }
}

type CloseReply = oneshot::Sender<Result<(), LedgerError>>;
type Reader = (StreamId, oneshot::Sender<Result<Option<StreamRecord>, LedgerError>>);

/// What waits to be written, and with what.
struct Writer {
    tables: Tables,
    recent: Recent,
    queue: Arc<Queue>,
    /// What the database does not have yet, in order.
    facts: Vec<Fact>,
    /// Who waits for an open row, or did.
    waiters: Vec<Waiter>,
    /// Streams that have begun and not ended.
    open: usize,
    batch_at: Instant,
    lock_at: Instant,
    apply_at: Instant,
    sweep_at: Instant,
    retention: Duration,
    durability: Durability,
}

/// Who waits for an open row. Without a reply it was refused, and the entry is kept to close the row when it is written.
struct Waiter {
    entry: Entry,
    reply: Option<Reply>,
    deadline: Instant,
}

impl Writer {
    fn new(tables: Tables, recent: Recent, queue: Arc<Queue>, settings: &LedgerSettings) -> Self {
        let now = Instant::now();
        Self {
            tables,
            recent,
            queue,
            facts: Vec::new(),
            waiters: Vec::new(),
            open: 0,
            batch_at: now,
            lock_at: now,
            apply_at: now,
            sweep_at: now,
            retention: settings.retention,
            durability: settings.durability,
        }
    }

    /// Writes until the queue is closed, then what is left. Returns whom to tell, and what.
    fn run(&mut self) -> (Option<CloseReply>, Result<(), LedgerError>) {
        let mut requests = Vec::new();
        let mut readers: Vec<Reader> = Vec::new();
        let mut close = None;
        let mut goes_on = true;
        while goes_on {
            goes_on = self.queue.take(&mut requests, self.patience(), self.batch_at);
            let durable = self.facts.len();
            for request in requests.drain(..) {
                match request {
                    Request::Write(row) => self.take(row),
                    Request::Read { id, reply } => readers.push((id, reply)),
                    Request::Close { reply } => close = Some(reply),
                }
            }
            self.write(durable);
            for (id, reply) in readers.drain(..) {
                let _ = reply.send(self.read(id));
            }
            self.sweep();
        }
        (close, self.write_the_last())
    }

    /// How long nothing needs to be done unless something comes.
    fn patience(&self) -> Duration {
        let next = if self.facts.is_empty() { self.sweep_at } else { self.apply_at.min(self.sweep_at) };
        next.saturating_duration_since(Instant::now())
    }

    fn take(&mut self, row: Row) {
        let n = self.tables.next_number();
        match row {
            Row::Open { record, mut entry, reply, deadline } => {
                entry.opened = Some(n);
                self.facts.push(Fact::Open { n, id: entry.id().to_string(), record });
                self.waiters.push(Waiter { entry, reply: Some(reply), deadline });
            }
            Row::End { opened, id, record, place } => {
                self.open = self.open.saturating_sub(1);
                self.facts.push(Fact::End { n, id: id.to_string(), opened, record, place });
            }
            Row::GiveUp { opened, as_what, completed_ms, place } => {
                self.open = self.open.saturating_sub(1);
                self.facts.push(Fact::GiveUp { n, opened, as_what, completed_ms, place });
            }
        }
    }

    /// Makes the facts after the first `durable` ones durable, here or there, and gives the database all of them when it is time.
    fn write(&mut self, durable: usize) {
        let now = Instant::now();
        let is_time = now >= self.apply_at;
        let has_fresh = self.facts.len() > durable;
        if has_fresh {
            self.batch_at = now + if self.open < COMPANY { Duration::ZERO } else { BATCH_SPACING };
        }
        let may_wait = self.durability == Durability::Process && (!is_time || self.queue.is_failing());
        let is_noted = has_fresh && may_wait && self.can_begin(now) && self.recent.append(&self.facts[durable..]);
        if is_noted {
            self.tell();
        }
        let must_apply = is_time || (has_fresh && !is_noted);
        if must_apply && !self.facts.is_empty() && !self.apply() && has_fresh && !is_noted {
            // Ends that the database does not take now shall at least survive the process.
            self.recent.append(&self.facts[durable..]);
        }
    }

    /// Nothing is begun that the database would not take: its lock is asked for even where its pages can wait.
    fn can_begin(&mut self, now: Instant) -> bool {
        if self.waiters.is_empty() || now < self.lock_at {
            return true;
        }
        let is_free = self.tables.is_free();
        if is_free && self.open >= COMPANY {
            self.lock_at = now + LOCK_SPACING;
        }
        is_free
    }

    /// Gives the database all facts. False when it does not take them: they stay.
    fn apply(&mut self) -> bool {
        let rows = self.facts.len();
        let applied = self.tables.apply(&self.facts);
        self.apply_at = Instant::now() + if applied.is_ok() { APPLY_SPACING } else { RETRY_PAUSE };
        match &applied {
            Ok(()) => {
                if self.queue.set_failing(false) {
                    tracing::info!(rows, "the ledger is written again");
                }
                self.queue.written(rows);
                self.facts.clear();
                self.recent.clear();
                self.tell();
            }
            Err(error) => {
                if !self.queue.set_failing(true) {
                    tracing::error!(%error, rows, "the ledger cannot be written; new streams are refused until it can");
                }
                self.refuse();
            }
        }
        applied.is_ok()
    }

    /// Hands each new stream its entry. Where nobody takes it, the entry is dropped, and so the stream's end is the next row to write.
    fn tell(&mut self) {
        let now = Instant::now();
        let mut tidings = Tidings::default();
        self.open += self.waiters.len();
        for Waiter { mut entry, reply, deadline } in self.waiters.drain(..) {
            if reply.is_none() || now >= deadline {
                entry.if_dropped = IfDropped::Refused;
            }
            if let Some(reply) = reply {
                tidings.add(reply, entry);
            }
        }
        tidings.tell();
    }

    /// Answers those who wait that it is not possible now. Their rows stay, so that the ledger later tells of them too.
    fn refuse(&mut self) {
        for reply in self.waiters.iter_mut().filter_map(|waiter| waiter.reply.take()) {
            reply.refuse();
        }
    }

    /// What is not in the database yet is newer than what is.
    fn read(&self, id: StreamId) -> Result<Option<StreamRecord>, LedgerError> {
        let text = id.to_string();
        let waiting = self.facts.iter().rev().find_map(|fact| match fact {
            Fact::Open { id, record, .. } | Fact::End { id, record, .. } if *id == text => Some(row::read(id, record)),
            _ => None,
        });
        match waiting {
            Some(record) => Ok(Some(record)),
            None => Ok(self.tables.get(id)?),
        }
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        if now < self.sweep_at {
            return;
        }
        let swept = self.tables.sweep(self.retention);
        if let Err(error) = &swept {
            tracing::warn!(%error, "old records cannot be deleted");
        }
        self.sweep_at = now + if swept.is_ok_and(|rows| rows == SWEEP_ROWS) { SWEEP_AGAIN } else { SWEEP_EVERY };
    }

    /// Writes what is left when nothing more can come, for a bounded time.
    fn write_the_last(&mut self) -> Result<(), LedgerError> {
        let end = Instant::now() + LAST_TRIES;
        while !self.facts.is_empty() && !self.apply() {
            if Instant::now() >= end {
                tracing::error!(rows = self.facts.len(), "the ledger could not take its last rows");
                return Err(LedgerError::Unavailable);
            }
            pause(RETRY_PAUSE);
        }
        self.recent.remove();
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the ledger's own thread; no stream runs on it")]
fn pause(length: Duration) {
    thread::sleep(length);
}

#[cfg(test)]
mod tests;

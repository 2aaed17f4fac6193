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
use crate::queue::{Batch, Queue, Request, Row};
use crate::recent::{self, Recent};
use crate::reply::{Reply, Tidings};
use crate::row::{self, Texts};
use crate::shortcut::Shortcut;
use crate::store::{self, Numbers, WriterLock};
use crate::tables::{Fact, SWEEP_ROWS, Tables};
use crate::{Durability, LedgerError, LedgerSettings};

/// While rows keep coming, the database takes them together, this far apart; each is durable in [`Recent`] before. A row that comes after a
/// quiet moment goes into the database at once.
const APPLY_SPACING: Duration = Duration::from_millis(100);
/// While many streams run, batches are this far apart, so that each wakes the thread for several rows.
pub(crate) const BATCH_SPACING: Duration = Duration::from_micros(500);
/// With fewer streams than this, nobody is worth waiting for.
const COMPANY: usize = 8;
/// Where the database's pages can wait, its lock is asked for this rarely. A fraction of the time that a look counts for the short way, so
/// that it stays open while streams keep coming.
const LOCK_SPACING: Duration = Duration::from_millis(25);
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
    pub(crate) shortcut: Arc<Shortcut>,
    pub(crate) keys: Arc<ArcSwap<KeyTable>>,
    pub(crate) interrupted: u64,
}

/// Opens the database, closes what a dead gateway left open, and starts the writer and the keeper.
pub(crate) fn start(settings: &LedgerSettings) -> Result<Started, LedgerError> {
    let path = &settings.path;
    // The lock comes first: open rows of a gateway that lives must not be touched.
    let lock = WriterLock::take(path)?;
    let failed = |source| LedgerError::Start { path: path.clone(), source };
    let (tables, mut numbers) = Tables::new(store::open(path, settings.durability)?)?;
    for path in Recent::paths(path) {
        take_left(&tables, &path, &mut numbers)?;
    }
    let interrupted = tables.interrupt_open(&mut numbers)?;
    let recent = Recent::create(Recent::paths(path)).map_err(failed)?;

    let side = store::open(path, settings.durability)?;
    let keys = Arc::new(ArcSwap::from_pointee(KeyTable::load(&side)?));
    let keeper = Keeper::start(side, Arc::clone(&keys)).map_err(failed)?;
    let queue = Arc::new(Queue::new(numbers));
    let shortcut = Arc::new(Shortcut::new(recent));
    if settings.durability == Durability::Power {
        shortcut.close();
    }
    let mut writer = Writer::new(tables, Arc::clone(&shortcut), Arc::clone(&queue), settings);
    let body = move || {
        let (close, result) = writer.run();
        // Only now is the ledger free for the next one, and only then is it told to be closed.
        drop((writer, keeper, lock));
        if let Some(reply) = close {
            let _ = reply.send(result);
        }
    };
    thread::Builder::new().name("ledger".to_owned()).spawn(body).map_err(failed)?;
    Ok(Started { queue, shortcut, keys, interrupted })
}

/// Takes over what a gateway that died had written beside the database only.
fn take_left(tables: &Tables, path: &Path, numbers: &mut Numbers) -> Result<(), LedgerError> {
    match fs::read(path) {
        Ok(bytes) => Ok(tables.take_left(recent::left(&String::from_utf8_lossy(&bytes)), numbers)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(LedgerError::Start { path: path.to_owned(), source }),
    }
}

type CloseReply = oneshot::Sender<Result<(), LedgerError>>;
type Reader = (StreamId, oneshot::Sender<Result<Option<StreamRecord>, LedgerError>>);

/// What waits to be written, and with what.
struct Writer {
    tables: Tables,
    shortcut: Arc<Shortcut>,
    queue: Arc<Queue>,
    /// What the database does not have yet, in order.
    facts: Vec<Fact>,
    texts: Texts,
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
    fn new(tables: Tables, shortcut: Arc<Shortcut>, queue: Arc<Queue>, settings: &LedgerSettings) -> Self {
        let now = Instant::now();
        Self {
            tables,
            shortcut,
            queue,
            facts: Vec::new(),
            texts: Texts::default(),
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
        let mut batch = Batch::default();
        let mut readers: Vec<Reader> = Vec::new();
        let mut close = None;
        let mut goes_on = true;
        while goes_on {
            self.queue.wait(self.patience(), self.batch_at);
            goes_on = self.take_waiting(&mut batch);
            let durable = self.facts.len();
            for request in batch.requests.drain(..) {
                match request {
                    Request::Write { n, row, text } => self.take(n, row, batch.texts.get(text)),
                    Request::Read { id, reply } => readers.push((id, reply)),
                    Request::Close { reply } => close = Some(reply),
                }
            }
            batch.texts.clear();
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

    /// Takes everything, and turns the files of the last moments where that is possible: what is in the one that rests is then taken.
    fn take_waiting(&self, batch: &mut Batch) -> bool {
        let mut recent = self.shortcut.recent();
        recent.turn();
        self.queue.take(batch)
    }

    fn take(&mut self, n: i64, row: Row, text: &[u8]) {
        let text = self.texts.add(text);
        match row {
            Row::Open { mut entry, reply, deadline } => {
                entry.opened = Some(n);
                self.facts.push(Fact::Open { n, id: entry.id(), text, is_noted: false });
                self.waiters.push(Waiter { entry, reply: Some(reply), deadline });
            }
            Row::Noted { id } => {
                self.open += 1;
                self.facts.push(Fact::Open { n, id, text, is_noted: true });
            }
            Row::End { opened, id, place } => {
                self.open = self.open.saturating_sub(1);
                self.facts.push(Fact::End { n, id, opened, text, place });
            }
            Row::Amend { id, place } => self.facts.push(Fact::Amend { n, id, text, place }),
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
        let is_noted = has_fresh && may_wait && self.note(now, durable);
        if is_noted {
            self.tell();
        }
        let must_apply = is_time || (has_fresh && !is_noted);
        if must_apply && !self.facts.is_empty() && !self.apply() && has_fresh && !is_noted {
            // Ends that the database does not take now shall at least survive the process.
            self.shortcut.recent().append(&self.facts[durable..], &self.texts);
        }
    }

    /// Writes facts beside the database. Nothing shall begin that the database would not take, so its lock is asked for even where its pages
    /// can wait, and new streams may take the short way when all is well.
    fn note(&mut self, now: Instant, durable: usize) -> bool {
        let fresh = &self.facts[durable..];
        let looks = now >= self.lock_at && fresh.iter().any(|fact| matches!(fact, Fact::Open { .. }));
        if looks && !self.tables.is_free() {
            return false;
        }
        let is_noted = self.shortcut.recent().append(fresh, &self.texts);
        if looks && is_noted {
            self.lock_at = now + LOCK_SPACING;
            self.shortcut.vouch(now);
        }
        is_noted
    }

    /// Gives the database all facts. False when it does not take them: they stay.
    fn apply(&mut self) -> bool {
        let rows = self.facts.len();
        let applied = self.tables.apply(&self.facts, &self.texts);
        self.apply_at = Instant::now() + if applied.is_ok() { APPLY_SPACING } else { RETRY_PAUSE };
        match &applied {
            Ok(()) => {
                if self.queue.set_failing(false) {
                    tracing::info!(rows, "the ledger is written again");
                }
                self.queue.written(rows);
                self.facts.drain(..).for_each(Fact::tell_written);
                self.texts.clear();
                self.shortcut.recent().free();
                self.shortcut.vouch(Instant::now());
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
        let waiting = self.facts.iter().rev().find_map(|fact| match fact {
            Fact::Open { id: of, text, .. } | Fact::End { id: of, text, .. } | Fact::Amend { id: of, text, .. } if *of == id => {
                Some(row::read(&id.to_string(), self.texts.get(*text)))
            }
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
        if self.facts.is_empty() {
            self.shortcut.recent().forget();
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
        self.shortcut.recent().remove();
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the ledger's own thread; no stream runs on it")]
fn pause(length: Duration) {
    thread::sleep(length);
}

#[cfg(test)]
mod tests;

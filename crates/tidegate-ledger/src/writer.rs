//! The one thread that writes.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rusqlite::{Connection, params};
use tidegate_core::id::StreamId;
use tidegate_core::record::{DisconnectSource, StreamRecord};
use tokio::sync::oneshot;

use crate::entry::IfDropped;
use crate::keeper::Keeper;
use crate::key_table::KeyTable;
use crate::queue::{Queue, Request, Row};
use crate::store::{self, WriterLock, number_at, unix_millis};
use crate::{LedgerError, LedgerSettings, reader};

/// While many streams run, commits begin this far apart, so that each takes several rows. A row that comes after a quiet moment is written
/// at once.
const COMMIT_SPACING: Duration = Duration::from_millis(1);
/// With fewer streams than this, nobody is worth waiting for.
const COMPANY: usize = 8;
/// Pause between attempts while rows cannot be written.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long the last rows are tried at the end.
const LAST_TRIES: Duration = Duration::from_secs(5);
/// How often old rows are looked for, and how many go in one transaction (some milliseconds).
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const SWEEP_AGAIN: Duration = Duration::from_millis(20);
const SWEEP_ROWS: usize = 256;

/// Each side by itself, because SQLite finds the largest key of a table at once and that of a view by reading all of it.
const LAST_NUMBER: &str = "SELECT max(coalesce((SELECT max(n) FROM ended_streams), 0), coalesce((SELECT max(n) FROM open_streams), 0))";

/// What [`start`] made.
pub(crate) struct Started {
    pub(crate) queue: Arc<Queue>,
    pub(crate) keys: Arc<ArcSwap<KeyTable>>,
    pub(crate) interrupted: u64,
}

/// Opens the database, closes what a dead gateway left open, and starts the writer and the keeper.
pub(crate) fn start(settings: LedgerSettings) -> Result<Started, LedgerError> {
    let path = settings.path;
    // The lock comes first: open rows of a gateway that lives must not be touched.
    let lock = WriterLock::take(&path)?;
    let conn = store::open(&path, settings.durability)?;
    let failed = |source| LedgerError::Start { path: path.clone(), source };
    let keys = Arc::new(ArcSwap::from_pointee(KeyTable::load(&conn)?));
    let keeper = Keeper::start(store::open(&path, settings.durability)?, Arc::clone(&keys)).map_err(failed)?;
    let queue = Arc::new(Queue::default());
    let mut writer = Writer::new(conn, Arc::clone(&queue), settings.retention)?;
    let interrupted = writer.interrupt_open_rows()?;
    let body = move || {
        let goodbye = writer.run();
        // Only then is the ledger free for the next one, and only then is it told to be closed.
        drop((keeper, lock));
        if let Some((reply, result)) = goodbye {
            let _ = reply.send(result);
        }
    };
    thread::Builder::new().name("ledger".to_owned()).spawn(body).map_err(failed)?;
    Ok(Started { queue, keys, interrupted })
}

type Goodbye = Option<(oneshot::Sender<Result<(), LedgerError>>, Result<(), LedgerError>)>;
type Reader = (StreamId, oneshot::Sender<Result<Option<StreamRecord>, LedgerError>>);

/// The connection and what waits to be written with it.
struct Writer {
    conn: Connection,
    queue: Arc<Queue>,
    rows: Vec<Row>,
    /// Streams whose open row is written and whose last one is not.
    open: usize,
    last_number: i64,
    last_commit: Instant,
    retention: Duration,
    next_sweep: Instant,
}

impl Writer {
    fn new(conn: Connection, queue: Arc<Queue>, retention: Duration) -> Result<Self, LedgerError> {
        let last_number = conn.query_row(LAST_NUMBER, [], |row| row.get(0))?;
        let now = Instant::now();
        Ok(Self { conn, queue, rows: Vec::new(), open: 0, last_number, last_commit: now, retention, next_sweep: now })
    }

    /// Writes until the queue is closed, then what is left. Returns whom to tell, and what.
    fn run(mut self) -> Goodbye {
        let mut requests = Vec::new();
        let mut readers: Vec<Reader> = Vec::new();
        let mut close = None;
        let mut goes_on = true;
        while goes_on {
            let patience = self.next_sweep.saturating_duration_since(Instant::now());
            let spacing = if self.open < COMPANY { Duration::ZERO } else { COMMIT_SPACING };
            goes_on = self.queue.take(&mut requests, patience, self.last_commit + spacing);
            for request in requests.drain(..) {
                match request {
                    Request::Write(row) => self.rows.push(row),
                    Request::Read { id, reply } => readers.push((id, reply)),
                    Request::Close { reply } => close = Some(reply),
                }
            }
            let written = self.write_rows();
            for (id, reply) in readers.drain(..) {
                let _ = reply.send(reader::get(&self.conn, id));
            }
            if written {
                self.sweep();
            } else {
                pause(RETRY_PAUSE);
            }
        }
        let result = self.write_last_rows();
        close.map(|reply| (reply, result))
    }

    /// Writes all rows in one transaction, then tells those who wait. False when they could not be written: they stay.
    fn write_rows(&mut self) -> bool {
        if self.rows.is_empty() {
            return true;
        }
        self.last_commit = Instant::now();
        let rows = self.rows.len();
        match self.commit_rows() {
            Ok(()) => {
                if self.queue.set_failing(false) {
                    tracing::info!(rows, "the ledger is written again");
                }
                self.queue.written(rows);
                self.tell();
                true
            }
            Err(error) => {
                if !self.queue.set_failing(true) {
                    tracing::error!(%error, rows, "the ledger cannot be written; new streams are refused until it can");
                }
                self.refuse();
                false
            }
        }
    }

    fn commit_rows(&mut self) -> rusqlite::Result<()> {
        let (conn, last_number, rows) = (&self.conn, &mut self.last_number, &mut self.rows);
        in_transaction(conn, || {
            let mut open = conn.prepare_cached("INSERT OR REPLACE INTO open_streams (n, id, record) VALUES (?1, ?2, ?3)")?;
            let mut end = conn.prepare_cached("INSERT OR REPLACE INTO ended_streams (n, id, record) VALUES (?1, ?2, ?3)")?;
            let mut forget = conn.prepare_cached("DELETE FROM open_streams WHERE n = ?1")?;
            let now = number_at(unix_millis());
            for row in rows {
                *last_number = now.max(*last_number + 1);
                match row {
                    Row::Open { record, entry, .. } => {
                        open.execute(params![*last_number, entry.id().to_string(), &*record])?;
                        entry.opened = Some(*last_number);
                    }
                    Row::End { opened, id, record, .. } => {
                        end.execute(params![*last_number, id.to_string(), &*record])?;
                        forget.execute([*opened])?;
                    }
                    Row::GiveUp { opened, as_what, completed_ms, .. } => {
                        give_up(conn, *opened, *last_number, *as_what, Some(*completed_ms))?;
                        forget.execute([*opened])?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Hands each new stream its entry. Where nobody takes it, the entry is dropped, and so the stream's end is the next row to write.
    fn tell(&mut self) {
        let now = Instant::now();
        for row in self.rows.drain(..) {
            let Row::Open { mut entry, reply, deadline, .. } = row else {
                self.open = self.open.saturating_sub(1);
                continue;
            };
            self.open += 1;
            if reply.is_none() || now >= deadline {
                entry.if_dropped = IfDropped::Refused;
            }
            if let Some(reply) = reply {
                let _ = reply.send(Ok(entry));
            }
        }
    }

    /// Answers those who wait that it is not possible now. Their rows stay, so that the ledger later tells of them too.
    fn refuse(&mut self) {
        for row in &mut self.rows {
            if let Row::Open { reply, .. } = row
                && let Some(reply) = reply.take()
            {
                let _ = reply.send(Err(LedgerError::Unavailable));
            }
        }
    }

    /// Closes what a gateway left open that died. Returns how many streams that were.
    fn interrupt_open_rows(&mut self) -> Result<u64, LedgerError> {
        let conn = &self.conn;
        let mut interrupted = 0;
        in_transaction(conn, || {
            let mut select = conn.prepare("SELECT n FROM open_streams ORDER BY n")?;
            let left = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
            for opened in left {
                self.last_number = number_at(unix_millis()).max(self.last_number + 1);
                give_up(conn, opened, self.last_number, IfDropped::Interrupted, None)?;
                interrupted += 1;
            }
            conn.execute("DELETE FROM open_streams", []).map(|_| ())
        })?;
        Ok(interrupted)
    }

    /// Deletes some of the rows that are older than the retention, when it is time to look.
    fn sweep(&mut self) {
        let now = Instant::now();
        if now < self.next_sweep {
            return;
        }
        let age = u64::try_from(self.retention.as_millis()).unwrap_or(u64::MAX);
        let oldest_kept = number_at(unix_millis().saturating_sub(age));
        let deleted =
            self.conn.prepare_cached("DELETE FROM ended_streams WHERE n IN (SELECT n FROM ended_streams WHERE n < ?1 ORDER BY n LIMIT ?2)");
        let deleted = deleted.and_then(|mut delete| delete.execute(params![oldest_kept, SWEEP_ROWS]));
        if let Err(error) = &deleted {
            tracing::warn!(%error, "old records cannot be deleted");
        }
        self.next_sweep = now + if deleted.is_ok_and(|rows| rows == SWEEP_ROWS) { SWEEP_AGAIN } else { SWEEP_EVERY };
    }

    /// Tries the rows that are left when nothing more can come, for a bounded time.
    fn write_last_rows(&mut self) -> Result<(), LedgerError> {
        let end = Instant::now() + LAST_TRIES;
        while !self.write_rows() {
            if Instant::now() >= end {
                tracing::error!(
                    rows = self.rows.len(),
                    "the ledger could not take its last rows; their streams will be marked interrupted"
                );
                return Err(LedgerError::Unavailable);
            }
            pause(RETRY_PAUSE);
        }
        Ok(())
    }
}

/// Moves an open row to the ended ones, with all that it knows and the end that is given.
fn give_up(conn: &Connection, opened: i64, number: i64, as_what: IfDropped, completed_ms: Option<u64>) -> rusqlite::Result<()> {
    let (status, code, source) = as_what.facts();
    // Changed inside SQLite, so that members which only another version knows stay in the record.
    let mut copy = conn.prepare_cached(
        "INSERT OR REPLACE INTO ended_streams (n, id, record)
         SELECT ?1, id, json_set(record, '$.status', ?2, '$.code', ?3, '$.disconnect_source', ?4, '$.completed_ms', ?5)
         FROM open_streams WHERE n = ?6",
    )?;
    copy.execute(params![number, status.name(), code, source.map(DisconnectSource::name), completed_ms, opened]).map(|_| ())
}

/// Runs `work` in one write transaction, all or nothing.
fn in_transaction(conn: &Connection, work: impl FnOnce() -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let done = work().and_then(|()| conn.prepare_cached("COMMIT")?.execute([]).map(|_| ()));
    if done.is_err() && !conn.is_autocommit() {
        // A fault of the rollback tells nothing new: the next BEGIN shows whether the connection is of use.
        let _ = conn.execute_batch("ROLLBACK");
    }
    done
}

#[expect(clippy::disallowed_methods, reason = "this is the ledger's own thread; no stream runs on it")]
fn pause(length: Duration) {
    thread::sleep(length);
}

#[cfg(test)]
mod tests;

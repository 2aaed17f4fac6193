//! The rows of streams in the database.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use tidegate_core::id::StreamId;
use tidegate_core::record::{DisconnectSource, Status, StreamRecord};

use crate::entry::{IfDropped, Place};
use crate::recent::Left;
use crate::row::{self, Column, Span, Texts};
use crate::store::{LOCK_WAIT, Numbers, number_at, unix_millis};

/// Old rows that go in one transaction, which takes some milliseconds.
pub(crate) const SWEEP_ROWS: usize = 256;

/// Each side by itself, because SQLite finds the largest key of a table at once and that of a view by reading all of it.
const LAST_NUMBER: &str = "SELECT max(coalesce((SELECT max(n) FROM ended_streams), 0), coalesce((SELECT max(n) FROM open_streams), 0))";

/// A change of one stream, without its text. What is there already stays, so that applying one twice is the same as once.
#[derive(Debug)]
pub(crate) enum Fact {
    /// It opened; `is_noted` says that [`Recent`](crate::recent::Recent) has the row by the short way.
    Open { n: i64, id: StreamId, text: Span, is_noted: bool },
    /// It ended; `opened` is the number of its open row.
    End { n: i64, id: StreamId, opened: i64, text: Span, place: Place },
    /// It was marked as interrupted, and had ended so.
    Amend { n: i64, id: StreamId, text: Span, place: Place },
    /// It ended without a record of its own.
    GiveUp { n: i64, opened: i64, as_what: IfDropped, completed_ms: u64, place: Place },
}

impl Fact {
    fn number(&self) -> i64 {
        match self {
            Self::Open { n, .. } | Self::End { n, .. } | Self::Amend { n, .. } | Self::GiveUp { n, .. } => *n,
        }
    }

    /// The database has it.
    pub(crate) fn tell_written(self) {
        match self {
            Self::Open { .. } => {}
            Self::End { place, .. } | Self::Amend { place, .. } | Self::GiveUp { place, .. } => place.tell_written(),
        }
    }
}

/// The connection that writes streams.
#[derive(Debug)]
pub(crate) struct Tables {
    conn: Connection,
}

impl Tables {
    /// The tables, and the numbers of the changes to come.
    pub(crate) fn new(conn: Connection) -> rusqlite::Result<(Self, Numbers)> {
        let last = conn.query_row(LAST_NUMBER, [], |row| row.get(0))?;
        Ok((Self { conn }, Numbers::after(last)))
    }

    /// Writes all changes, or none.
    pub(crate) fn apply(&self, facts: &[Fact], texts: &Texts) -> rusqlite::Result<()> {
        in_transaction(&self.conn, |conn| {
            // Ignoring what is there is cheaper than replacing it: nothing can have to be undone row by row.
            let mut open = conn.prepare_cached("INSERT OR IGNORE INTO open_streams (n, id, record) VALUES (?1, ?2, ?3)")?;
            let mut end = conn.prepare_cached("INSERT OR IGNORE INTO ended_streams (n, id, record) VALUES (?1, ?2, ?3)")?;
            let mut close = conn.prepare_cached("DELETE FROM open_streams WHERE n = ?1")?;
            // Most streams of a busy gateway open and end within one call: their open row need not be made to be deleted.
            // Numbers grow, so what opened after the first of these facts opened among them.
            let first = facts.first().map_or(i64::MAX, Fact::number);
            let ending = |fact: &Fact| if let Fact::End { opened, .. } = fact { Some(*opened) } else { None };
            let mut short: Vec<i64> = facts.iter().filter_map(ending).filter(|opened| *opened >= first).collect();
            short.sort_unstable();
            let column = |text: &Span| Column(texts.get(*text));
            for fact in facts {
                match fact {
                    Fact::Open { n, .. } if short.binary_search(n).is_ok() => {}
                    Fact::Open { n, id, text, .. } => {
                        open.execute(params![n, id.to_string(), column(text)])?;
                    }
                    Fact::End { n, id, opened, text, .. } => {
                        end.execute(params![n, id.to_string(), column(text)])?;
                        if *opened < first {
                            close.execute([opened])?;
                        }
                    }
                    Fact::Amend { n, id, text, .. } => amend(conn, *n, *id, column(text))?,
                    Fact::GiveUp { n, opened, as_what, completed_ms, .. } => {
                        give_up(conn, *opened, *n, *as_what, Some(*completed_ms))?;
                        close.execute([opened])?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Whether nobody else holds the database's lock now; costs a few microseconds. Where somebody does, `apply` is what waits.
    pub(crate) fn is_free(&self) -> bool {
        self.without_waiting(|conn| in_transaction(conn, |_| Ok(()))).is_ok()
    }

    /// Takes what a gateway that died had not written here yet. Rows that are here already stay as they are.
    pub(crate) fn take_left<'a>(&self, left: impl Iterator<Item = Left<'a>>, numbers: &mut Numbers) -> rusqlite::Result<()> {
        let rows: Vec<_> = left.map(|left| (numbers.next(), left)).collect();
        in_transaction(&self.conn, |conn| {
            let mut open = conn.prepare(
                "INSERT OR IGNORE INTO open_streams (n, id, record) SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM ended_streams WHERE id = ?2)",
            )?;
            let mut end = conn.prepare("INSERT OR IGNORE INTO ended_streams (n, id, record) VALUES (?1, ?2, ?3)")?;
            let mut close = conn.prepare("DELETE FROM open_streams WHERE id = ?1")?;
            for (n, left) in rows {
                if left.ended {
                    end.execute(params![n, left.id, left.record])?;
                    close.execute([left.id])?;
                } else {
                    open.execute(params![n, left.id, left.record])?;
                }
            }
            Ok(())
        })
    }

    /// Closes what a gateway left open that died. Returns how many streams that were.
    pub(crate) fn interrupt_open(&self, numbers: &mut Numbers) -> rusqlite::Result<u64> {
        let left: Vec<i64> = {
            let mut select = self.conn.prepare("SELECT n FROM open_streams ORDER BY n")?;
            select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?
        };
        let changes: Vec<(i64, i64)> = left.into_iter().map(|opened| (opened, numbers.next())).collect();
        in_transaction(&self.conn, |conn| {
            for &(opened, n) in &changes {
                give_up(conn, opened, n, IfDropped::Interrupted, None)?;
            }
            conn.execute("DELETE FROM open_streams", []).map(|_| ())
        })?;
        Ok(u64::try_from(changes.len()).unwrap_or(u64::MAX))
    }

    /// Deletes at most [`SWEEP_ROWS`] of the ended streams that are older than `age`. Returns how many.
    pub(crate) fn sweep(&self, age: Duration) -> rusqlite::Result<usize> {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let first_kept = number_at(unix_millis().saturating_sub(age));
        // Streams may wait behind it, and it can be done another time.
        self.without_waiting(|conn| {
            conn.prepare_cached("DELETE FROM ended_streams WHERE n IN (SELECT n FROM ended_streams WHERE n < ?1 ORDER BY n LIMIT ?2)")?
                .execute(params![first_kept, SWEEP_ROWS])
        })
    }

    fn without_waiting<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        self.conn.busy_timeout(Duration::ZERO)?;
        let done = work(&self.conn);
        self.conn.busy_timeout(LOCK_WAIT)?;
        done
    }

    pub(crate) fn get(&self, id: StreamId) -> rusqlite::Result<Option<StreamRecord>> {
        get(&self.conn, id)
    }
}

/// One record, on any connection to a ledger.
pub(crate) fn get(conn: &Connection, id: StreamId) -> rusqlite::Result<Option<StreamRecord>> {
    conn.prepare_cached("SELECT id, record FROM streams WHERE id = ?1")?.query_row([id.to_string()], row::record).optional()
}

/// Moves an open row to the ended ones, with all that it knows and the end that is given.
fn give_up(conn: &Connection, opened: i64, n: i64, as_what: IfDropped, completed_ms: Option<u64>) -> rusqlite::Result<()> {
    let (status, code, source) = as_what.facts();
    // Changed inside SQLite, so that members which only another version knows stay in the record.
    let mut copy = conn.prepare_cached(
        "INSERT OR REPLACE INTO ended_streams (n, id, record)
         SELECT ?1, id, json_set(iif(json_valid(record), record, '{}'), '$.status', ?2, '$.code', ?3, '$.disconnect_source', ?4, '$.completed_ms', ?5)
         FROM open_streams WHERE n = ?6",
    )?;
    copy.execute(params![n, status.name(), code, source.map(DisconnectSource::name), completed_ms, opened]).map(|_| ())
}

/// Says of a stream that was marked as interrupted how it had ended.
fn amend(conn: &Connection, n: i64, id: StreamId, record: Column<'_>) -> rusqlite::Result<()> {
    let mut replace = conn.prepare_cached(
        "INSERT OR REPLACE INTO ended_streams (n, id, record)
         SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM ended_streams WHERE id = ?2 AND record ->> 'status' = ?4)",
    )?;
    replace.execute(params![n, id.to_string(), record, Status::Interrupted.name()]).map(|_| ())
}

/// Runs `work` in one write transaction, all or nothing.
fn in_transaction(conn: &Connection, work: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let done = work(conn).and_then(|()| conn.prepare_cached("COMMIT")?.execute([]).map(|_| ()));
    if done.is_err() && !conn.is_autocommit() {
        // A fault of the rollback tells nothing new: the next BEGIN shows whether the connection is of use.
        let _ = conn.execute_batch("ROLLBACK");
    }
    done
}

#[cfg(test)]
mod tests;

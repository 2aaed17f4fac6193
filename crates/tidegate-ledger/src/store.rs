//! The database file: opened, brought up to date, and kept from a second writer.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::{Durability, LedgerError};

/// One script for each version; the database's `user_version` says how many have run.
const MIGRATIONS: &[&str] = &[include_str!("migrations/1.sql"), include_str!("migrations/2.sql"), include_str!("migrations/3.sql")];

/// Longest wait for another process's write, which takes milliseconds. Half of the default wait of `begin`, so that a locked file is told as
/// what it is also on a busy machine.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(1);

/// Bytes of a page of a new database. A busy gateway's commit writes hundreds of records at once, one behind the other: in pages that hold a
/// dozen of them it takes a quarter of the writes, and leaves less room unused.
const PAGE: i32 = 16 * 1024;

/// Bytes to which the log may grow before the writer itself copies it back; normally the keeper has done so long before.
const LOG_BYTES: i32 = 64 * 1024 * 1024;

/// A transaction's pages should fit, or they are written twice. Taken only as far as it is used.
const CACHE_KIB: i32 = 16 * 1024;

/// Opens the database for writing, makes it where there is none, and brings it up to date.
pub(crate) fn open(path: &Path, durability: Durability) -> Result<Connection, LedgerError> {
    let failed = |source| LedgerError::Open { path: path.to_owned(), source };
    let mut conn = Connection::open(path).map_err(failed)?;
    prepare(&conn, durability).map_err(failed)?;
    match migrate(&mut conn).map_err(failed)? {
        found if found > MIGRATIONS.len() => Err(newer(path, found)),
        _ => Ok(conn),
    }
}

/// Opens an existing, up-to-date database for reading only.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, LedgerError> {
    let absent = || LedgerError::Absent { path: path.to_owned() };
    if !path.exists() {
        return Err(absent());
    }
    let failed = |source| LedgerError::Open { path: path.to_owned(), source };
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    conn.busy_timeout(LOCK_WAIT).map_err(failed)?;
    match version(&conn).map_err(failed)? {
        found if found > MIGRATIONS.len() => Err(newer(path, found)),
        found if found < MIGRATIONS.len() => Err(absent()),
        _ => Ok(conn),
    }
}

fn newer(path: &Path, found: usize) -> LedgerError {
    LedgerError::Newer { path: path.to_owned(), found, known: MIGRATIONS.len() }
}

fn prepare(conn: &Connection, durability: Durability) -> rusqlite::Result<()> {
    conn.busy_timeout(LOCK_WAIT)?;
    conn.pragma_update(None, "page_size", PAGE)?;
    // Readers never wait for the writer, and a commit is one append to the log.
    conn.pragma_update(None, "journal_mode", "wal")?;
    let synchronous = match durability {
        Durability::Process => "normal",
        Durability::Power => "full",
    };
    conn.pragma_update(None, "synchronous", synchronous)?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // A ledger of an earlier version keeps the pages that it was made with.
    let page: i32 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
    conn.pragma_update(None, "wal_autocheckpoint", LOG_BYTES / page)
}

/// Runs the scripts that have not run. Returns the version found where it is newer than all of them, and the newest known otherwise.
fn migrate(conn: &mut Connection) -> rusqlite::Result<usize> {
    if version(conn)? >= MIGRATIONS.len() {
        return version(conn);
    }
    // Looked at again inside the transaction: another process may have done it meanwhile.
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    for script in MIGRATIONS.iter().skip(found) {
        transaction.execute_batch(script)?;
    }
    transaction.pragma_update(None, "user_version", i64::try_from(MIGRATIONS.len().max(found)).unwrap_or(i64::MAX))?;
    transaction.commit()?;
    Ok(found.max(MIGRATIONS.len()))
}

fn version(conn: &Connection) -> rusqlite::Result<usize> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// The right to be the one writer of streams, given back when dropped and by the system when the process dies.
///
/// A file of its own beside the database, because SQLite's own locks would keep `tidegate keys` out as well.
#[derive(Debug)]
pub(crate) struct WriterLock(#[expect(dead_code, reason = "held, not read: closing the file gives the lock back")] File);

impl WriterLock {
    pub(crate) fn take(path: &Path) -> Result<Self, LedgerError> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let failed = |source| LedgerError::Start { path: path.to_owned(), source };
        let file = File::options().create(true).truncate(false).write(true).open(PathBuf::from(beside)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(LedgerError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// Milliseconds since the Unix epoch, by the calendar.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Gives changes their numbers.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    last: i64,
}

impl Numbers {
    /// The numbers above `last`.
    pub(crate) fn after(last: i64) -> Self {
        Self { last }
    }

    /// The number of a change that happens now: greater than every one before, whatever the calendar's clock does.
    pub(crate) fn next(&mut self) -> i64 {
        self.last = number_at(unix_millis()).max(self.last + 1);
        self.last
    }
}

/// The lowest row number of a change at this time. See `migrations/1.sql`.
pub(crate) fn number_at(unix_millis: u64) -> i64 {
    i64::try_from(u128::from(unix_millis) << 20).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

//! A connection beside the writer's, for what is written rarely.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use crate::{Durability, LedgerError, store};

/// Does its work on the runtime's blocking threads, one piece after the other, so that no stream waits for the disk.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    conn: Arc<Mutex<Connection>>,
}

impl Side {
    /// What it writes survives what the records survive: the end of the process.
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        Ok(Self { conn: Arc::new(Mutex::new(store::open(path, Durability::Process)?)) })
    }

    /// Runs `work` and returns what it found. Dropped, the work is done all the same.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let conn = Arc::clone(&self.conn);
        // No work opens a transaction of its own, so a panic cannot have left one open.
        let done = tokio::task::spawn_blocking(move || work(&conn.lock().unwrap_or_else(PoisonError::into_inner))).await;
        // Not done only when the runtime ends.
        Ok(done.map_err(|_| LedgerError::Unavailable)??)
    }
}

/// Deletes a few of the rows of `table` that have expired. Returns how many.
///
/// Nothing is locked where there are none, and never for long: streams may wait behind it.
pub(crate) fn sweep(conn: &Connection, table: &'static str, now_unix_ms: u64) -> rusqlite::Result<usize> {
    let any = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE expires_ms <= ?1)");
    if !conn.prepare_cached(&any)?.query_row([now_unix_ms], |row| row.get::<_, bool>(0))? {
        return Ok(0);
    }
    let delete = format!("DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE expires_ms <= ?1 LIMIT {SWEEP_ROWS})");
    conn.prepare_cached(&delete)?.execute([now_unix_ms])
}

/// A result may be large, and all of its pages are given back.
const SWEEP_ROWS: usize = 64;

//! Answers made in the background, kept until somebody asks for them.

use std::path::Path;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use tidegate_core::id::StreamId;

use crate::LedgerError;
use crate::side::{self, Side};
use crate::store::unix_millis;

/// The answers of background streams, in the ledger's file. A cheap handle.
///
/// They survive the end of the process. The running gateway's [`Ledger`](crate::Ledger) deletes what has expired.
#[derive(Debug, Clone)]
pub struct Results {
    side: Side,
}

impl Results {
    /// Opens the results of the ledger at `path`, making the ledger where there is none. Blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Open`] and [`LedgerError::Newer`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        Ok(Self { side: Side::open(path.as_ref())? })
    }

    /// Keeps a stream's answer until a time in milliseconds since the Unix epoch. It takes the place of what was kept for that stream before.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`] when it cannot be written, or not within a second because another process writes; an answer of a
    /// gigabyte is too large. [`LedgerError::Unavailable`] while the runtime ends.
    ///
    /// # Cancel safety
    ///
    /// Safe: the answer is written all the same.
    pub async fn put(&self, stream: StreamId, expires_unix_ms: u64, body: Bytes) -> Result<(), LedgerError> {
        let put = move |conn: &Connection| {
            conn.prepare_cached("INSERT OR REPLACE INTO results (stream, expires_ms, body) VALUES (?1, ?2, ?3)")?.execute(params![
                stream.to_string(),
                expires_unix_ms,
                &body[..]
            ])
        };
        self.side.run(put).await.map(|_| ())
    }

    /// The stream's answer, byte for byte. `None` where none was kept, or when it has expired.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`], [`LedgerError::Unavailable`] while the runtime ends.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn get(&self, stream: StreamId) -> Result<Option<Bytes>, LedgerError> {
        let get = move |conn: &Connection| {
            conn.prepare_cached("SELECT body FROM results WHERE stream = ?1 AND expires_ms > ?2")?
                .query_row(params![stream.to_string(), unix_millis()], |row| row.get::<_, Vec<u8>>(0))
                .optional()
        };
        Ok(self.side.run(get).await?.map(Bytes::from))
    }
}

/// Deletes some of the answers that have expired. Returns how many.
pub(crate) fn sweep(conn: &Connection, now_unix_ms: u64) -> rusqlite::Result<usize> {
    side::sweep(conn, "results", now_unix_ms)
}

#[cfg(test)]
mod tests;

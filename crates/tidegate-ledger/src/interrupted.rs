//! Streams that a killed process left open, for whoever keeps a second account of how streams end.

use std::path::Path;

use rusqlite::{Connection, params};
use tidegate_core::record::{Status, StreamRecord};

use crate::side::Side;
use crate::store::number_at;
use crate::{Cursor, LedgerError, row};

/// The interrupted streams of a ledger that were not compared with that account yet. How far that was done stands in the ledger, so each start
/// has only the streams of the last end to look for, and those of the one before where it had no time.
#[derive(Debug)]
pub struct Interrupted {
    side: Side,
}

impl Interrupted {
    /// Opens the ledger at `path`, which another handle may write. Blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Open`] and [`LedgerError::Newer`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        Ok(Self { side: Side::open(path.as_ref())? })
    }

    /// Those that were not compared yet and are marked as interrupted since a time in milliseconds since the Unix epoch, and up to where that is.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`], [`LedgerError::Unavailable`] while the runtime ends.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn list(&self, since_unix_ms: u64) -> Result<(Vec<StreamRecord>, Cursor), LedgerError> {
        let list = move |conn: &Connection| {
            let mut select = conn.prepare(
                "SELECT n, id, record FROM streams
                 WHERE n >= ?1 AND n > (SELECT max(n) FROM compared) AND status = ?2 ORDER BY n",
            )?;
            let mut rows = select.query(params![number_at(since_unix_ms), Status::Interrupted.name()])?;
            let (mut records, mut last) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                last = row.get("n")?;
                records.push(row::record(row)?);
            }
            Ok((records, Cursor::of(last)))
        };
        self.side.run(list).await
    }

    /// Those up to there are compared.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`], [`LedgerError::Unavailable`] while the runtime ends: they are listed again.
    ///
    /// # Cancel safety
    ///
    /// Safe: it is written all the same.
    pub async fn compared(&self, up_to: Cursor) -> Result<(), LedgerError> {
        let note = move |conn: &Connection| conn.execute("UPDATE compared SET n = max(n, ?1)", [up_to.number()]);
        self.side.run(note).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests;

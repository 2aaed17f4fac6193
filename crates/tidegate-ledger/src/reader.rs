//! Looking into the ledger from beside the gateway: `tidegate streams` and the admin page.

use std::path::Path;

use rusqlite::{Connection, named_params};
use tidegate_core::id::StreamId;
use tidegate_core::record::{Status, StreamRecord};

use crate::store::{self, number_at, unix_millis};
use crate::{LedgerError, row, tables};

/// Which records a list shows. What is `None` does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// How it ended, or that it runs.
    pub status: Option<StatusFilter>,
    /// The model as the client named it.
    pub model: Option<&'a str>,
    /// The key's team.
    pub team: Option<&'a str>,
    /// The key's id.
    pub key: Option<&'a str>,
    /// Last changed at or after this time, in milliseconds since the Unix epoch. The other conditions read every record since then.
    pub since_unix_ms: Option<u64>,
}

/// A condition on how a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    /// It runs.
    Open,
    /// It ended in this way.
    Is(Status),
}

/// A place in the order of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(i64);

impl Cursor {
    /// The place after everything that has happened by now.
    #[must_use]
    pub fn now() -> Self {
        Self::at(unix_millis().saturating_add(1))
    }

    /// The place before everything that happens at or after a time in milliseconds since the Unix epoch.
    #[must_use]
    pub fn at(unix_ms: u64) -> Self {
        Self(number_at(unix_ms).saturating_sub(1))
    }

    pub(crate) fn of(number: i64) -> Self {
        Self(number)
    }

    pub(crate) fn number(self) -> i64 {
        self.0
    }
}

/// A read-only view of a ledger, whether a gateway writes it or not. Blocks while it reads and never holds a writer up.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
}

impl Reader {
    /// Opens the ledger at `path` for reading.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Absent`], [`LedgerError::Newer`], [`LedgerError::Open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        Ok(Self { conn: store::open_to_read(path.as_ref())? })
    }

    /// One stream's record.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`].
    pub fn get(&self, id: StreamId) -> Result<Option<StreamRecord>, LedgerError> {
        Ok(tables::get(&self.conn, id)?)
    }

    /// The records that pass the filter, last changed first, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`].
    pub fn list(&self, filter: &Filter<'_>, limit: u32) -> Result<Vec<StreamRecord>, LedgerError> {
        let mut select = self.conn.prepare_cached(
            "SELECT id, record FROM streams
             WHERE n >= :since
               AND CASE :status WHEN '' THEN 1 WHEN 'open' THEN status IS NULL ELSE status = :status END
               AND (:model IS NULL OR model = :model) AND (:team IS NULL OR team = :team) AND (:key IS NULL OR key_id = :key)
             ORDER BY n DESC LIMIT :limit",
        )?;
        let status = match filter.status {
            None => "",
            Some(StatusFilter::Open) => "open",
            Some(StatusFilter::Is(status)) => status.name(),
        };
        let records = select.query_map(
            named_params! {
                ":since": number_at(filter.since_unix_ms.unwrap_or(0)),
                ":status": status,
                ":model": filter.model,
                ":team": filter.team,
                ":key": filter.key,
                ":limit": limit,
            },
            row::record,
        )?;
        Ok(records.collect::<rusqlite::Result<_>>()?)
    }

    /// What changed after `cursor`, in order, at most `limit` records, and the cursor for the next call. A stream comes when it opens and when
    /// it ends; one that did both in between comes once.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`].
    pub fn tail(&self, cursor: Cursor, limit: u32) -> Result<(Vec<StreamRecord>, Cursor), LedgerError> {
        let mut select = self.conn.prepare_cached("SELECT n, id, record FROM streams WHERE n > ?1 ORDER BY n LIMIT ?2")?;
        let mut rows = select.query((cursor.0, limit))?;
        let (mut records, mut cursor) = (Vec::new(), cursor);
        while let Some(row) = rows.next()? {
            cursor = Cursor(row.get("n")?);
            records.push(row::record(row)?);
        }
        Ok((records, cursor))
    }
}

#[cfg(test)]
mod tests;

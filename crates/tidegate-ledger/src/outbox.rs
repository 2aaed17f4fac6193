//! Webhooks that have to go out, kept until they did.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::LedgerError;
use crate::side::{self, Side};
use crate::store::unix_millis;

/// Messages that may wait, where nobody says otherwise: at 20 kB each they take 200 MB of disk.
pub const DEFAULT_CAPACITY: u32 = 10_000;

const DUE: &str = "SELECT id, host, url, body, attempts, expires_ms FROM outbox
    WHERE next_try_ms <= ?1 AND expires_ms > ?1 AND host NOT IN (SELECT value FROM json_each(?2)) ORDER BY next_try_ms LIMIT 1";
const NEXT_DUE: &str = "SELECT next_try_ms FROM outbox
    WHERE expires_ms > ?1 AND host NOT IN (SELECT value FROM json_each(?2)) ORDER BY next_try_ms LIMIT 1";

/// A message that has to go out. It holds no secret: it is signed anew for each attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id (`msg_…`), the same for every attempt. A message whose id waits already is not added again.
    pub id: String,
    /// The host of `url`. Of the messages for one host, one is due at a time.
    pub host: String,
    /// Where it goes.
    pub url: String,
    /// What it says.
    pub body: String,
    /// When it is no longer worth a try, in milliseconds since the Unix epoch.
    pub expires_unix_ms: u64,
    /// Attempts made so far.
    pub attempts: u32,
}

/// Why a message was not added.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// As many messages wait as may.
    #[error("{0} webhooks wait already, which is all that may")]
    Full(u32),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The messages that wait, in the ledger's file. A cheap handle.
///
/// What was added survives the end of the process. The running gateway's [`Ledger`](crate::Ledger) deletes what has expired, and says so in
/// the log.
#[derive(Debug, Clone)]
pub struct Outbox {
    side: Side,
    capacity: u32,
}

impl Outbox {
    /// Opens the outbox of the ledger at `path`, making the ledger where there is none. At most `capacity` messages wait in it
    /// ([`DEFAULT_CAPACITY`]). Blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Open`] and [`LedgerError::Newer`].
    pub fn open(path: impl AsRef<Path>, capacity: u32) -> Result<Self, LedgerError> {
        Ok(Self { side: Side::open(path.as_ref())?, capacity })
    }

    /// Keeps a message, due at once.
    ///
    /// # Errors
    ///
    /// [`OutboxError::Full`]; [`OutboxError::Ledger`] when it cannot be written.
    ///
    /// # Cancel safety
    ///
    /// Safe: the message is added all the same.
    pub async fn add(&self, message: Message) -> Result<(), OutboxError> {
        let capacity = self.capacity;
        let add = move |conn: &Connection| {
            let added = conn
                .prepare_cached(
                    "INSERT OR IGNORE INTO outbox (id, next_try_ms, host, expires_ms, attempts, url, body)
                     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE (SELECT count(*) FROM outbox) < ?8",
                )?
                .execute(params![
                    message.id,
                    unix_millis(),
                    message.host,
                    message.expires_unix_ms,
                    message.attempts,
                    message.url,
                    message.body,
                    capacity
                ])?;
            Ok(added == 1 || is_waiting(conn, &message.id)?)
        };
        if self.side.run(add).await? { Ok(()) } else { Err(OutboxError::Full(capacity)) }
    }

    /// The message that is due for the longest time, of a host that is not among `busy`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`], [`LedgerError::Unavailable`] while the runtime ends.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn due(&self, now_unix_ms: u64, busy: Vec<String>) -> Result<Option<Message>, LedgerError> {
        let due = move |conn: &Connection| conn.prepare_cached(DUE)?.query_row(params![now_unix_ms, list(&busy)], message).optional();
        self.side.run(due).await
    }

    /// When the next message of a host that is not among `busy` is due, in milliseconds since the Unix epoch; that may have been long ago.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`], [`LedgerError::Unavailable`] while the runtime ends.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn next_due(&self, now_unix_ms: u64, busy: Vec<String>) -> Result<Option<u64>, LedgerError> {
        let next = move |conn: &Connection| {
            conn.prepare_cached(NEXT_DUE)?.query_row(params![now_unix_ms, list(&busy)], |row| row.get(0)).optional()
        };
        self.side.run(next).await
    }

    /// Notes that `attempts` attempts have failed and when the next one is due, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`], [`LedgerError::Unavailable`] while the runtime ends.
    ///
    /// # Cancel safety
    ///
    /// Safe: it is noted all the same.
    pub async fn failed(&self, id: String, attempts: u32, next_try_unix_ms: u64) -> Result<(), LedgerError> {
        let note = move |conn: &Connection| {
            conn.prepare_cached("UPDATE outbox SET attempts = ?2, next_try_ms = ?3 WHERE id = ?1")?.execute(params![
                id,
                attempts,
                next_try_unix_ms
            ])
        };
        self.side.run(note).await.map(|_| ())
    }

    /// Forgets a message that was delivered or given up.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`], [`LedgerError::Unavailable`] while the runtime ends.
    ///
    /// # Cancel safety
    ///
    /// Safe: it is forgotten all the same.
    pub async fn forget(&self, id: String) -> Result<(), LedgerError> {
        self.side.run(move |conn| conn.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute([id])).await.map(|_| ())
    }
}

/// Deletes some of the messages that have expired. Returns how many.
pub(crate) fn sweep(conn: &Connection, now_unix_ms: u64) -> rusqlite::Result<usize> {
    side::sweep(conn, "outbox", now_unix_ms)
}

fn is_waiting(conn: &Connection, id: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox WHERE id = ?1)")?.query_row([id], |row| row.get(0))
}

fn list(hosts: &[String]) -> String {
    serde_json::json!(hosts).to_string()
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        id: row.get("id")?,
        host: row.get("host")?,
        url: row.get("url")?,
        body: row.get("body")?,
        expires_unix_ms: row.get("expires_ms")?,
        attempts: row.get("attempts")?,
    })
}

#[cfg(test)]
mod tests;

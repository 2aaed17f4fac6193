//! The handle that the gateway holds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tidegate_core::id::StreamId;
use tidegate_core::record::StreamRecord;
use tokio::sync::oneshot;
use tokio::time;

use crate::entry::{Entry, IfDropped, Place, Shared};
use crate::key_table::KeyTable;
use crate::queue::{Request, Row};
use crate::reply::Answer;
use crate::shortcut::Shortcut;
use crate::turn::Seat;
use crate::{LedgerError, row, writer};

/// Where the ledger is and what it may hold.
#[derive(Debug, Clone)]
pub struct LedgerSettings {
    /// The SQLite file, made where there is none. `<path>-wal`, `<path>-shm`, `<path>.recent`, `<path>.recent2`
    /// and `<path>.lock` stand beside it; copy all of them or none. No network file system.
    pub path: PathBuf,
    /// Time after its last change at which a record is deleted. Default 30 days.
    pub retention: Duration,
    /// Streams that may be open at once. Keep it at or above the admission limit, or admission is refused here. Default 10,000.
    ///
    /// As many again may have ended and wait for their last row; beyond that [`Ledger::begin`] answers [`LedgerError::Full`].
    pub capacity: usize,
    /// Longest wait of [`Ledger::begin`] and [`Ledger::stream`]. Default 2 s; keep it above 1 s, for which a lock of another process is waited.
    pub wait: Duration,
    /// What a row survives. Default [`Durability::Process`].
    pub durability: Durability,
}

impl LedgerSettings {
    /// The defaults, for the ledger at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            retention: Duration::from_secs(30 * 24 * 60 * 60),
            capacity: 10_000,
            wait: Duration::from_secs(2),
            durability: Durability::Process,
        }
    }
}

/// What a row survives once it counts as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, `kill -9` included. A power cut or a crash of the system may lose the last seconds, never the older rows.
    Process,
    /// A power cut too: each commit waits for the disk, some milliseconds.
    Power,
}

/// What [`Ledger::open`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Streams that ran when their gateway died; they are `interrupted` now.
    pub interrupted: u64,
}

/// A stream that is about to begin.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Its id, the same as in the record.
    pub id: StreamId,
    /// When it arrived, in milliseconds since the Unix epoch.
    pub created_unix_ms: u64,
    /// What is known of it: `status` is `None`. In a box, because the stream keeps it until its end.
    pub record: Box<StreamRecord>,
}

/// The ledger of a running gateway: a cheap handle to its one writer.
///
/// When the last handle and the last [`Entry`] are gone, the writer writes what waits and ends.
#[derive(Debug, Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
    shortcut: Arc<Shortcut>,
    wait: Duration,
    keys: Arc<ArcSwap<KeyTable>>,
}

impl Ledger {
    /// Opens the ledger, marks the streams of a gateway that died as `interrupted`, and starts the writer. Blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// [`LedgerError::InUse`] while another gateway writes it, [`LedgerError::Newer`] for a later version's file, [`LedgerError::Open`] for
    /// a file that is no database or cannot be made, [`LedgerError::Start`] for the lock file or the threads.
    #[expect(clippy::needless_pass_by_value, reason = "settings belong to one ledger")]
    pub fn open(settings: LedgerSettings) -> Result<(Self, Opened), LedgerError> {
        let wait = settings.wait;
        let places = settings.capacity.saturating_mul(2);
        let started = writer::start(&settings)?;
        let shared = Arc::new(Shared::new(started.queue, places));
        Ok((Self { shared, shortcut: started.shortcut, wait, keys: started.keys }, Opened { interrupted: started.interrupted }))
    }

    /// Reserves the stream's place and returns when its open row is durable. Nothing that costs may be asked for before.
    ///
    /// The row is on its way as soon as this is called, so the future holds no record. While the database is known to be well, the row is
    /// durable before this returns and nothing is waited for: the call itself makes one small write to a file. In a crowd, the write is made for all
    /// that are ready in the same turn of the event loop, one turn later.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Full`] at once when all places are taken; [`LedgerError::Unavailable`] at once while rows cannot be written, and
    /// after [`LedgerSettings::wait`] at the latest.
    ///
    /// # Cancel safety
    ///
    /// Dropping it means that the client left: the stream is recorded as `cancelled_before_output`, `client_gone`.
    pub fn begin(&self, opening: &Opening) -> impl Future<Output = Result<Entry, LedgerError>> + Send + use<> {
        let begun = self.hand_over(opening);
        let wait = self.wait;
        async move {
            let begun = match begun? {
                Begun::InTurn(seat) => seat.noted().await.ok_or(LedgerError::Unavailable)?,
                Begun::Noted(entry) => Ok(entry),
                Begun::Waits(answer) => Err(answer),
            };
            let mut entry = match begun {
                Ok(entry) => entry,
                Err(answer) => {
                    let Ok(Ok(told)) = time::timeout(wait, answer).await else { return Err(LedgerError::Unavailable) };
                    told.result?
                }
            };
            entry.if_dropped = IfDropped::Internal;
            Ok(entry)
        }
    }

    fn hand_over(&self, opening: &Opening) -> Result<Begun, LedgerError> {
        if !self.is_available() {
            return Err(LedgerError::Unavailable);
        }
        let place = Place::take(&self.shared).ok_or(LedgerError::Full)?;
        let mut entry = Entry::new(opening.id, opening.created_unix_ms, place);
        row::with_text(&opening.record, |text| {
            let (id, now, queue) = (opening.id, Instant::now(), &self.shared.queue);
            if !self.shortcut.is_in_crowd(now)
                && let Ok(_noted) = self.shortcut.note(now, [(id, text)])
            {
                entry.opened = Some(queue.write(Row::Noted { id }, text).ok_or(LedgerError::Unavailable)?);
                return Ok(Begun::Noted(entry));
            }
            let deadline = now + self.wait;
            if self.shortcut.is_open(now) {
                return Ok(Begun::InTurn(Seat::take(&self.shortcut, queue, entry, text, deadline)));
            }
            queue.open(entry, text, deadline).map(Begun::Waits).ok_or(LedgerError::Unavailable)
        })
    }

    /// Says how a stream had ended that was marked as interrupted, because its gateway died before it could write so; returns when that is in
    /// the database. A stream that ended otherwise stays as it is.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Full`] at once; [`LedgerError::Unavailable`] where it is not there in time: it is on its way.
    ///
    /// # Cancel safety
    ///
    /// Safe: it is on its way.
    pub async fn amend(&self, id: StreamId, record: &StreamRecord) -> Result<(), LedgerError> {
        let mut place = Place::take(&self.shared).ok_or(LedgerError::Full)?;
        let written = place.tells_when_written();
        row::with_text(record, |text| self.shared.queue.write(Row::Amend { id, place }, text));
        match time::timeout(self.wait, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(LedgerError::Unavailable),
        }
    }

    /// Rows that wait to be written.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.queue.pending()
    }

    /// False while rows cannot be written and [`Self::begin`] refuses. Settled streams are kept meanwhile and written as soon as it is possible.
    #[must_use]
    pub fn is_available(&self) -> bool {
        !self.shared.queue.is_failing()
    }

    /// The keys in force, renewed within a second after `tidegate keys` has changed them, without a query for each request.
    #[must_use]
    pub fn keys(&self) -> Arc<ArcSwap<KeyTable>> {
        Arc::clone(&self.keys)
    }

    /// One stream's record, running or ended. What was settled before this call is in it.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`] when it cannot be read, [`LedgerError::Unavailable`] after [`LedgerSettings::wait`] or [`Self::close`].
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn stream(&self, id: StreamId) -> Result<Option<StreamRecord>, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.shared.queue.ask(Request::Read { id, reply });
        match time::timeout(self.wait, answer).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) | Err(_) => Err(LedgerError::Unavailable),
        }
    }

    /// Writes everything that waits and gives the ledger back. Call it when the streams have ended: one that is still open stays so in the
    /// file and becomes `interrupted` at the next start.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Unavailable`] when rows could not be written within five seconds, or when it is closed already.
    ///
    /// # Cancel safety
    ///
    /// Safe: the writer goes on by itself.
    pub async fn close(self) -> Result<(), LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.shortcut.close();
        self.shared.queue.ask(Request::Close { reply });
        answer.await.unwrap_or(Err(LedgerError::Unavailable))
    }
}

/// An open row on its way.
enum Begun {
    /// Durable, by the short way.
    Noted(Entry),
    /// On the short way together with others.
    InTurn(Seat),
    /// With the writer, who answers.
    Waits(Answer),
}

#[cfg(test)]
mod tests;

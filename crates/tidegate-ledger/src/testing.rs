//! What the tests of this crate share.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tidegate_core::id::StreamId;
use tidegate_core::record::{Status, StreamRecord};

use crate::store::unix_millis;
use crate::{Ledger, LedgerSettings, Opening};

/// A folder with a ledger in it.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.0.path().join("ledger.db")
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn open(&self) -> Ledger {
        Ledger::open(LedgerSettings::new(self.ledger())).expect("the ledger opens").0
    }
}

pub(crate) fn new_id() -> StreamId {
    StreamId::new(unix_millis(), rand::random())
}

/// The record of a stream that runs.
pub(crate) fn open_record(id: StreamId) -> StreamRecord {
    StreamRecord { requested_model: "gpt-4o".to_owned(), team: Some("search".to_owned()), ..StreamRecord::blank(id.to_string()) }
}

/// The record of a stream that ended.
pub(crate) fn ended_record(id: StreamId, status: Status) -> StreamRecord {
    StreamRecord { status: Some(status), completed_ms: Some(12), ..open_record(id) }
}

pub(crate) fn opening(id: StreamId) -> Opening {
    Opening { id, created_unix_ms: unix_millis(), record: Box::new(open_record(id)) }
}

/// Waits for another thread's work, which no simulated clock can move.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

//! Why the ledger could not do what was asked.

use std::io;
use std::path::PathBuf;

/// Why the ledger could not do what was asked. Each message says one level; the cause is the `source`.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Every place is taken: more streams run than [`capacity`](crate::LedgerSettings::capacity) allows.
    #[error("all places of the ledger are taken")]
    Full,
    /// Rows cannot be written now (disk full, file locked, ledger closed), or were not written in time.
    #[error("the ledger cannot be written")]
    Unavailable,
    /// Another process writes this ledger.
    #[error("{} belongs to a gateway that is running; stop it, or give this one a ledger of its own (ledger.path)", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// A later version of Tidegate wrote this ledger.
    #[error("{} has the form {found} and this program knows forms up to {known}; use the newer tidegate, or another ledger.path", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// The newest version that this program knows.
        known: usize,
    },
    /// A reader found no ledger, or one that this version has not brought up to date yet.
    #[error("{} holds no ledger of this version yet; tidegate serve makes or updates it", path.display())]
    Absent {
        /// The database.
        path: PathBuf,
    },
    /// The database cannot be opened or is not one.
    #[error("the ledger {} cannot be opened", path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// The lock file beside the database cannot be made, or the writer's thread cannot start.
    #[error("the ledger {} cannot be started", path.display())]
    Start {
        /// The database.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("the ledger's database failed")]
    Database(#[from] rusqlite::Error),
    /// No key has this id or prefix, or it is revoked already.
    #[error("no key in force has the id or prefix {0:?}")]
    NoSuchKey(String),
    /// More than one key has this prefix.
    #[error("{count} keys have the prefix {prefix:?}; name one by its id")]
    AmbiguousKey {
        /// What was asked for.
        prefix: String,
        /// How many have it.
        count: usize,
    },
}

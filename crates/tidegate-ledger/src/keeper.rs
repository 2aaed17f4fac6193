//! The thread that keeps house beside the writer.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use rusqlite::Connection;

use crate::LedgerError;
use crate::key_table::{self, KeyTable};

/// How often it looks. A key that was made or revoked elsewhere is in force after this time.
const EVERY: Duration = Duration::from_millis(500);

/// How many of these looks pass between two copies of the log: each waits for the disk, and under load they would follow one another.
const LOOKS_PER_COPY: u32 = 2;

/// Copies the log back into the database, so that the writer's commits never wait for the disk, and loads the keys again when they have
/// changed. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    _stop: mpsc::Sender<()>,
}

impl Keeper {
    pub(crate) fn start(conn: Connection, keys: Arc<ArcSwap<KeyTable>>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let body = move || {
            let mut is_fine = true;
            let mut looks = 0_u32;
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(EVERY) {
                looks = looks.wrapping_add(1);
                let done = renew(&conn, &keys).and_then(|()| if looks.is_multiple_of(LOOKS_PER_COPY) { copy_log(&conn) } else { Ok(()) });
                if let Err(error) = &done
                    && is_fine
                {
                    tracing::warn!(
                        error = error as &dyn std::error::Error,
                        "the ledger's keys or log cannot be looked after; the keys stay as they were"
                    );
                }
                is_fine = done.is_ok();
            }
        };
        thread::Builder::new().name("ledger-keeper".to_owned()).spawn(body)?;
        Ok(Self { _stop: stop })
    }
}

fn renew(conn: &Connection, keys: &ArcSwap<KeyTable>) -> Result<(), LedgerError> {
    if key_table::version(conn)? != keys.load().version() {
        keys.store(Arc::new(KeyTable::load(conn)?));
    }
    Ok(())
}

/// Passive: it copies what it can and waits for nobody.
fn copy_log(conn: &Connection) -> Result<(), LedgerError> {
    Ok(conn.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))?)
}

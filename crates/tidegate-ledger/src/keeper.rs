//! The thread that keeps house beside the writer.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use rusqlite::Connection;

use crate::key_table::{self, KeyTable};
use crate::store::unix_millis;
use crate::{outbox, results};

/// How often it looks. A key that was made or revoked elsewhere is in force after this time.
const EVERY: Duration = Duration::from_millis(500);

/// How many of these looks pass before it tidies up: copying the log waits for the disk, and under load one copy would follow another.
const LOOKS_PER_TIDYING: u64 = 2;

/// Copies the log back into the database, so that the writer's commits never wait for the disk, loads the keys again when they have changed,
/// and deletes results and webhooks that have expired. Dropping it waits for its end, so that nothing holds the database open afterwards.
#[derive(Debug)]
pub(crate) struct Keeper {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(crate) fn start(conn: Connection, keys: Arc<ArcSwap<KeyTable>>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("ledger-keeper".to_owned()).spawn(move || keep(&conn, &keys, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A keeper that panicked has closed its connection too.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn keep(conn: &Connection, keys: &ArcSwap<KeyTable>, stopped: &mpsc::Receiver<()>) {
    let mut is_fine = true;
    for look in 1_u64.. {
        if stopped.recv_timeout(EVERY) != Err(mpsc::RecvTimeoutError::Timeout) {
            return;
        }
        let renewed = renew(conn, keys);
        let done = renewed.and_then(|()| if look.is_multiple_of(LOOKS_PER_TIDYING) { tidy_up(conn) } else { Ok(()) });
        if let (Err(error), true) = (&done, is_fine) {
            tracing::warn!(%error, "the ledger's keys or log cannot be looked after; the keys stay as they were");
        }
        is_fine = done.is_ok();
    }
}

fn renew(conn: &Connection, keys: &ArcSwap<KeyTable>) -> rusqlite::Result<()> {
    if key_table::version(conn)? != keys.load().version() {
        keys.store(Arc::new(KeyTable::load(conn)?));
    }
    Ok(())
}

fn tidy_up(conn: &Connection) -> rusqlite::Result<()> {
    // First, because on a full disk it is what makes room.
    copy_log(conn)?;
    let now = unix_millis();
    results::sweep(conn, now)?;
    let webhooks = outbox::sweep(conn, now)?;
    if webhooks > 0 {
        tracing::warn!(webhooks, "webhooks that nobody took have expired");
    }
    Ok(())
}

/// Passive: it copies what it can and waits for nobody.
fn copy_log(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))
}

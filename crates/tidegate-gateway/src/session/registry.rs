//! The sessions of this process, so that a client finds its own again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_core::id::{KeyId, SessionId};
use tidegate_core::pool::PoolBounds;
use tidegate_core::session::{Client, Places};
use tidegate_ledger::spend::Estimator;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::pool::Pool;
use super::socket::Socket;
use super::tickets::Tickets;
use crate::admit::Caller;
use crate::admit::permit::Permits;

/// Texts that may wait to be counted. Beyond it, their length is taken for the count.
const MAX_COUNTS: usize = 10_000;

/// What all sessions share.
#[derive(Debug)]
pub struct Sessions {
    /// How many prompts run at once.
    pub pool: Pool,
    /// How many wait, over all sessions.
    pub places: Places,
    /// The right to be one of them.
    pub permits: Permits,
    /// One-time tickets for pages.
    pub tickets: Tickets,
    /// Counts the tokens of conversations. Not the gateway's estimator, where a thousand clients that left may stand in line.
    pub tokens: Estimator,
    live: Mutex<HashMap<SessionId, Entry>>,
    seats: AtomicU64,
}

/// Where a session can be reached.
#[derive(Debug)]
struct Entry {
    /// Which seat it is: a session that went from one task of this process to another has a second one before the first is left.
    seat: u64,
    owner: Option<KeyId>,
    transfers: mpsc::Sender<Box<Transfer>>,
}

/// A connection that goes on with a session.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) socket: Socket,
    pub(super) client: Client,
    pub(super) last_seq: u64,
}

/// A connection that no session of this process goes on with.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// There is no such session of this caller's here.
    Unknown(Box<Transfer>),
    /// The session is just being taken over by another connection, or leaves: a moment later it is known what became of it.
    Busy(Box<Transfer>),
}

/// A session's entry, for as long as it lives.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) id: SessionId,
    pub(super) transfers: mpsc::Receiver<Box<Transfer>>,
    number: u64,
    sessions: Arc<Sessions>,
}

impl Sessions {
    /// Room for so many waiting prompts, and a pool between these bounds.
    #[must_use]
    pub fn new(most_waiting: usize, bounds: PoolBounds) -> Self {
        Self {
            pool: Pool::new(bounds),
            places: Places::new(most_waiting),
            permits: Permits::default(),
            tickets: Tickets::default(),
            tokens: Estimator::new(MAX_COUNTS),
            live: Mutex::default(),
            seats: AtomicU64::new(0),
        }
    }

    /// Enters a new session.
    pub(super) fn enter(self: &Arc<Self>, id: SessionId, caller: &Caller) -> Seat {
        // One connection takes over at a time.
        let (transfers, receiver) = mpsc::channel(1);
        let number = self.seats.fetch_add(1, Ordering::Relaxed);
        self.live().insert(id, Entry { seat: number, owner: caller.key().copied(), transfers });
        Seat { id, transfers: receiver, number, sessions: Arc::clone(self) }
    }

    /// Hands a connection over to its session.
    ///
    /// # Errors
    ///
    /// [`NotTaken`], which holds the transfer.
    pub(super) fn hand_over(&self, id: SessionId, caller: &Caller, transfer: Box<Transfer>) -> Result<(), NotTaken> {
        let transfers = {
            let live = self.live();
            let entry = live.get(&id).filter(|entry| entry.owner.as_ref() == caller.key());
            let Some(entry) = entry else { return Err(NotTaken::Unknown(transfer)) };
            entry.transfers.clone()
        };
        transfers.try_send(transfer).map_err(|refused| match refused {
            TrySendError::Full(transfer) | TrySendError::Closed(transfer) => NotTaken::Busy(transfer),
        })
    }

    fn live(&self) -> MutexGuard<'_, HashMap<SessionId, Entry>> {
        // Nothing can panic while it is held, so a poisoned lock is as good as any.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut live = self.sessions.live();
        if live.get(&self.id).is_some_and(|entry| entry.seat == self.number) {
            live.remove(&self.id);
        }
        if live.capacity() > 4 * (live.len() + 64) {
            live.shrink_to_fit();
        }
    }
}

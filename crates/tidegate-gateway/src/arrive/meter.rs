//! What the client's socket really took.
//!
//! A stream's record tells what the client was given, not what was handed to a buffer. The HTTP library sits between the two: it advances
//! each piece ([`Handed`]) as far as the socket took it, and it flushes the socket only once its own buffer is empty, so a flush that succeeds
//! means that the end of the answer was taken too.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use bytes::{Buf, Bytes};
use tidegate_core::record::Delivered;

use crate::record::live::{Live, Receipt};
use crate::relay::held::Piece;

/// Bytes of one stream that may wait in this process for its client before the provider is no longer read. What waits is late, so it is little
/// more than one read; the kernel's buffers come on top.
const MAX_WAITING: u64 = 16 * 1024;

/// The account of one connection: what was handed over and what was taken. One stream at a time uses it.
///
/// Its users all run in the connection's own task, so the counters are relaxed and never contended.
#[derive(Debug, Default)]
pub struct Meter {
    handed: Counts,
    taken: Counts,
    /// A stream that has ended and whose last bytes are not taken yet.
    farewell: Mutex<Option<Box<Live>>>,
    /// Whom to wake when there is room again.
    waiting: Mutex<Option<Waker>>,
    is_slow: AtomicBool,
    has_to_end: AtomicBool,
    in_request: AtomicBool,
}

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    output_events: AtomicU64,
}

impl Counts {
    fn get(&self) -> Delivered {
        Delivered { bytes: self.bytes.load(Ordering::Relaxed), output_events: self.output_events.load(Ordering::Relaxed) }
    }

    fn add(&self, bytes: u64, output_events: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.output_events.fetch_add(output_events, Ordering::Relaxed);
    }

    fn clear(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.output_events.store(0, Ordering::Relaxed);
    }
}

/// Bytes of an answer on their way to the socket. The HTTP library advances them by what the socket took, which goes into the account.
#[derive(Debug)]
pub struct Handed {
    bytes: Bytes,
    /// Events with output in it that are not in the account yet.
    output_events: u64,
    meter: Option<Arc<Meter>>,
}

impl Handed {
    /// Bytes that belong to no stream.
    #[must_use]
    pub fn unmetered(bytes: Bytes) -> Self {
        Self { bytes, output_events: 0, meter: None }
    }
}

impl Buf for Handed {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(meter) = self.meter.as_ref().filter(|_| count > 0) {
            // A client that got the beginning of a piece may have seen any of its events: the record never says less than the client saw.
            meter.taken.add(count as u64, std::mem::take(&mut self.output_events));
        }
    }
}

impl Meter {
    /// A request came. The answer before it may still wait for the client.
    pub fn arrived(&self) {
        self.in_request.store(true, Ordering::Relaxed);
    }

    /// A request is served from now on, and nothing of the answer before it waits any more: counts start at zero.
    pub fn begin(&self) {
        self.handed.clear();
        self.taken.clear();
    }

    /// A piece of the present stream, to be given to the HTTP library.
    #[must_use]
    pub fn hand(self: &Arc<Self>, piece: Piece) -> Handed {
        let Piece { bytes, output_events } = piece;
        self.handed.add(bytes.len() as u64, output_events);
        Handed { bytes, output_events, meter: Some(Arc::clone(self)) }
    }

    /// Whether the socket took everything that was handed over.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.waiting_bytes() == 0
    }

    /// Whether little enough waits for the client that its provider may be read. Where not, the task of `cx` is woken once there is room.
    pub fn has_room(&self, cx: &Context<'_>) -> bool {
        self.waits_for_at_most(MAX_WAITING - 1, cx)
    }

    /// Whether the socket took everything that was handed over. Where not, the task of `cx` is woken once it has.
    pub fn is_flushed_or_wakes(&self, cx: &Context<'_>) -> bool {
        self.waits_for_at_most(0, cx)
    }

    fn waits_for_at_most(&self, bytes: u64, cx: &Context<'_>) -> bool {
        let has_room = self.waiting_bytes() <= bytes;
        if !has_room {
            *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        }
        has_room
    }

    /// Bytes that were handed over and not taken.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.handed.bytes.load(Ordering::Relaxed).saturating_sub(self.taken.bytes.load(Ordering::Relaxed))
    }

    /// What the socket took of the present stream.
    #[must_use]
    pub fn taken(&self) -> Delivered {
        self.taken.get()
    }

    /// Whether the client has output of the present answer, and something of it is still to be handed over.
    pub(crate) fn has_begun_to_give(&self) -> bool {
        self.is_in_request() && self.taken.output_events.load(Ordering::Relaxed) > 0
    }

    /// How a stream lost its client, whose connection is no more.
    #[must_use]
    pub fn receipt_of_loss(&self) -> Receipt {
        if self.is_slow.load(Ordering::Relaxed) { Receipt::GivenUp } else { Receipt::Lost }
    }

    /// The shutdown's window is over: the stream on this connection ends now.
    pub fn end_now(&self) {
        self.has_to_end.store(true, Ordering::Relaxed);
    }

    /// See [`Meter::end_now`].
    #[must_use]
    pub fn has_to_end(&self) -> bool {
        self.has_to_end.load(Ordering::Relaxed)
    }

    /// A stream has ended: it is settled when its last bytes are taken, or when the connection is lost before.
    pub fn say_farewell(&self, live: Box<Live>) {
        self.in_request.store(false, Ordering::Relaxed);
        if self.is_flushed() {
            live.settle(self.taken(), Receipt::Taken);
        } else {
            *self.farewell() = Some(live);
        }
    }

    /// A stream has ended whose client took everything, and another goes on in the same answer: counts start at zero again.
    pub fn settle_and_go_on(&self, live: Box<Live>) {
        live.settle(self.taken(), Receipt::Taken);
        self.begin();
    }

    /// A request is on its way through the gateway.
    pub(super) fn is_in_request(&self) -> bool {
        self.in_request.load(Ordering::Relaxed)
    }

    /// A stream has ended and its client has not taken all of it.
    pub(super) fn owes_farewell(&self) -> bool {
        self.farewell().is_some()
    }

    /// The client is given up, because it takes too little.
    pub(super) fn give_up(&self) {
        self.is_slow.store(true, Ordering::Relaxed);
    }

    /// The request is answered, by whatever: the connection waits for the next.
    pub fn answered(&self) {
        self.in_request.store(false, Ordering::Relaxed);
    }

    /// The socket took everything, the end of the answer included.
    pub(super) fn flushed(&self) {
        if let Some(waiting) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waiting.wake();
        }
        let ended = self.farewell().take();
        if let Some(live) = ended {
            live.settle(self.taken(), Receipt::Taken);
        }
    }

    /// The connection is no more.
    pub(super) fn lost(&self) {
        let ended = self.farewell().take();
        if let Some(live) = ended {
            live.settle(self.taken(), self.receipt_of_loss());
        }
    }

    fn farewell(&self) -> MutexGuard<'_, Option<Box<Live>>> {
        self.farewell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! The reserved place of one stream, from its open row to its final one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_core::failure::Failure;
use tidegate_core::id::StreamId;
use tidegate_core::record::{DisconnectSource, Status, StreamRecord};
use tokio::sync::oneshot;

use crate::queue::{Queue, Row};
use crate::row;
use crate::store::unix_millis;

/// A stream whose open row is durable. Hand its record over with [`Self::settle`].
///
/// Dropped without that (a fault of the gateway, or a task that panicked) the row is closed as `interrupted` with the code `internal`:
/// what the client saw is then not known, so the record claims neither output nor its absence.
pub struct Entry {
    id: StreamId,
    created_unix_ms: u64,
    place: Option<Place>,
    /// The open row's number, known once it was written.
    pub(crate) opened: Option<i64>,
    pub(crate) if_dropped: IfDropped,
}

impl Entry {
    pub(crate) fn new(id: StreamId, created_unix_ms: u64, place: Place) -> Self {
        Self { id, created_unix_ms, place: Some(place), opened: None, if_dropped: IfDropped::ClientGone }
    }

    /// The stream's id.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Resolves once the record that [`Self::settle`] hands over is in the database. `false`: it never will be.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only watches.
    pub fn written(&mut self) -> impl Future<Output = bool> + Send + use<> {
        let written = self.place.as_mut().map(Place::tells_when_written);
        async move {
            match written {
                Some(written) => written.await.is_ok(),
                None => false,
            }
        }
    }

    /// Hands over the final record. Neither waits nor fails: the place was reserved, and what cannot be written now is written later.
    ///
    /// It is on its way to the file within some milliseconds. After [`Ledger::close`](crate::Ledger::close) it is not written any more.
    #[expect(clippy::needless_pass_by_value, reason = "the record is final: nobody may change it after it was handed over")]
    pub fn settle(mut self, record: StreamRecord) {
        if let (Some(place), Some(opened)) = (self.place.take(), self.opened) {
            row::with_text(&record, |text| place.hand_over(|place| Row::End { opened, id: self.id, place }, text));
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Without an open row there is nothing to close.
        if let (Some(place), Some(opened)) = (self.place.take(), self.opened) {
            let completed_ms = unix_millis().saturating_sub(self.created_unix_ms);
            place.hand_over(|place| Row::GiveUp { opened, as_what: self.if_dropped, completed_ms, place }, &[]);
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.id).finish()
    }
}

/// What the record of a stream says that ended without one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfDropped {
    /// The client left while its open row was being written.
    ClientGone,
    /// The open row came too late, and the client was refused.
    Refused,
    /// The gateway lost track of it.
    Internal,
    /// The gateway died.
    Interrupted,
}

impl IfDropped {
    /// Status, code and disconnect source.
    pub(crate) fn facts(self) -> (Status, Option<&'static str>, Option<DisconnectSource>) {
        match self {
            Self::ClientGone => (Status::CancelledBeforeOutput, Some(Failure::ClientGone.code()), Some(DisconnectSource::Client)),
            Self::Refused => (Status::FailedBeforeOutput, Some(Failure::LedgerUnavailable.code()), None),
            Self::Internal => (Status::Interrupted, Some(Failure::Internal.code()), None),
            Self::Interrupted => (Status::Interrupted, None, None),
        }
    }
}

/// What handles and places share. The writer does not hold it, so the last of them to go ends the writer.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) queue: Arc<Queue>,
    free: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(queue: Arc<Queue>, places: usize) -> Self {
        Self { queue, free: AtomicUsize::new(places) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// One of the ledger's places, free again when dropped. Because each waiting row holds one, the queue is bounded without ever refusing an end.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    /// Who waits until it is written.
    written: Option<oneshot::Sender<()>>,
}

impl Place {
    pub(crate) fn take(shared: &Arc<Shared>) -> Option<Self> {
        shared.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(1)).ok()?;
        Some(Self { shared: Arc::clone(shared), written: None })
    }

    /// Sends a row that keeps this place until it is written.
    fn hand_over(self, row: impl FnOnce(Self) -> Row, text: &[u8]) {
        let shared = Arc::clone(&self.shared);
        if shared.queue.write(row(self), text).is_none() {
            tracing::warn!("a stream ended after the ledger was closed; it will be marked interrupted");
        }
    }

    /// Who waits here hears that the row is in the database; if it never comes there, the channel is closed.
    pub(crate) fn tells_when_written(&mut self) -> oneshot::Receiver<()> {
        let (tell, written) = oneshot::channel();
        self.written = Some(tell);
        written
    }

    /// The row that kept it is in the database.
    pub(crate) fn tell_written(mut self) {
        if let Some(tell) = self.written.take() {
            // Whoever wanted to know may be gone.
            let _ = tell.send(());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.free.fetch_add(1, Ordering::AcqRel);
    }
}

//! The right to run one task.

use bytes::Bytes;
use tidegate_core::id::{SessionId, TaskId};
use tokio::sync::watch;

use crate::error::QueueError;
use crate::flow::Flow;
#[cfg(feature = "kafka")]
use crate::kafka;
#[cfg(feature = "redis")]
use crate::redis;

/// The right to run one task, renewed in the background until it is settled or dropped.
///
/// Dropping it unsettled gives the task back at once: it runs again, or ends as [`crate::End::Lost`] if something visible was emitted.
#[derive(Debug)]
pub struct Lease(Backend);

/// Something that a worker says about its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it says. At most a few tens of kilobytes, so that no session's piece delays the others' for long.
    pub data: Bytes,
    /// The client may see output of the model by it. From here on, the task never runs again.
    pub visible: bool,
}

/// Why a worker has to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The task was cancelled for this reason ([`crate::Owner::cancel`]). The worker still settles it.
    Cancelled(Bytes),
    /// The lease is lost: the task is another's by now, or over.
    Lost,
}

#[derive(Debug)]
enum Backend {
    #[cfg(feature = "redis")]
    Redis(redis::Lease),
    #[cfg(feature = "kafka")]
    Kafka(kafka::Lease),
}

/// Does the same whichever backend it is.
macro_rules! on_backend {
    ($place:expr, $lease:ident => $answer:expr) => {
        match $place {
            #[cfg(feature = "redis")]
            Backend::Redis($lease) => $answer,
            #[cfg(feature = "kafka")]
            Backend::Kafka($lease) => $answer,
        }
    };
}

impl Lease {
    /// Whose task it is.
    #[must_use]
    pub fn session(&self) -> SessionId {
        on_backend!(&self.0, lease => lease.session())
    }

    /// Which task.
    #[must_use]
    pub fn task(&self) -> TaskId {
        on_backend!(&self.0, lease => lease.task())
    }

    /// What its owner submitted.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        on_backend!(&self.0, lease => lease.payload())
    }

    /// How many workers have begun this task, this one included: 1 is the first.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        on_backend!(&self.0, lease => lease.attempt())
    }

    /// Says something about the task; durable when it returns.
    ///
    /// # Errors
    ///
    /// [`QueueError::Lost`], for good. After [`QueueError::Unavailable`] the pieces are kept and go first with the next call, of this (with
    /// nothing new, perhaps) or of [`Lease::settle`]; each is written once. When the server doesn't come back, the lease runs out.
    ///
    /// # Cancel safety
    ///
    /// Safe in the same way: what was not written is kept for the next call.
    pub async fn emit(&mut self, pieces: impl IntoIterator<Item = Piece>) -> Result<(), QueueError> {
        on_backend!(&mut self.0, lease => lease.emit(pieces).await)
    }

    /// Whether more may be said: less than [`crate::Settings::window`] of what was said in the session waits for its client, whoever owns the
    /// session. Where it is `false`, a worker says nothing more and lets its model wait; should it say something all the same, that is
    /// written as ever, and so is an end. While it waits, it keeps its task.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.flow().borrow().has_room()
    }

    /// Resolves when more may be said ([`Lease::has_room`]), or never. The future outlives the lease.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only watches.
    pub fn room(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut flow = self.flow();
        async move {
            if flow.wait_for(Flow::has_room).await.is_err() {
                // Nobody is left who could hear of it.
                std::future::pending::<()>().await;
            }
        }
    }

    fn flow(&self) -> watch::Receiver<Flow> {
        on_backend!(&self.0, lease => lease.flow())
    }

    /// What the worker wants to find again of this task, should it die as soon as the task has its end: kept with that end, in the same step, for
    /// [`crate::Queue::memos`]. The last one counts. The queue doesn't read it.
    pub fn memo(&mut self, memo: Bytes) {
        on_backend!(&mut self.0, lease => lease.memo(memo));
    }

    /// Ends the task: writes its end and gives up the lease, in one step. Calling it again with the same end changes nothing.
    ///
    /// # Errors
    ///
    /// [`QueueError::Lost`]: the task is another's, or has an end that the worker did not write. After [`QueueError::Unavailable`] the worker
    /// settles it again.
    ///
    /// # Cancel safety
    ///
    /// Safe: it was settled or not, and may be settled again.
    pub async fn settle(&mut self, end: Bytes) -> Result<(), QueueError> {
        on_backend!(&mut self.0, lease => lease.settle(end).await)
    }

    /// Resolves when the worker has to stop; never, if it needn't. The future outlives the lease.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only watches.
    pub fn stopped(&self) -> impl Future<Output = Stop> + Send + use<> {
        let mut stop = on_backend!(&self.0, lease => lease.stop());
        async move {
            match stop.wait_for(Option::is_some).await.ok().and_then(|stop| stop.clone()) {
                Some(stop) => stop,
                // Nobody is left who could ask for it.
                None => std::future::pending().await,
            }
        }
    }
}

#[cfg(feature = "redis")]
impl From<redis::Lease> for Lease {
    fn from(lease: redis::Lease) -> Self {
        Self(Backend::Redis(lease))
    }
}

#[cfg(feature = "kafka")]
impl From<kafka::Lease> for Lease {
    fn from(lease: kafka::Lease) -> Self {
        Self(Backend::Kafka(lease))
    }
}

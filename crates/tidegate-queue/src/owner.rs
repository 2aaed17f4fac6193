//! The right to decide about one session.

use bytes::Bytes;
use tidegate_core::id::{SessionId, TaskId};

use crate::error::QueueError;
#[cfg(feature = "kafka")]
use crate::kafka;
use crate::log::Output;
#[cfg(feature = "redis")]
use crate::redis;

/// The right to decide about one session, until another gateway adopts it.
///
/// The order of the calls is the order that an heir reads: an output that [`Owner::next`] returned comes before what is journalled after it.
///
/// While it lives, the session doesn't expire. Dropping it leaves the session to whoever adopts it within its time to live; the running task
/// goes on. [`Owner::end`] ends both.
///
/// Every call fails as [`QueueError::Fenced`] or [`QueueError::Gone`] once the session is another's or nobody's, and as
/// [`QueueError::Unavailable`] within about a second where the server doesn't answer.
#[derive(Debug)]
pub struct Owner(Backend);

#[derive(Debug)]
enum Backend {
    #[cfg(feature = "redis")]
    Redis(redis::Owner),
    #[cfg(feature = "kafka")]
    Kafka(kafka::Owner),
}

/// Does the same whichever backend it is.
macro_rules! on_backend {
    ($place:expr, $owner:ident => $answer:expr) => {
        match $place {
            #[cfg(feature = "redis")]
            Backend::Redis($owner) => $answer,
            #[cfg(feature = "kafka")]
            Backend::Kafka($owner) => $answer,
        }
    };
}

impl Owner {
    /// Which session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        on_backend!(&self.0, owner => owner.session())
    }

    /// Waits for the next output of the session's tasks. Each comes once, in the order of the log.
    ///
    /// A bounded number is read ahead; the log keeps the rest, and no other session waits for this one.
    ///
    /// # Errors
    ///
    /// [`QueueError::Fenced`] and [`QueueError::Gone`], for good. [`QueueError::Unavailable`] once in each outage that lasts: the owner may
    /// go on calling, and misses nothing when the server is back.
    ///
    /// # Cancel safety
    ///
    /// Safe: an output that was not returned is returned by the next call.
    pub async fn next(&mut self) -> Result<Output, QueueError> {
        on_backend!(&mut self.0, owner => owner.next().await)
    }

    /// The client has taken all that [`Owner::next`] returned, and all that an heir found in its [`crate::Past`]: as much may be said anew. A
    /// worker that waits for that ([`crate::Lease::room`]) hears of it in the background.
    pub fn taken(&mut self) {
        on_backend!(&mut self.0, owner => owner.taken());
    }

    /// Writes `entries` to the log; durable when it returns.
    ///
    /// # Errors
    ///
    /// After [`QueueError::Unavailable`] nobody knows whether they were written, and every further call is [`QueueError::InDoubt`] until
    /// a snapshot was written, which settles it.
    ///
    /// # Cancel safety
    ///
    /// Not safe: dropped, it leaves the same doubt.
    pub async fn journal(&mut self, entries: &[Bytes]) -> Result<(), QueueError> {
        on_backend!(&mut self.0, owner => owner.journal(entries).await)
    }

    /// Writes `state` in the place of all that was journalled and read so far, which is forgotten. Outputs that [`Owner::next`] has not
    /// returned yet stay.
    ///
    /// # Errors
    ///
    /// As always. After [`QueueError::Unavailable`], what is in the log is either the old or the new.
    ///
    /// # Cancel safety
    ///
    /// Safe: either it is written or not, as a whole.
    pub async fn snapshot(&mut self, state: Bytes) -> Result<(), QueueError> {
        on_backend!(&mut self.0, owner => owner.snapshot(state).await)
    }

    /// Hands `task` to the workers, with all that they need to run it; durable when it returns. Submitting the running or the last task again
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// [`QueueError::Busy`] while another task has no end in the log; [`QueueError::Full`]. After [`QueueError::Unavailable`] the owner
    /// submits it again, or cancels it.
    ///
    /// # Cancel safety
    ///
    /// Safe: the task was submitted or not, and may be submitted again.
    pub async fn submit(&mut self, task: TaskId, payload: Bytes) -> Result<(), QueueError> {
        on_backend!(&mut self.0, owner => owner.submit(task, payload).await)
    }

    /// Ends `task`. One that waits is over as [`crate::End::Cancelled`]; the worker of one that runs is told `why` ([`crate::Stop::Cancelled`])
    /// and ends it. The end comes by [`Owner::next`]. Of a task that is over, or was never submitted, nothing happens and nothing comes.
    ///
    /// # Errors
    ///
    /// As always. After [`QueueError::Unavailable`] the owner cancels it again.
    ///
    /// # Cancel safety
    ///
    /// Safe: it was cancelled or not, and may be cancelled again.
    pub async fn cancel(&mut self, task: TaskId, why: Bytes) -> Result<(), QueueError> {
        on_backend!(&mut self.0, owner => owner.cancel(task, why).await)
    }

    /// Ends the session: its task is taken from the worker ([`crate::Stop::Lost`]), and everything about it is deleted.
    ///
    /// # Errors
    ///
    /// As always. After [`QueueError::Unavailable`] it expires.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was not deleted expires.
    pub async fn end(self) -> Result<(), QueueError> {
        on_backend!(self.0, owner => owner.end().await)
    }
}

#[cfg(feature = "redis")]
impl From<redis::Owner> for Owner {
    fn from(owner: redis::Owner) -> Self {
        Self(Backend::Redis(owner))
    }
}

#[cfg(feature = "kafka")]
impl From<kafka::Owner> for Owner {
    fn from(owner: kafka::Owner) -> Self {
        Self(Backend::Kafka(owner))
    }
}

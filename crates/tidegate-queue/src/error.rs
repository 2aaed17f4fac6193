//! Why something was not done.

use thiserror::Error;

/// Why the queue did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueueError {
    /// The queue's server can't be reached, refused, or didn't answer within a second. Whether it did what was asked is not known. It is
    /// tried to reach it again all the time.
    ///
    /// The text is for the operator; it holds no payload and no password.
    #[error("the queue is not available: {0}")]
    Unavailable(String),
    /// Another gateway adopted the session. Final.
    #[error("another gateway owns the session")]
    Fenced,
    /// The session was ended, or nobody owned it for its time to live, or the server crashed and forgot a part of it. Final.
    #[error("the session is gone")]
    Gone,
    /// As many tasks wait as may, over all gateways.
    #[error("the queue is full")]
    Full,
    /// Another task of the session has not ended yet.
    #[error("the session has a running task")]
    Busy,
    /// Whether an earlier [`crate::Owner::journal`] was written is not known; [`crate::Owner::snapshot`] comes first.
    #[error("what the journal holds is in doubt")]
    InDoubt,
    /// The worker's lease was lost, or its task or session ended. Final.
    #[error("the lease is lost")]
    Lost,
}

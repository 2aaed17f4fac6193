//! Tasks that are leased, and session logs, both of which outlive the process that wrote them.
//!
//! A *gateway* that holds a client's socket owns the client's session: it decides everything about it (`tidegate_core::session`), and holds
//! the right to do so as an [`Owner`]. It submits one task at a time. A *worker* leases the task, runs it, and emits what the model says. Both
//! write to the session's one *log*:
//!
//! | written by | what | refused when |
//! | --- | --- | --- |
//! | the owner | its journal: whatever another gateway has to know to go on ([`Owner::journal`], [`Owner::snapshot`]) | another gateway adopted the session |
//! | a worker | pieces of the running task's answer, and its end ([`Lease::emit`], [`Lease::settle`]) | the lease was lost |
//! | the queue | the end of a task that no worker ends ([`End`]) | |
//!
//! What holds, whoever dies and whenever:
//!
//! - A submitted task has exactly one end in the log, as long as the session lives.
//! - A task whose lease is lost runs again, unless the client may have seen output of it ([`Piece::visible`]): then it ends as [`End::Lost`].
//! - Whoever adopts a session reads what its owner wrote and read, in the order in which that owner saw it ([`Past`]), so the same decisions
//!   follow.
//! - One gateway owns a session and one worker runs its task. Whoever was replaced finds every write refused, also one that was sent before
//!   and arrives late.
//! - A session that nobody owns is forgotten after its time to live, with all that belongs to it.
//! - What was said and not taken by the client is bounded ([`Settings::window`]), also while nobody owns the session: its worker waits
//!   ([`Lease::room`]) until an owner has called it taken ([`Owner::taken`]).
//!
//! Every payload is bytes that the queue doesn't read.

mod error;
mod flow;
#[cfg(feature = "kafka")]
mod kafka;
mod lease;
mod log;
mod owner;
mod queue;
#[cfg(feature = "redis")]
mod redis;
mod settings;

pub use error::QueueError;
#[cfg(feature = "kafka")]
pub use kafka::{Attempt, BadBrokers, Fate, Replay, Replayed, Topics};
pub use lease::{Lease, Piece, Stop};
pub use log::{End, Entry, Output, Past};
pub use owner::Owner;
pub use queue::{Depth, Queue};
pub use settings::{Settings, Tenure};

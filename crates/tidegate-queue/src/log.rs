//! What a session's log says.

use bytes::Bytes;
use tidegate_core::id::TaskId;

/// What is said about a task, to the session's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Its worker emitted this.
    Piece {
        /// The task.
        task: TaskId,
        /// [`crate::Piece::data`].
        data: Bytes,
    },
    /// It is over. Nothing about this task follows.
    Ended {
        /// The task.
        task: TaskId,
        /// How.
        end: End,
    },
}

/// What a piece counts beside its data.
const BESIDE: usize = 64;

impl Output {
    /// How much of [`crate::Settings::window`] it takes up until the client has it.
    pub(crate) fn weight(&self) -> u64 {
        match self {
            Self::Piece { data, .. } => weight(data),
            Self::Ended { .. } => 0,
        }
    }
}

/// The same of a piece with this data.
pub(crate) fn weight(data: &Bytes) -> u64 {
    u64::try_from(data.len() + BESIDE).unwrap_or(u64::MAX)
}

/// How a task ended. Each has exactly one end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As its worker said ([`crate::Lease::settle`]).
    Settled(Bytes),
    /// Its worker was lost after something visible was emitted, so it did not run again: the answer is incomplete.
    Lost,
    /// Worker after worker was lost, before anything visible was emitted ([`crate::Settings::attempts`]).
    GivenUp,
    /// It was cancelled before a worker began it, or its worker was lost after it was cancelled.
    Cancelled,
}

/// What another gateway left of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Past {
    /// The last snapshot, if there was one.
    pub snapshot: Option<Bytes>,
    /// Everything since, in the order in which the owner saw it: what it had read before it wrote a journal entry comes before that entry.
    /// What it didn't read any more comes last.
    pub entries: Vec<Entry>,
}

/// One entry of a session's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An owner wrote it ([`crate::Owner::journal`]).
    Journal(Bytes),
    /// A worker or the queue did.
    Output(Output),
}

//! What bounds a session. The defaults are contract.md's.

use std::time::Duration;

/// What bounds a session, in number, size and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Most tasks that wait in one session, beside the one that runs (`queue.max_queue_size`). Default 16.
    pub max_queue_size: usize,
    /// What happens to a prompt that finds the queue full (`queue.policy`).
    pub policy: QueuePolicy,
    /// After this long without a sign of life the peer is pinged, and after twice as long it is dead (`sessions.heartbeat`). Default 20 s.
    pub heartbeat: Duration,
    /// A session without tasks ends this long after its client's last message (`sessions.idle_ttl`). Default 15 min.
    pub idle_ttl: Duration,
    /// How long a session outlives its connection, where its client can resume it (`sessions.resume_ttl`). Default 2 min.
    pub resume_ttl: Duration,
    /// What a resume can repeat.
    pub replay: ReplayBounds,
    /// Most bytes of conversation that are kept, the system prompt aside; oldest turns are forgotten first. Default 4 MiB, about a million
    /// tokens of English: more than any model's context.
    pub history_bytes: usize,
}

/// How much of what was said is kept for a resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayBounds {
    /// Most bytes, counted as the room that the messages take in memory. Default 512 KiB: a few thousand tokens.
    pub bytes: usize,
    /// Most messages. Default 8,192.
    pub messages: usize,
}

/// What happens to a prompt that finds the queue full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueuePolicy {
    /// It is refused.
    Reject,
    /// The oldest waiting task makes room for it.
    DropOldest,
    /// It waits too, told so, within a second bound of [`DEFERRED_QUEUES`] queues.
    Defer,
}

/// How many times `max_queue_size` a queue may hold where overflow is deferred (contract.md).
pub const DEFERRED_QUEUES: usize = 10;

impl Settings {
    /// The defaults of contract.md.
    pub const STANDARD: Self = Self {
        max_queue_size: 16,
        policy: QueuePolicy::Reject,
        heartbeat: Duration::from_secs(20),
        idle_ttl: Duration::from_secs(15 * 60),
        resume_ttl: Duration::from_secs(2 * 60),
        replay: ReplayBounds { bytes: 512 * 1024, messages: 8 * 1024 },
        history_bytes: 4 * 1024 * 1024,
    };

    /// Most tasks that may wait in one session, whatever happens.
    #[must_use]
    pub fn most_waiting(&self) -> usize {
        match self.policy {
            QueuePolicy::Reject | QueuePolicy::DropOldest => self.max_queue_size,
            QueuePolicy::Defer => self.max_queue_size.saturating_mul(DEFERRED_QUEUES),
        }
    }
}

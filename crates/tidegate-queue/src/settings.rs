//! What a queue is told once.

use std::time::Duration;

/// The same in every process that uses one queue; where they differ, each applies its own to what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long a worker that gives no sign of life keeps its task. It renews in a third of this. At least 100 ms.
    pub lease: Duration,
    /// How many workers may begin one task before it ends as [`crate::End::GivenUp`]. At least 1.
    pub attempts: u32,
    /// How many tasks may wait for a worker, over all sessions and gateways (`queue.global_max_size`).
    pub global_max_size: u64,
    /// How much may be said in a session ahead of its client, in bytes, before its worker waits ([`crate::Lease::has_room`]). Each piece
    /// counts 64 more than its data, so this bounds their number, too.
    pub window: u64,
}

impl Default for Settings {
    /// `queue.lease` and `queue.global_max_size` of the configuration, and five attempts: a task that took five workers with it is more
    /// likely the cause than the victim. The window is half of what the client of a session is repeated when it comes back; the other half
    /// is for what was on its way to the client when it left.
    fn default() -> Self {
        Self { lease: Duration::from_secs(30), attempts: 5, global_max_size: 100_000, window: 256 * 1024 }
    }
}

/// On which terms somebody has a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenure {
    /// How long the session outlives its owner.
    pub ttl: Duration,
    /// Whose session it is, in words of the caller's. Nobody else adopts it, and whoever tries disturbs nobody.
    pub holder: String,
}

impl From<Duration> for Tenure {
    /// Of nobody in particular.
    fn from(ttl: Duration) -> Self {
        Self { ttl, holder: String::new() }
    }
}

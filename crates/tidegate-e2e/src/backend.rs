//! Where the prompts of sessions wait. The tests of sessions say nothing about it, and run once for each.

use anyhow::Result;

use crate::redis::Redis;

/// A queue's backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// In the gateway's process, which runs them too.
    Memory,
    /// In a Redis, from which workers take them.
    Redis,
}

impl Backend {
    /// Starts the server that it needs, if it does.
    pub(crate) async fn start(self) -> Result<Option<Redis>> {
        match self {
            Self::Memory => Ok(None),
            Self::Redis => Redis::start().await.map(Some),
        }
    }
}

//! Where the prompts of sessions wait. The tests of sessions say nothing about it, and run once for each.

use anyhow::{Result, bail};

use crate::kafka::Kafka;
use crate::redis::Redis;

/// A queue's backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// In the gateway's process, which runs them too.
    Memory,
    /// In a Redis, from which workers take them.
    Redis,
    /// In a Kafka, from which workers take them.
    Kafka,
}

/// A server that they wait in, which can be killed, frozen and started again with what it has kept.
pub enum Server {
    /// A Redis of the test's own.
    Redis(Redis),
    /// Topics in a Kafka.
    Kafka(Kafka),
}

impl Backend {
    /// Starts the server that it needs, if it does. `apart`: one that no other test uses.
    pub(crate) async fn start(self, apart: bool) -> Result<Option<Server>> {
        Ok(match self {
            Self::Memory => None,
            Self::Redis => Some(Server::Redis(Redis::start().await?)),
            Self::Kafka if apart => Some(Server::Kafka(Kafka::start()?)),
            Self::Kafka => Some(Server::Kafka(Kafka::shared()?)),
        })
    }
}

impl Server {
    /// What a process that uses it has in its environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        match self {
            Self::Redis(redis) => redis.environment(),
            Self::Kafka(kafka) => kafka.environment(),
        }
    }

    /// The Redis that it is, for what nothing else is asked.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn redis(&self) -> Result<&Redis> {
        match self {
            Self::Redis(redis) => Ok(redis),
            Self::Kafka(_) => bail!("sessions are not in Redis here"),
        }
    }

    /// Ends it without a warning.
    ///
    /// # Errors
    ///
    /// It has ended, or other tests use it.
    pub async fn kill(&mut self) -> Result<()> {
        match self {
            Self::Redis(redis) => redis.kill().await,
            Self::Kafka(kafka) => kafka.kill(),
        }
    }

    /// Starts it again with what it has kept.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        match self {
            Self::Redis(redis) => redis.start_again().await,
            Self::Kafka(kafka) => kafka.start_again(),
        }
    }

    /// Stops it where it is: it keeps its sockets, and answers nothing.
    ///
    /// # Errors
    ///
    /// It has ended, or other tests use it.
    pub fn freeze(&mut self) -> Result<()> {
        match self {
            Self::Redis(redis) => redis.freeze(),
            Self::Kafka(kafka) => kafka.freeze(),
        }
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn thaw(&mut self) -> Result<()> {
        match self {
            Self::Redis(redis) => redis.thaw(),
            Self::Kafka(kafka) => kafka.thaw(),
        }
    }
}

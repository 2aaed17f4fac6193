//! Topics in a real Kafka broker.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use tidegate_servers::Kafka as Broker;

/// Topics of their own, in a broker that serves all tests of this program: it takes seconds to start.
pub struct Kafka {
    topics: String,
    address: String,
    /// `None`: other tests use it.
    own: Option<Broker>,
}

/// Enough for workers to share; a test's broker has many tests' topics.
const PARTITIONS: &str = "4";

/// It ends with this program.
static SHARED: Mutex<Option<Broker>> = Mutex::new(None);

impl Kafka {
    /// Topics in the broker of all tests.
    ///
    /// # Errors
    ///
    /// It is not installed or does not start.
    pub fn shared() -> Result<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let broker = match &mut *shared {
            Some(broker) => broker,
            none => none.insert(blocking(Broker::start)?),
        };
        Ok(Self { topics: topics(), address: broker.address(), own: None })
    }

    /// Topics in a broker that no other test uses.
    ///
    /// # Errors
    ///
    /// It is not installed or does not start.
    pub fn start() -> Result<Self> {
        let broker = blocking(Broker::start)?;
        Ok(Self { topics: topics(), address: broker.address(), own: Some(broker) })
    }

    /// What a process that uses it has in its environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("QUEUE_TYPE", "kafka"),
            ("KAFKA_BROKERS", self.address.as_str()),
            ("TIDEGATE__QUEUE__KAFKA_TOPICS", self.topics.as_str()),
            ("TIDEGATE__QUEUE__KAFKA_PARTITIONS", PARTITIONS),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Kills it, as a power cut would.
    ///
    /// # Errors
    ///
    /// It has ended, or other tests use it.
    pub fn kill(&mut self) -> Result<()> {
        blocking(|| self.own()?.kill())
    }

    /// Starts it again with what is on its disk.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start_again(&mut self) -> Result<()> {
        blocking(|| self.own()?.restart())
    }

    /// Stops it where it is.
    ///
    /// # Errors
    ///
    /// It has ended, or other tests use it.
    pub fn freeze(&mut self) -> Result<()> {
        self.own()?.freeze()
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn thaw(&mut self) -> Result<()> {
        self.own()?.thaw()
    }

    fn own(&mut self) -> Result<&mut Broker> {
        self.own.as_mut().context("other tests use this broker: see `WorldBuilder::apart`")
    }
}

fn topics() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The broker's calls wait for its process; meanwhile the runtime's other tasks go on.
fn blocking<T>(what: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(what)
}

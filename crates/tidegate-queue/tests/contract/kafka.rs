//! A real Kafka.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tidegate_core::id::SessionId;
use tidegate_queue::{Depth, Queue, QueueError, Replay, Settings, Topics};
use tidegate_servers::Kafka as Broker;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::block_in_place;

use crate::support::{Server, TTL, a_moment, session, soon, until_available};

/// Topics of their own, on a broker that is other tests' too: it takes seconds to start.
pub(crate) struct Kafka {
    topics: Topics,
    broker: String,
    /// `None`: it is shared. Otherwise no other test has it meanwhile.
    own: Option<OwnedMutexGuard<Broker>>,
}

/// Never killed nor frozen.
static SHARED: LazyLock<Broker> = LazyLock::new(|| Broker::start().expect("a broker"));
/// One test after the other may do to it what it likes.
static MORTAL: LazyLock<Arc<Mutex<Broker>>> = LazyLock::new(|| Arc::new(Mutex::new(Broker::start().expect("a broker"))));

impl Server for Kafka {
    const NAME: &str = "on_kafka";
    /// Only within a partition.
    const IN_ORDER: bool = false;
    /// Everybody connects anew.
    const RECOVERY: Duration = Duration::from_secs(1);

    fn start() -> Self {
        Self { topics: new_topics(), broker: SHARED.address(), own: None }.with_topics()
    }

    fn start_apart() -> Self {
        let mut broker = block_in_place(|| Handle::current().block_on(Arc::clone(&MORTAL).lock_owned()));
        // As the test before left it.
        if broker.thaw().is_err() {
            broker.restart().expect("it starts");
        }
        Self { topics: new_topics(), broker: broker.address(), own: Some(broker) }.with_topics()
    }

    /// The broker's, and what its topics' names begin with.
    fn address(&self) -> String {
        format!("{} {}", self.broker, self.topics.prefix)
    }

    fn queue_at(address: &str, settings: Settings) -> Queue {
        let (broker, prefix) = address.split_once(' ').expect("both");
        Queue::kafka(broker, topics(prefix.to_owned()), settings).expect("an address")
    }

    fn kill(&mut self) {
        self.own.as_mut().expect("a broker of its own").kill().expect("it was there");
    }

    fn start_again(&mut self) {
        self.own.as_mut().expect("a broker of its own").restart().expect("it starts");
    }

    fn freeze(&self) {
        self.own.as_ref().expect("a broker of its own").freeze().expect("it is there");
    }

    fn thaw(&self) {
        self.own.as_ref().expect("a broker of its own").thaw().expect("it is there");
    }

    /// Workers say it a fraction of a second later.
    async fn assert_depth(queue: &Queue, depth: Depth) {
        soon(async {
            while queue.depth().await != Ok(depth) {
                a_moment().await;
            }
        })
        .await;
    }
}

impl Kafka {
    pub(crate) async fn replay(&self, since: SystemTime, only: Option<SessionId>) -> Result<Replay, QueueError> {
        Replay::begin(&self.broker, self.topics.clone(), since, only).await
    }

    /// How many workers the group of its queue has agreed on; `None` while it has not.
    pub(crate) fn members(&self) -> Option<usize> {
        let asker: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &self.broker).create().expect("a client");
        let groups = asker.fetch_group_list(Some(&format!("{}.workers", self.topics.prefix)), TTL).expect("an answer");
        let agreed = groups.groups().iter().filter(|group| matches!(group.state(), "Stable" | "Empty"));
        agreed.map(|group| group.members().len()).next()
    }

    /// Waits until the topics are there, which the first process to come makes: that may take longer than any call may.
    fn with_topics(self) -> Self {
        let first = self.queue(Settings::default());
        let made = until_available(async || first.adopt(session(), TTL).await);
        block_in_place(|| Handle::current().block_on(made)).expect("an answer");
        self
    }
}

fn new_topics() -> Topics {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    topics(format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

fn topics(prefix: String) -> Topics {
    Topics { prefix, partitions: 4 }
}

//! A real Kafka.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use tidegate_queue::{Depth, Queue, QueueError, Replay, Settings, Topics};
use tidegate_servers::Kafka as Broker;
use tokio::runtime::Handle;

use crate::support::{Server, a_moment, soon};

/// Topics of their own, on a broker that may be another test's too: it takes seconds to start.
pub(crate) struct Kafka {
    topics: Topics,
    address: String,
    /// `None`: it is shared.
    own: Option<Broker>,
}

static SHARED: LazyLock<Mutex<Broker>> = LazyLock::new(|| Mutex::new(Broker::start().expect("a broker")));

impl Server for Kafka {
    /// Only within a partition.
    const IN_ORDER: bool = false;
    /// Everybody joins the group anew.
    const RECOVERY: Duration = Duration::from_secs(5);

    fn start() -> Self {
        let address = SHARED.lock().expect("a broker").address();
        Self { topics: topics(), address, own: None }.with_topics()
    }

    fn start_apart() -> Self {
        let broker = Broker::start().expect("a broker");
        Self { topics: topics(), address: broker.address(), own: Some(broker) }.with_topics()
    }

    fn queue(&self, settings: Settings) -> Queue {
        Queue::kafka(&self.address, self.topics.clone(), settings).expect("an address")
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
    pub(crate) async fn replay(&self, since: SystemTime) -> Result<Replay, QueueError> {
        Replay::begin(&self.address, self.topics.clone(), since).await
    }

    /// Waits until the topics are there, which the first process to come makes: that may take longer than any call may.
    fn with_topics(self) -> Self {
        tokio::task::block_in_place(|| {
            Handle::current().block_on(soon(async {
                let first = self.queue(Settings::default());
                while !first.is_available() {
                    a_moment().await;
                }
            }));
        });
        self
    }
}

fn topics() -> Topics {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    Topics { prefix: format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed)), partitions: 4 }
}

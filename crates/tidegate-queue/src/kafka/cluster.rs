//! The way to the brokers: topics, the producer, and whether they answer.

use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{Consumer, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tidegate_core::id::SessionId;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::lock;
use super::topics::Topics;
use crate::error::QueueError;

/// How long anybody waits for the brokers before the queue counts as unavailable.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How long an outage lasts before the owners of sessions are told, who give up what runs; or three leases, if that is shorter: workers have given
/// it up by then, and others would have begun it again. Until a broker that died has a successor, ten seconds go by, and one that is restarted is back in less.
const OUTAGE: Duration = Duration::from_secs(12);

/// Longest record: a task with four mebibytes of conversation in it, and room.
const MAX_RECORD: &str = "16777216";

/// What all clients of one process share.
pub(super) struct Cluster {
    config: ClientConfig,
    pub(super) topics: Topics,
    producer: FutureProducer<Quiet>,
    /// Answers questions about the topics.
    asker: StreamConsumer<Quiet>,
    /// How many each topic has; `None` until a broker answered.
    partitions: watch::Sender<Option<i32>>,
    available: watch::Sender<bool>,
    outages: watch::Sender<u64>,
}

/// Reports what librdkafka says as this crate reports things: an outage is the queue's to tell, not a line for each try to connect.
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(facility, message, "a Kafka client says");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "a Kafka client complains");
    }
}

impl ConsumerContext for Quiet {}

impl Cluster {
    /// Nothing is connected yet: see [`Cluster::keep_watch`].
    pub(super) fn new(brokers: &str, topics: Topics) -> Result<Self, KafkaError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        config.set("client.id", "tidegate");
        // A broker that comes back is found within a second, not within the ten that it may take by default.
        config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "500");
        let producer = settings(&config, &PRODUCER).create_with_context(Quiet)?;
        let asker = settings(&config, &READER).set("group.id", topics.workers()).create_with_context(Quiet)?;
        let (partitions, available, outages) = (watch::Sender::new(None), watch::Sender::new(false), watch::Sender::new(0));
        Ok(Self { config, topics, producer, asker, partitions, available, outages })
    }

    /// Creates the topics where they are missing, and finds out again and again whether the brokers answer. Runs until it is dropped.
    pub(super) async fn keep_watch(self: Arc<Self>, lease: Duration) {
        // Since when they don't, and whether the owners of sessions were told.
        let mut outage = None;
        loop {
            let outcome = self.look().await;
            let reachable = outcome.is_ok();
            if self.available.send_if_modified(|available| std::mem::replace(available, reachable) != reachable) {
                match &outcome {
                    Ok(()) => info!("kafka answers"),
                    Err(error) => warn!(%error, "kafka is not available"),
                }
            }
            if reachable {
                outage = None;
            } else {
                let (since, told) = outage.get_or_insert((Instant::now(), false));
                if since.elapsed() >= OUTAGE.min(lease * 3) && !std::mem::replace(told, true) {
                    self.outages.send_modify(|outages| *outages += 1);
                }
            }
            tokio::time::sleep(PATIENCE / 2).await;
        }
    }

    async fn look(self: &Arc<Self>) -> Result<(), QueueError> {
        if let Some((_, error)) = self.producer.client().fatal_error() {
            return Err(QueueError::Unavailable(format!("nothing can be written before this process starts again: {error}")));
        }
        let known = *self.partitions.borrow();
        if let Some(known) = known {
            // The others are asked for often enough by what is read and written.
            return match self.count_partitions([self.topics.log()]).await? {
                Some(count) if count == known => Ok(()),
                count => Err(QueueError::Unavailable(format!("there were {known} partitions, and now {}", count.unwrap_or(0)))),
            };
        }
        let mut count = self.count_all().await?;
        if count.is_none() {
            self.create_topics().await?;
            count = self.count_all().await?;
        }
        let count = count.ok_or_else(|| QueueError::Unavailable("the topics are being made".to_owned()))?;
        self.partitions.send_replace(Some(count));
        Ok(())
    }

    async fn create_topics(&self) -> Result<(), QueueError> {
        let admin: AdminClient<Quiet> = AdminClient::from_config_and_context(&self.config, Quiet).map_err(unavailable)?;
        let topics = self.topics.all();
        let topics = topics.iter().map(|topic| NewTopic {
            name: &topic.name,
            num_partitions: self.topics.partitions.into(),
            // As the cluster's own default has it.
            replication: TopicReplication::Fixed(-1),
            config: topic.settings.to_vec(),
        });
        let topics: Vec<NewTopic<'_>> = topics.collect();
        let options = AdminOptions::new().request_timeout(Some(PATIENCE * 5));
        for outcome in admin.create_topics(&topics, &options).await.map_err(unavailable)? {
            match outcome {
                Ok(topic) => info!(topic, "created"),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, error)) => return Err(QueueError::Unavailable(format!("topic {topic}: {error}"))),
            }
        }
        Ok(())
    }

    /// How many partitions the topics have: all the same, because a session's partition has one number in each of them. `None`: there are
    /// no such topics.
    pub(super) async fn count_all(self: &Arc<Self>) -> Result<Option<i32>, QueueError> {
        self.count_partitions(self.topics.all().map(|topic| topic.name)).await
    }

    async fn count_partitions<const N: usize>(self: &Arc<Self>, topics: [String; N]) -> Result<Option<i32>, QueueError> {
        // By a reader, because a producer that asks for a topic creates it, where brokers allow that.
        let counts = self.ask(move |asker, patience| {
            let count = |name: &String| {
                let metadata = asker.fetch_metadata(Some(name), patience)?;
                Ok(metadata.topics().first().map_or(0, |topic| topic.partitions().len()))
            };
            topics.iter().map(count).collect::<Result<Vec<usize>, KafkaError>>()
        });
        let counts = counts.await?;
        if counts.contains(&0) {
            return Ok(None);
        }
        if counts.iter().any(|count| *count != counts[0]) {
            return Err(QueueError::Unavailable(format!("the topics have {counts:?} partitions; they must have the same number")));
        }
        Ok(i32::try_from(counts[0]).ok())
    }

    /// Whether the brokers answered the last time.
    pub(super) fn available(&self) -> watch::Receiver<bool> {
        self.available.subscribe()
    }

    /// Counts outages that lasted.
    pub(super) fn outages(&self) -> watch::Receiver<u64> {
        self.outages.subscribe()
    }

    /// How many partitions each topic has. It does not change while the process lives.
    pub(super) async fn partitions(&self) -> Result<i32, QueueError> {
        let mut partitions = self.partitions.subscribe();
        let known = tokio::time::timeout(PATIENCE, partitions.wait_for(Option::is_some)).await;
        known.ok().and_then(Result::ok).and_then(|known| *known).ok_or_else(|| QueueError::Unavailable("not connected".to_owned()))
    }

    /// The partition of everything about a session, in all topics.
    pub(super) async fn partition(&self, session: SessionId) -> Result<i32, QueueError> {
        Ok(partition(session, self.partitions().await?))
    }

    /// Hands a record to the producer, which sends it in order and once, and goes on trying for some time where the brokers don't answer.
    pub(super) fn send(&self, topic: &str, partition: i32, key: &str, value: Option<&[u8]>) -> Result<DeliveryFuture, QueueError> {
        let record = FutureRecord::<str, [u8]>::to(topic).partition(partition).key(key);
        let record = FutureRecord { payload: value, ..record };
        self.producer.send_result(record).map_err(|(error, _)| unavailable(error))
    }

    /// Writes a record; on all replicas when it returns.
    pub(super) async fn write(&self, topic: &str, partition: i32, key: &str, value: Option<&[u8]>) -> Result<(), QueueError> {
        let delivery = self.send(topic, partition, key, value)?;
        match tokio::time::timeout(PATIENCE, delivery).await {
            Ok(Ok(Ok(_))) => Ok(()),
            Ok(Ok(Err((error, _)))) => Err(unavailable(error)),
            _ => Err(QueueError::Unavailable("no answer within a second".to_owned())),
        }
    }

    /// Waits until everything that was handed to the producer is written, for at most [`PATIENCE`].
    pub(super) async fn flush(&self) {
        let producer = self.producer.clone();
        // What is not written by then was not written: nobody is told more than that.
        let _ = blocking(move || producer.flush(PATIENCE)).await;
    }

    /// A client that reads.
    pub(super) fn reader<C: ConsumerContext + 'static>(&self, context: C, more: &[(&str, &str)]) -> Result<Reader<C>, KafkaError> {
        let mut config = settings(&self.config, &READER);
        config.set("group.id", self.topics.readers());
        more.iter().for_each(|(name, value)| {
            config.set(*name, *value);
        });
        config.create_with_context(context).map(|consumer| Reader(Some(consumer)))
    }

    /// Where the next record of a partition will be written.
    pub(super) async fn end_of(self: &Arc<Self>, topic: &str, partition: i32) -> Result<i64, QueueError> {
        let topic = topic.to_owned();
        self.ask(move |asker, patience| asker.fetch_watermarks(&topic, partition, patience).map(|(_, end)| end)).await
    }

    /// The first or the next offset of each of a topic's partitions.
    pub(super) async fn offsets(self: &Arc<Self>, topic: &str, place: Offset) -> Result<HashMap<i32, i64>, QueueError> {
        let (topic, partitions) = (topic.to_owned(), self.partitions().await?);
        self.ask(move |asker, patience| offsets(asker, &topic, partitions, place, patience)).await
    }

    /// Asks the brokers something on a thread that may wait, for at most [`PATIENCE`]: again where the answer is only that they are not
    /// ready, as while leaders are elected.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl Fn(&StreamConsumer<Quiet>, Duration) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let cluster = Arc::clone(self);
        let began = Instant::now();
        let question = Arc::new(Mutex::new(question));
        loop {
            let (cluster, question) = (Arc::clone(&cluster), Arc::clone(&question));
            let patience = PATIENCE.saturating_sub(began.elapsed());
            match blocking(move || lock(&question)(&cluster.asker, patience)).await {
                Err(_) if began.elapsed() < PATIENCE => tokio::time::sleep(PATIENCE / 20).await,
                answer => return answer,
            }
        }
    }
}

/// The first or the next offset of each of so many partitions.
pub(super) fn offsets(
    asker: &StreamConsumer<Quiet>,
    topic: &str,
    partitions: i32,
    place: Offset,
    patience: Duration,
) -> Result<HashMap<i32, i64>, KafkaError> {
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, place)?;
    }
    let found = asker.offsets_for_times(list, patience)?;
    Ok(found.elements().iter().filter_map(|found| Some((found.partition(), found.offset().to_raw()?))).collect())
}

/// Which of so many partitions is a session's.
pub(super) fn partition(session: SessionId, partitions: i32) -> i32 {
    let folded = session.number().to_be_bytes().iter().fold(0_u32, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(16_777_619));
    i32::try_from(folded % u32::try_from(partitions).unwrap_or(1)).unwrap_or(0)
}

/// A client that reads. Closing it takes as long as an answer of the brokers does, and for ever where a member of a group loses them for good
/// (in librdkafka 2.12), so that is done on a thread that nobody waits for.
pub(super) struct Reader<C: ConsumerContext + 'static>(Option<StreamConsumer<C>>);

impl<C: ConsumerContext + 'static> Deref for Reader<C> {
    type Target = StreamConsumer<C>;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect("it is there until this is dropped")
    }
}

impl<C: ConsumerContext + 'static> Drop for Reader<C> {
    fn drop(&mut self) {
        let Some(consumer) = self.0.take() else { return };
        // Where there is no thread to be had, it is left to the end of the process.
        let consumer = ManuallyDrop::new(consumer);
        let _ = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || close(consumer));
    }
}

/// Closes a client after it has left its group, if it is in one.
///
/// librdkafka (2.12) takes the whole process along where a member is closed while its group changes: it counts the group as done before
/// the brokers have answered (`SyncGroup`), and if they answer that the group changes again, it says goodbye to a coordinator that it has
/// freed. Workers that are stopped together are in just that state. A member that has unsubscribed and let go of its partitions has said
/// goodbye already. One that does not come to that is never closed, only forgotten: it reads nothing, and the group does without it soon.
fn close<C: ConsumerContext + 'static>(consumer: ManuallyDrop<StreamConsumer<C>>) {
    /// Far more than it takes, with brokers and without: both are done within the process.
    const LEAVING: Duration = Duration::from_secs(10);
    let is_empty = |list: Result<TopicPartitionList, KafkaError>| list.is_ok_and(|list| list.count() == 0);
    if !is_empty(consumer.subscription()) {
        consumer.unsubscribe();
        let began = Instant::now();
        while !(is_empty(consumer.subscription()) && is_empty(consumer.assignment())) {
            if began.elapsed() > LEAVING {
                debug!("a member of the workers' group does not leave it, and stays unclosed");
                return;
            }
            // Reading is what takes back what it was given. A task that is read here was not begun: others will.
            if pin!(consumer.recv()).poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                #[expect(clippy::disallowed_methods, reason = "a thread of its own, and nothing wakes it when a list becomes empty")]
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    drop(ManuallyDrop::into_inner(consumer));
}

/// Every record once and in order, on all replicas, without waiting for more of them.
const PRODUCER: [(&str, &str); 6] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("linger.ms", "1"),
    // Longer than anybody waits for one record: what is late stays in order, and what comes too late is refused by its readers.
    ("message.timeout.ms", "30000"),
    ("message.max.bytes", MAX_RECORD),
    ("queue.buffering.max.kbytes", "65536"),
];

/// How long a broker may keep a reader waiting that always reads the same partitions. One that is given another begins with it only afterwards.
pub(super) const STEADY: (&str, &str) = ("fetch.wait.max.ms", "500");

/// Small buffers: a reader that is behind keeps what it read ahead and one answer of a broker, so about sixteen megabytes, however many
/// partitions it reads.
const READER: [(&str, &str); 9] = [
    ("enable.auto.commit", "false"),
    ("auto.offset.reset", "earliest"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.queue.backoff.ms", "10"),
    ("queued.max.messages.kbytes", "8192"),
    ("fetch.max.bytes", "8388608"),
    ("fetch.message.max.bytes", "524288"),
    ("fetch.error.backoff.ms", "100"),
    ("topic.metadata.refresh.interval.ms", "30000"),
];

fn settings(base: &ClientConfig, more: &[(&str, &str)]) -> ClientConfig {
    let mut config = base.clone();
    let more: HashMap<_, _> = more.iter().copied().collect();
    more.iter().for_each(|(name, value)| {
        config.set(*name, *value);
    });
    config
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
pub(super) fn unavailable(error: KafkaError) -> QueueError {
    QueueError::Unavailable(error.to_string())
}

async fn blocking<T: Send + 'static>(ask: impl FnOnce() -> Result<T, KafkaError> + Send + 'static) -> Result<T, QueueError> {
    match tokio::task::spawn_blocking(ask).await {
        Ok(answer) => answer.map_err(unavailable),
        Err(_) => Err(QueueError::Unavailable("shutting down".to_owned())),
    }
}

//! What all streams share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use http::HeaderName;
use tidegate_config::{Config, PriceSettings};
use tidegate_core::budget::RetryBudget;
use tidegate_core::id::{RequestId, SessionId, StreamId, TaskId};
use tidegate_ledger::spend::{Estimator, ModelFacts, Price, PriceTable};
use tidegate_ledger::{KeyTable, Ledger};
use tidegate_queue::Queue;

use crate::admit::permit::Permits;
use crate::attempt::provider::{self, BadProvider, Provider};
use crate::clock::Clock;
use crate::deliver::background::Background;
use crate::drain::Drain;
use crate::notify::BadWebhookUrl;
use crate::record::metrics::Metrics;
use crate::route::cache::Cache;
use crate::route::standing::Standings;
use crate::session::{self, BadQueue, Sessions};
use crate::tasks::Tasks;

/// Streams that may wait for a count of their tokens. Beyond it their usage stays unknown: a count is worth less than the memory of more.
const MAX_ESTIMATES: usize = 10_000;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Clients connect to it.
    Gateway,
    /// It runs the prompts of a queue. Over HTTP it only says how it is.
    Worker,
}

/// The shared parts of one gateway process.
#[derive(Debug)]
pub struct Gateway {
    /// What the process does.
    pub role: Role,
    /// Tells the time.
    pub clock: Clock,
    /// Counts what runs in the background.
    pub tasks: Tasks,
    /// How far a shutdown has come.
    pub drain: Drain,
    /// Counters and histograms.
    pub metrics: Metrics,
    /// Where records go.
    pub ledger: Ledger,
    /// The client keys in force.
    pub keys: Arc<ArcSwap<KeyTable>>,
    /// How many streams run.
    pub permits: Permits,
    /// How each target stands.
    pub standings: Standings,
    /// Answers that may serve again.
    pub cache: Cache,
    /// Where background answers are kept, and who tells their callers.
    pub background: Background,
    /// Conversations over WebSockets.
    pub sessions: Arc<Sessions>,
    /// Where their prompts wait for workers; `None` where they wait and run in this process.
    pub queue: Option<Queue>,
    /// Counts tokens that nobody told.
    pub estimator: Estimator,
    retry_budget: Mutex<RetryBudget>,
    setup: ArcSwap<Setup>,
}

fn facts(settings: &PriceSettings) -> ModelFacts {
    let price = settings.input.zip(settings.output).map(|(input, output)| Price {
        input,
        output,
        cached_input: settings.cached_input,
        reasoning: settings.reasoning,
    });
    ModelFacts { price, context_window: settings.context_window }
}

/// Settings that are valid by themselves and cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    /// A provider.
    #[error(transparent)]
    Provider(#[from] BadProvider),
    /// The queue of prompts.
    #[error(transparent)]
    Queue(#[from] BadQueue),
    /// The address for webhooks.
    #[error("notify.url: {0}")]
    Webhook(#[from] BadWebhookUrl),
}

/// One configuration and its providers. A stream keeps the setup that it began with.
#[derive(Debug)]
pub struct Setup {
    /// The settings.
    pub config: Config,
    /// The providers by name.
    pub providers: BTreeMap<String, Arc<Provider>>,
    /// The header that tells a provider how much time is left.
    pub deadline_header: Option<HeaderName>,
    /// What models cost.
    pub prices: Arc<PriceTable>,
}

impl Setup {
    fn new(config: Config, before: &BTreeMap<String, Arc<Provider>>) -> Result<Self, BadProvider> {
        let providers = provider::all(&config, before)?;
        // A loaded configuration holds only names that are valid.
        let deadline_header = config.deadline.header.as_deref().and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
        let prices = Arc::new(PriceTable::with_overrides(config.prices.iter().map(|(name, settings)| (name.clone(), facts(settings)))));
        Ok(Self { config, providers, deadline_header, prices })
    }
}

impl Gateway {
    /// A gateway with these settings, ready to serve. Call it on the runtime of the main thread: webhooks are sent from there.
    ///
    /// # Errors
    ///
    /// [`BadSettings`] where a provider or the address for webhooks cannot be used as configured.
    pub fn new(config: Config, ledger: Ledger, keys: Arc<ArcSwap<KeyTable>>, background: Background) -> Result<Self, BadSettings> {
        let setup = Setup::new(config, &BTreeMap::new())?;
        let (clock, tasks, drain) = (Clock::start(), Tasks::default(), Drain::default());
        background.configure(&setup.config.notify, clock, &tasks, &drain)?;
        let sessions = Arc::new(Sessions::new(setup.config.queue.global_max_size, setup.config.queue.pool()));
        let queue = session::queue(&setup.config.queue)?;
        let pooled = Arc::clone(&sessions);
        // It ends with the runtime: nothing has to wait for it.
        tokio::spawn(async move { pooled.pool.keep_fitting(clock).await });
        Ok(Self {
            role: Role::Gateway,
            clock,
            tasks,
            drain,
            metrics: Metrics::default(),
            ledger,
            keys,
            permits: Permits::default(),
            standings: Standings::default(),
            cache: Cache::default(),
            background,
            sessions,
            queue,
            estimator: Estimator::new(MAX_ESTIMATES),
            retry_budget: Mutex::new(RetryBudget::new(setup.config.budget)),
            setup: ArcSwap::from_pointee(setup),
        })
    }

    /// The same as a worker.
    #[must_use]
    pub fn as_worker(self) -> Self {
        Self { role: Role::Worker, ..self }
    }

    /// The setup in force now.
    #[must_use]
    pub fn setup(&self) -> Arc<Setup> {
        self.setup.load_full()
    }

    /// Puts new settings in force for streams that begin from now on. Running streams, and connections to unchanged providers, go on.
    ///
    /// # Errors
    ///
    /// [`BadSettings`]; the old settings stay in force.
    pub fn reload(&self, config: Config) -> Result<(), BadSettings> {
        let setup = Setup::new(config, &self.setup().providers)?;
        self.background.configure(&setup.config.notify, self.clock, &self.tasks, &self.drain)?;
        self.standings.set_policy(setup.config.breaker);
        self.retry_budget().set_policy(setup.config.budget);
        self.setup.store(Arc::new(setup));
        Ok(())
    }

    /// The share of recent requests that repetitions may be, over all streams.
    pub fn retry_budget(&self) -> MutexGuard<'_, RetryBudget> {
        // Nothing can panic while it is held, so a poisoned lock is as good as any.
        self.retry_budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new stream's id.
    #[must_use]
    pub fn new_stream_id(&self) -> StreamId {
        StreamId::new(self.clock.unix_millis(), rand::random())
    }

    /// A new session's id.
    #[must_use]
    pub fn new_session_id(&self) -> SessionId {
        SessionId::new(self.clock.unix_millis(), rand::random())
    }

    /// A new task's id.
    #[must_use]
    pub fn new_task_id(&self) -> TaskId {
        TaskId::new(self.clock.unix_millis(), rand::random())
    }

    /// A new request's id.
    #[must_use]
    pub fn new_request_id(&self) -> RequestId {
        RequestId::new(self.clock.unix_millis(), rand::random())
    }
}

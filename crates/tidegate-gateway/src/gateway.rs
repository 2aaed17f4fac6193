//! What all streams share.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tidegate_config::Config;
use tidegate_core::id::{RequestId, StreamId};
use tidegate_ledger::{KeyTable, Ledger};

use crate::admit::permit::Permits;
use crate::attempt::provider::{self, BadProvider, Provider};
use crate::clock::Clock;
use crate::drain::Drain;
use crate::record::metrics::Metrics;
use crate::tasks::Tasks;

/// The shared parts of one gateway process.
#[derive(Debug)]
pub struct Gateway {
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
    setup: ArcSwap<Setup>,
}

/// One configuration and its providers. A stream keeps the setup that it began with.
#[derive(Debug)]
pub struct Setup {
    /// The settings.
    pub config: Config,
    /// The providers by name.
    pub providers: BTreeMap<String, Arc<Provider>>,
}

impl Gateway {
    /// A gateway with these settings, ready to serve.
    ///
    /// # Errors
    ///
    /// [`BadProvider`] where a provider cannot be used as configured.
    pub fn new(config: Config, ledger: Ledger, keys: Arc<ArcSwap<KeyTable>>) -> Result<Self, BadProvider> {
        let providers = provider::all(&config, &BTreeMap::new())?;
        Ok(Self {
            clock: Clock::start(),
            tasks: Tasks::default(),
            drain: Drain::default(),
            metrics: Metrics::default(),
            ledger,
            keys,
            permits: Permits::default(),
            setup: ArcSwap::from_pointee(Setup { config, providers }),
        })
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
    /// [`BadProvider`]; the old settings stay in force.
    pub fn reload(&self, config: Config) -> Result<(), BadProvider> {
        let providers = provider::all(&config, &self.setup().providers)?;
        self.setup.store(Arc::new(Setup { config, providers }));
        Ok(())
    }

    /// A new stream's id.
    #[must_use]
    pub fn new_stream_id(&self) -> StreamId {
        StreamId::new(self.clock.unix_millis(), rand::random())
    }

    /// A new request's id.
    #[must_use]
    pub fn new_request_id(&self) -> RequestId {
        RequestId::new(self.clock.unix_millis(), rand::random())
    }
}

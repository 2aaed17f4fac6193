//! What Prometheus reads. Names follow OpenTelemetry's GenAI conventions where they have one.
//!
//! Counters move when a stream ends, from its finished record, so that relaying an event touches none of them.

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tidegate_core::breaker::State;
use tidegate_core::failure::Failure;
use tidegate_core::record::{Status, StreamRecord};
use tidegate_queue::Depth;

use crate::route::standing::Snapshot;

/// Buckets for waits in seconds: fine below a second, where a user feels it, coarse up to the longest profile.
const SECONDS: [f64; 16] = [0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 20.0, 45.0, 90.0, 300.0];

/// Every metric of the gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    streams: Family<StreamLabels, Counter>,
    attempts: Family<AttemptLabels, Counter>,
    refusals: Family<CodeLabel, Counter>,
    events: Family<EventLabel, Counter>,
    tokens: Family<TokenLabels, Counter>,
    first_event: Histogram,
    first_output: Histogram,
    longest_gap: Histogram,
    duration: Histogram,
    delivered_bytes: Counter,
    output_events: Counter,
    opened: Counter,
    retries_refused: Counter,
    breakers: Family<TargetLabels, Gauge>,
    outstanding: Family<TargetLabels, Gauge>,
    keys: Family<KeyLabels, Gauge>,
    open: Gauge,
    ledger_pending: Gauge,
    sessions: Gauge,
    tasks_waiting: Gauge,
    tasks_running: Gauge,
    pool_size: Gauge,
    pool_waiting: Gauge,
    queue_waiting: Gauge,
    queue_running: Gauge,
    queue_up: Gauge,
    activities: Gauge,
}

/// How much there is of what is counted where it happens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Present {
    /// Streams that run.
    pub open_streams: usize,
    /// Rows that wait to be written.
    pub ledger_pending: usize,
    /// Sessions, with and without a connection.
    pub sessions: usize,
    /// Prompts that wait for their turn in their session.
    pub tasks_waiting: usize,
    /// Prompts that run.
    pub tasks_running: usize,
    /// Prompts that may run at once.
    pub pool_size: usize,
    /// Prompts whose turn it is, and that wait for one of those places.
    pub pool_waiting: usize,
    /// Prompts whose turn it is and prompts that run: in this process, or in the queue that all share. `None` where that does not answer.
    pub depth: Option<Depth>,
    /// Prompts can be queued.
    pub queue_up: bool,
    /// What a shutdown would wait for: connections, sessions and what goes on without a client.
    pub activities: usize,
}

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($field:ident as $label:literal: $kind:ty),* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        struct $name { $($field: $kind),* }

        impl EncodeLabelSet for $name {
            fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
                $(($label, self.$field.as_ref() as &str).encode(encoder.encode_label())?;)*
                Ok(())
            }
        }
    };
}

use prometheus_client::encoding::EncodeLabel as _;

labels! { StreamLabels { endpoint as "endpoint": String, status as "status": &'static str, code as "code": String } }
labels! { AttemptLabels { provider as "provider": String, outcome as "outcome": &'static str, code as "code": String } }
labels! { CodeLabel { code as "code": &'static str } }
labels! { EventLabel { kind as "type": &'static str } }
labels! { TargetLabels { provider as "provider": String, model as "model": String } }
labels! { KeyLabels { provider as "provider": String, state as "state": &'static str } }
labels! { TokenLabels { provider as "provider": String, kind as "type": &'static str } }

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || Histogram::new(SECONDS);
        let mut metrics = Self {
            registry: Registry::default(),
            streams: Family::default(),
            attempts: Family::default(),
            refusals: Family::default(),
            events: Family::default(),
            tokens: Family::default(),
            first_event: seconds(),
            first_output: seconds(),
            longest_gap: seconds(),
            duration: seconds(),
            delivered_bytes: Counter::default(),
            output_events: Counter::default(),
            opened: Counter::default(),
            retries_refused: Counter::default(),
            breakers: Family::default(),
            outstanding: Family::default(),
            keys: Family::default(),
            open: Gauge::default(),
            ledger_pending: Gauge::default(),
            sessions: Gauge::default(),
            tasks_waiting: Gauge::default(),
            tasks_running: Gauge::default(),
            pool_size: Gauge::default(),
            pool_waiting: Gauge::default(),
            queue_waiting: Gauge::default(),
            queue_running: Gauge::default(),
            queue_up: Gauge::default(),
            activities: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let Self { registry, .. } = self;
        let wait = Unit::Seconds;
        registry.register("tidegate_streams", "Streams that ended, by status and code", self.streams.clone());
        registry.register("tidegate_streams_opened", "Streams that began", self.opened.clone());
        registry.register("tidegate_open_streams", "Streams that run now", self.open.clone());
        registry.register("tidegate_attempts", "Provider requests that ended, by outcome and code", self.attempts.clone());
        registry.register("tidegate_retries_refused", "Repetitions that the retry budget had no room for", self.retries_refused.clone());
        registry.register(
            "tidegate_breaker_state",
            "What a target's breaker does: 0 closed, 1 half open, 2 open, 3 cooling down",
            self.breakers.clone(),
        );
        registry.register("tidegate_target_outstanding", "Attempts under way at a target", self.outstanding.clone());
        registry.register(
            "tidegate_provider_keys",
            "The gateway's keys for a provider: those that serve, and refused ones that rest",
            self.keys.clone(),
        );
        registry.register("tidegate_refusals", "Requests refused before they became a stream", self.refusals.clone());
        registry.register("tidegate_events", "Provider events by type, and keepalives sent", self.events.clone());
        registry.register("tidegate_delivered_output_events", "Output events that clients' sockets took", self.output_events.clone());
        registry.register("tidegate_delivered_bytes", "Body bytes that clients' sockets took", self.delivered_bytes.clone());
        registry.register("tidegate_ledger_pending", "Rows that wait to be written", self.ledger_pending.clone());
        registry.register("tidegate_activities", "What a shutdown would wait for", self.activities.clone());
        registry.register("tidegate_sessions", "Sessions, with and without a connection", self.sessions.clone());
        registry.register("tidegate_tasks_waiting", "Prompts that wait for their turn in their session", self.tasks_waiting.clone());
        registry.register("tidegate_tasks_running", "Prompts that run", self.tasks_running.clone());
        registry.register("tidegate_pool_size", "Prompts that may run at once", self.pool_size.clone());
        registry.register(
            "tidegate_pool_waiting",
            "Prompts whose turn it is and that wait for a place in the pool",
            self.pool_waiting.clone(),
        );
        registry.register(
            "tidegate_queue_waiting",
            "Prompts whose turn it is and that wait to be run, over all gateways that share a queue",
            self.queue_waiting.clone(),
        );
        registry.register("tidegate_queue_running", "Prompts that run, over all gateways that share a queue", self.queue_running.clone());
        registry.register("tidegate_queue_up", "1 while prompts can be queued", self.queue_up.clone());
        registry.register("gen_ai_client_token_usage", "Tokens that providers reported, by type", self.tokens.clone());
        registry.register_with_unit(
            "tidegate_time_to_first_event",
            "Arrival to the first provider event",
            wait.clone(),
            self.first_event.clone(),
        );
        registry.register_with_unit(
            "gen_ai_client_operation_time_to_first_chunk",
            "Arrival to the first output",
            wait.clone(),
            self.first_output.clone(),
        );
        registry.register_with_unit(
            "tidegate_longest_gap",
            "Longest silence between two provider events of a stream",
            wait.clone(),
            self.longest_gap.clone(),
        );
        registry.register_with_unit("gen_ai_client_operation_duration", "Arrival to the end", wait, self.duration.clone());
    }

    /// A stream began.
    pub fn stream_opened(&self) {
        self.opened.inc();
    }

    /// A request was refused before it became a stream.
    pub fn refused(&self, failure: Failure) {
        self.refusals.get_or_create(&CodeLabel { code: failure.code() }).inc();
    }

    /// A repetition was not made because the retry budget is used up.
    pub fn retry_refused(&self) {
        self.retries_refused.inc();
    }

    /// A stream ended with this record.
    pub fn stream_ended(&self, record: &StreamRecord) {
        let code = |code: &Option<String>| code.clone().unwrap_or_default();
        let status = record.status.map_or("", Status::name);
        self.streams.get_or_create(&StreamLabels { endpoint: record.endpoint_family.clone(), status, code: code(&record.code) }).inc();
        for attempt in &record.attempts {
            let labels = AttemptLabels { provider: attempt.provider.clone(), outcome: attempt.outcome.name(), code: code(&attempt.code) };
            self.attempts.get_or_create(&labels).inc();
            let usage = attempt.usage.unwrap_or_default();
            for (kind, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
                if let Some(tokens) = tokens {
                    self.tokens.get_or_create(&TokenLabels { provider: attempt.provider.clone(), kind }).inc_by(tokens);
                }
            }
        }
        for (kind, count) in [
            ("lifecycle", record.events.lifecycle),
            ("output", record.events.output),
            ("usage", record.events.usage),
            ("completion", record.events.completion),
            ("error", record.events.error),
            ("other", record.events.other),
            ("keepalive", record.events.keepalive),
        ] {
            if count > 0 {
                self.events.get_or_create(&EventLabel { kind }).inc_by(count);
            }
        }
        self.output_events.inc_by(record.delivered.output_events);
        self.delivered_bytes.inc_by(record.delivered.bytes);
        observe(&self.first_event, record.time_to_first_event_ms);
        observe(&self.first_output, record.time_to_first_output_ms);
        observe(&self.longest_gap, record.max_gap_ms);
        observe(&self.duration, record.completed_ms);
    }

    /// How many of a provider's keys serve, and how many rest because the provider refused them.
    pub fn provider_keys(&self, provider: &str, serving: usize, resting: usize) {
        for (state, count) in [("serving", serving), ("resting", resting)] {
            let labels = KeyLabels { provider: provider.to_owned(), state };
            self.keys.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn encode(&self, present: Present, targets: &[Snapshot]) -> String {
        for target in targets {
            let labels = TargetLabels { provider: target.provider.to_string(), model: target.model.to_string() };
            let state = match target.state {
                State::Closed => 0,
                State::HalfOpen => 1,
                State::Open => 2,
                State::CoolingDown => 3,
            };
            self.breakers.get_or_create(&labels).set(state);
            self.outstanding.get_or_create(&labels).set(target.outstanding.into());
        }
        if let Some(Depth { waiting, running }) = present.depth {
            self.queue_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
            self.queue_running.set(i64::try_from(running).unwrap_or(i64::MAX));
        }
        self.queue_up.set(i64::from(present.queue_up));
        for (gauge, count) in [
            (&self.open, present.open_streams),
            (&self.ledger_pending, present.ledger_pending),
            (&self.activities, present.activities),
            (&self.sessions, present.sessions),
            (&self.tasks_waiting, present.tasks_waiting),
            (&self.tasks_running, present.tasks_running),
            (&self.pool_size, present.pool_size),
            (&self.pool_waiting, present.pool_waiting),
        ] {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("metrics cannot be written");
        }
        text
    }
}

fn observe(histogram: &Histogram, millis: Option<u64>) {
    if let Some(millis) = millis {
        histogram.observe(std::time::Duration::from_millis(millis).as_secs_f64());
    }
}

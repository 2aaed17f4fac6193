//! The settings in force, as a configuration file.

use std::num::{NonZeroU16, NonZeroU32};

use tidegate_core::balance::Balance;
use tidegate_core::budget::BudgetPolicy;
use tidegate_core::limits::DeliveryMode;
use tidegate_core::retry::RetryPolicy;
use tidegate_core::session::QueuePolicy;

use crate::config::{
    Config, Deadline, Degrade, Model, Notify, OnDisconnect, PriceSettings, Provider, ProviderKind, Queue, QueueBackend, Route, Server,
    Sessions, SlowGuard, Timing,
};
use crate::file::{
    BackendName, BalanceName, BreakerFile, DeadlineFile, DegradeFile, DeliveryName, DrainFile, File, LedgerFile, LogFile, ModelFile,
    NO_HEADER, NotifyFile, OnDisconnectName, PolicyName, PriceFile, ProviderFile, QueueFile, RetryFile, RouteFile, ServerFile,
    SessionsFile, SlowFile, TimeoutsFile,
};
use crate::text::{AddressText, BrokerText, DurationText, OriginText, ProxyText, RedisText, SecretText, SizeText, TopicsText, UrlText};

/// The whole configuration in force as TOML, defaults included, secrets as `"***"`.
#[must_use]
pub fn show(config: &Config) -> String {
    // The mirror holds texts, numbers, lists and tables: TOML has all of them, so this is never an error.
    toml::Table::try_from(mirror(config)).map(|table| table.to_string()).unwrap_or_default()
}

fn mirror(config: &Config) -> File {
    File {
        server: server(&config.server),
        ledger: LedgerFile { path: config.ledger.path.to_string_lossy().into_owned(), retention: DurationText(config.ledger.retention) },
        providers: config.providers.iter().map(|(name, provider)| (name.clone(), self::provider(provider))).collect(),
        models: config.models.iter().map(|model| (model.name.clone(), self::model(model, config))).collect(),
        profiles: config.profiles.iter().map(|(name, profile)| (name.to_owned(), timeouts(&Timing::all_of(profile)))).collect(),
        retry: retry(&config.retry, config.budget),
        breaker: BreakerFile { failures: config.breaker.failures, cooldown: DurationText(config.breaker.cooldown) },
        deadline: deadline(&config.deadline),
        queue: queue(&config.queue),
        sessions: sessions(&config.sessions),
        notify: notify(&config.notify),
        prices: config.prices.iter().map(|(name, price)| (name.clone(), self::price(price))).collect(),
        log: LogFile { format: config.log.format, level: config.log.level },
    }
}

fn server(server: &Server) -> ServerFile {
    ServerFile {
        listen: AddressText(server.listen),
        workers: server.workers,
        head_after: DurationText(server.head_after),
        keepalive: DurationText(server.keepalive),
        max_streams: count(server.max_streams),
        max_connections: Some(count(server.max_connections)),
        max_body: SizeText(server.max_body),
        header_timeout: DurationText(server.header_timeout),
        body_timeout: DurationText(server.body_timeout),
        slow_client: DurationText(server.slow_client),
        write_buffer: SizeText(server.write_buffer),
        drain: DurationText(server.drain),
    }
}

fn provider(provider: &Provider) -> ProviderFile {
    let (api_key, several) = match provider.api_keys.as_slice() {
        [only] => (Some(only), [].as_slice()),
        several => (None, several),
    };
    ProviderFile {
        kind: provider.kind,
        base_url: (provider.kind != ProviderKind::Mock).then(|| UrlText(provider.base_url.clone())),
        api_key: api_key.cloned().map(SecretText),
        api_keys: several.iter().cloned().map(SecretText).collect(),
        headers: provider.headers.iter().map(|(name, value)| (name.clone(), SecretText(value.as_str().into()))).collect(),
        proxy: provider.proxy.clone().map(ProxyText),
        ca_file: provider.ca_file.as_ref().map(|path| path.to_string_lossy().into_owned()),
        http2: provider.http2,
        max_connections: provider.max_connections,
        pool_wait: DurationText(provider.pool_wait),
        send_body: DurationText(provider.send_body),
        idle_connections: provider.idle_connections,
        connection_max_idle: DurationText(provider.connection_max_idle),
    }
}

fn model(model: &Model, config: &Config) -> ModelFile {
    let by_name = || model.fixed_class_name().map(|name| config.profiles.for_model(name).0.to_owned());
    let (on_disconnect, drain) = match model.on_disconnect {
        OnDisconnect::Cancel => (OnDisconnectName::Cancel, None),
        OnDisconnect::Drain { max_tokens, max_time } => {
            (OnDisconnectName::Drain, Some(DrainFile { max_tokens, max_time: DurationText(max_time) }))
        }
    };
    ModelFile {
        routes: model.routes.iter().map(route).collect(),
        balance: Some(match model.balance {
            Balance::Order => BalanceName::Order,
            Balance::Weight => BalanceName::Weight,
            Balance::Latency => BalanceName::Latency,
            Balance::LeastOutstanding => BalanceName::LeastOutstanding,
        }),
        degrade: model.degrade.iter().map(degrade).collect(),
        context_window: model.context_window,
        slow: model.slow.map(|SlowGuard { chars_per_second, window }| SlowFile { chars_per_second, window: DurationText(window) }),
        profile: model.timing.profile.clone().or_else(by_name),
        timeouts: timeouts(&model.timing),
        thinking_profile: model.thinking_timing.profile.clone().unwrap_or_default(),
        thinking_timeouts: timeouts(&model.thinking_timing),
        delivery: match model.delivery {
            DeliveryMode::Stream if model.background => DeliveryName::Background,
            DeliveryMode::Stream => DeliveryName::Stream,
            DeliveryMode::Coherent => DeliveryName::Coherent,
            DeliveryMode::Buffered => DeliveryName::Buffered,
        },
        on_disconnect,
        drain,
        on_malformed: model.on_malformed,
        early_200: model.early_200,
    }
}

fn route(route: &Route) -> RouteFile {
    RouteFile { provider: route.provider.clone(), model: route.model.clone(), weight: route.weight, larger_context: route.larger_context }
}

fn degrade(step: &Degrade) -> DegradeFile {
    let nothing = DegradeFile::default();
    match step.clone() {
        Degrade::Model { model, max_tokens } => DegradeFile { model: Some(model), max_tokens, ..nothing },
        Degrade::Cached { ttl } => DegradeFile { cached: Some(DurationText(ttl)), ..nothing },
        Degrade::Static { text } => DegradeFile { text: Some(text), ..nothing },
        Degrade::Notify => DegradeFile { notify: Some(true), ..nothing },
    }
}

fn retry(retry: &RetryPolicy, budget: BudgetPolicy) -> RetryFile {
    RetryFile {
        attempts: retry.attempts,
        backoff: DurationText(retry.backoff),
        backoff_max: DurationText(retry.backoff_max),
        jitter: DurationText(retry.jitter),
        longest_pushback: DurationText(retry.longest_pushback),
        budget: budget.share,
        budget_floor: budget.floor,
    }
}

fn deadline(deadline: &Deadline) -> DeadlineFile {
    DeadlineFile {
        overhead: DurationText(deadline.policy.overhead),
        least: DurationText(deadline.policy.least),
        header: deadline.header.clone().unwrap_or_else(|| NO_HEADER.to_owned()),
    }
}

fn queue(queue: &Queue) -> QueueFile {
    let backend = match &queue.backend {
        QueueBackend::Memory => QueueFile::default(),
        QueueBackend::Redis(url) => QueueFile { backend: BackendName::Redis, redis: Some(RedisText(url.clone())), ..QueueFile::default() },
        QueueBackend::Kafka(kafka) => QueueFile {
            backend: BackendName::Kafka,
            kafka: kafka.brokers.iter().cloned().map(BrokerText).collect(),
            kafka_topics: Some(TopicsText(kafka.topics.clone())),
            kafka_partitions: NonZeroU16::new(kafka.partitions),
            ..QueueFile::default()
        },
    };
    QueueFile {
        max_queue_size: count(queue.max_queue_size),
        global_max_size: count(queue.global_max_size),
        policy: match queue.policy {
            QueuePolicy::Reject => PolicyName::Reject,
            QueuePolicy::DropOldest => PolicyName::DropOldest,
            QueuePolicy::Defer => PolicyName::Defer,
        },
        lease: DurationText(queue.lease),
        min_workers: count(queue.min_workers),
        max_workers: count(queue.max_workers),
        ..backend
    }
}

fn sessions(sessions: &Sessions) -> SessionsFile {
    SessionsFile {
        model: sessions.model.clone(),
        heartbeat: DurationText(sessions.heartbeat),
        idle_ttl: DurationText(sessions.idle_ttl),
        resume_ttl: DurationText(sessions.resume_ttl),
        max_message: SizeText(sessions.max_message),
        max_sessions: count(sessions.max_sessions),
        allowed_origins: sessions.allowed_origins.iter().cloned().map(OriginText).collect(),
    }
}

fn notify(notify: &Notify) -> NotifyFile {
    NotifyFile {
        secret: notify.secret.clone().map(SecretText),
        url: notify.url.clone().map(UrlText),
        allow_private: notify.allow_private,
        retention: DurationText(notify.retention),
        deadline: DurationText(notify.deadline),
    }
}

fn price(price: &PriceSettings) -> PriceFile {
    let &PriceSettings { input, output, cached_input, reasoning, context_window } = price;
    PriceFile { input, output, cached_input, reasoning, context_window: context_window.and_then(tokens) }
}

/// A number of tokens of the configuration; it was a `NonZeroU32` there.
fn tokens(number: u64) -> Option<NonZeroU32> {
    u32::try_from(number).ok().and_then(NonZeroU32::new)
}

fn timeouts(timing: &Timing) -> TimeoutsFile {
    TimeoutsFile {
        connect: timing.connect.map(DurationText),
        first_byte: timing.first_byte.map(DurationText),
        idle: timing.idle.map(DurationText),
        total: timing.total.map(DurationText),
    }
}

/// A count of the configuration; it was a `NonZeroU32` there, or twice one.
fn count(number: usize) -> NonZeroU32 {
    u32::try_from(number).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX)
}

#[cfg(test)]
mod tests;

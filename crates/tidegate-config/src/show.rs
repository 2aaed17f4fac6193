//! The settings in force, as a configuration file.

use std::num::NonZeroU32;

use tidegate_core::limits::DeliveryMode;

use crate::config::{Config, Model, OnDisconnect, Provider, ProviderKind, Server, Timing};
use crate::file::{
    DeliveryName, DrainFile, File, LedgerFile, LogFile, ModelFile, OnDisconnectName, ProviderFile, RouteFile, ServerFile, TimeoutsFile,
};
use crate::text::{AddressText, DurationText, ProxyText, SecretText, SizeText, UrlText};

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
    ProviderFile {
        kind: provider.kind,
        base_url: (provider.kind != ProviderKind::Mock).then(|| UrlText(provider.base_url.clone())),
        api_key: provider.api_key.clone().map(SecretText),
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
        routes: model.routes.iter().map(|route| RouteFile { provider: route.provider.clone(), model: route.model.clone() }).collect(),
        profile: model.timing.profile.clone().or_else(by_name),
        timeouts: timeouts(&model.timing),
        thinking_profile: model.thinking_timing.profile.clone().unwrap_or_default(),
        thinking_timeouts: timeouts(&model.thinking_timing),
        delivery: match model.delivery {
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

//! Structured logs on standard error: JSON lines for machines, text for people.

use std::io::IsTerminal;

use tidegate_config::{LogFormat, LogLevel};
use tracing_subscriber::EnvFilter;

/// Starts logging. `RUST_LOG` overrides the level, for a single run.
pub(crate) fn start(format: LogFormat, level: LogLevel) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level.name()));
    let as_text = match format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if as_text {
        install(base.with_target(false).finish());
    } else {
        install(base.json().flatten_event(true).with_current_span(false).with_span_list(false).finish());
    }
}

/// Not by `init`, which would also hear the libraries that log in another way than we do: the WebSocket engine tells there every message
/// that it reads, and prompts are in no log line, whatever the level.
fn install(subscriber: impl tracing::Subscriber + Send + Sync) {
    tracing::subscriber::set_global_default(subscriber).expect("a command starts its log once");
}

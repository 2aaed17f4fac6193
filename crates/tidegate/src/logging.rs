//! Structured logs on standard error: JSON lines for machines, text for people.

use std::io::IsTerminal;

use tidegate_config::{LogFormat, LogLevel};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;

/// Crates whose own lines repeat what clients and models say to each other.
const INDISCREET: [&str; 2] = ["tungstenite", "tokio_tungstenite"];

/// Starts logging. `RUST_LOG` overrides the level, for a single run.
pub(crate) fn start(format: LogFormat, level: LogLevel) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level.name()));
    // Beside the filter and not a part of it: there, a more exact word of `RUST_LOG` would win.
    let discretion = filter_fn(|metadata| is_discreet(metadata.target()));
    let registry = tracing_subscriber::registry().with(filter).with(discretion);
    let as_text = match format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if as_text {
        registry.with(lines.with_target(false)).init();
    } else {
        registry.with(lines.json().flatten_event(true).with_current_span(false).with_span_list(false)).init();
    }
}

/// Whether lines of this module keep the contents of messages to themselves.
fn is_discreet(target: &str) -> bool {
    let krate = target.split("::").next().unwrap_or(target);
    !INDISCREET.contains(&krate)
}

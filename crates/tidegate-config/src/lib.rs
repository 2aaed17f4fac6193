//! Tidegate's configuration: one TOML file, the environment over it, flags over both, to a [`Config`] that cannot be wrong.
//!
//! The way of a setting, in reading order: [`Sources`] says where to look; `tree` holds every value with its place of
//! origin; `overlay` and `builtin` lay the environment and the built-in provider over it; `check` compares it with the
//! schema of `file` (the serde mirror) and reports every unknown name and wrong value at once; `resolve` turns the mirror
//! into [`Config`] and judges what needs two settings to judge. [`ConfigErrors`] draws all faults the way rustc does, and
//! never shows a secret.

#![forbid(unsafe_code)]

mod config;
pub mod defaults;
mod profiles;

mod builtin;
mod check;
mod errors;
mod load;
mod mask;
mod overlay;
mod path;
mod resolve;
mod tree;
mod unavailable;

mod file;
mod reference;
mod reload;
mod schema;
mod show;
mod text;

pub use config::{
    ANY_ORIGIN, Config, Deadline, Degrade, Http2, Kafka, Ledger, Log, LogFormat, LogLevel, Model, Models, Notify, OnDisconnect,
    OnMalformed, PriceSettings, Profiles, Provider, ProviderKind, Queue, QueueBackend, Route, Server, Sessions, SlowGuard, Timing,
};
pub use errors::ConfigErrors;
pub use load::{DEFAULT_FILE, FILE_VARIABLE, FileSource, Flag, Loaded, Sources};
pub use profiles::{CLASSES, STANDARD, STANDARD_PROFILES, THINKING};
pub use reference::reference_markdown;
pub use reload::needs_restart;
pub use schema::schema;
pub use show::show;
pub use text::length_of_time;

//! Tidegate's configuration: one TOML file, the environment over it, flags over both, to a [`Config`] that cannot be wrong.
//!
//! The way of a setting, in reading order: [`Sources`] says where to look; `tree` holds every value with its place of
//! origin; `check` compares the tree with the schema of `file` (the serde mirror) and reports every unknown name and
//! wrong value at once; `resolve` turns the mirror into [`Config`] and judges what needs two settings to judge.
//! [`ConfigErrors`] draws all faults the way rustc does, and never shows a secret.

#![forbid(unsafe_code)]

mod config;
pub mod defaults;
mod errors;
mod load;
mod profiles;

pub use config::{
    Config, Http2, Ledger, Log, LogFormat, LogLevel, Model, Models, OnDisconnect, OnMalformed, Profiles, Provider, ProviderKind, Route,
    Server, Timing,
};
pub use errors::ConfigErrors;
pub use load::{FileSource, Flag, Loaded, Sources};
pub use profiles::{CLASSES, STANDARD, STANDARD_PROFILES, THINKING};

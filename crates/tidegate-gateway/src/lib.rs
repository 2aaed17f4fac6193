//! Tidegate's async shell: everything that touches a socket, a clock or the ledger.
//!
//! The folders are the path of a stream, in order; [`serve`] shows the whole path on one page. Decisions are not made here but in
//! `tidegate-core`: the shell tells it what happened and does what it answers.

#![forbid(unsafe_code)]

pub mod clock;
pub mod drain;
pub mod gateway;
pub mod header_name;
pub mod serve;
pub mod tasks;
pub mod worker;

pub mod admit;
pub mod arrive;
pub mod attempt;
pub mod deliver;
pub mod record;
pub mod relay;
pub mod route;

pub mod notify;
pub mod session;

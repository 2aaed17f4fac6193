//! Admitted: who it is, and the right to run.

pub mod auth;
pub mod permit;

pub use auth::Caller;

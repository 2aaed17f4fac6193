//! Attempted: one provider request until its first output.

pub mod alarm;
pub mod call;
pub mod connect;
pub mod framing;
pub mod h1;
pub mod h2;
pub mod io;
pub mod keys;
pub mod open;
pub mod provider;
pub mod pushback;

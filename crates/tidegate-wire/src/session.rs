//! WebSocket session messages: one JSON object in a text frame, or in a binary one.
//!
//! The first clients knew PROMPT, ACK, TOKEN, COMPLETE and ERROR, each with few members. Those members are here still, and whatever else a
//! message says stands in further ones, which such a client does not read.

mod client;
mod close;
mod context;
mod gateway;
mod object;

pub use client::{Fault, read};
pub use close::{Close, DRAINING, TAKEN_OVER, close};
pub use context::messages;
pub use gateway::write;

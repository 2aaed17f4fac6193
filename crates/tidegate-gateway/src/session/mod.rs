//! WebSocket sessions: how one arrives, and what becomes of it.

pub mod handshake;
pub mod tickets;

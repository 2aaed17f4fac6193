//! Recorded: exactly one record for each stream, also when everything around it is dropped.

pub mod hint;
pub mod later;
pub mod live;
pub mod metrics;
pub mod spend;

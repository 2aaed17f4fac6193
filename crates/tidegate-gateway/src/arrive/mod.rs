//! Arrived: bytes become a request, or a refusal in the client's dialect.

pub mod body;
pub mod connection;
pub mod deadline;
pub mod headers;
pub mod listener;
pub mod meter;
pub mod paths;
pub mod socket;

//! Bytes to Tidegate's core types and back, one folder per dialect.
//!
//! Nothing here performs I/O, reads a clock or knows a runtime. What a provider or a client sent is parsed once, at this edge; what the
//! gateway may pass on untouched is passed on as the very bytes that came. Modules stand in reading order.

#![forbid(unsafe_code)]

pub mod names;
pub mod sse;

mod json;
pub mod openai_chat;
pub mod session;

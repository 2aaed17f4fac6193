//! Every decision of Tidegate, as values and state machines.
//!
//! Nothing here performs I/O, reads a clock or knows a runtime: the shell (`tidegate-gateway`), the
//! simulator (`tidegate-scenario`) and the tests drive the same code, each with its own time.
//! Modules stand in reading order.

#![forbid(unsafe_code)]

pub mod balance;
pub mod breaker;
pub mod budget;
pub mod clock;
pub mod deadline;
pub mod delivery;
pub mod event;
pub mod exchange;
pub mod failure;
pub mod health;
pub mod id;
pub mod limits;
pub mod pool;
pub mod record;
pub mod retry;
pub mod route;
pub mod session;
pub mod tally;
pub mod timers;

pub use clock::Moment;

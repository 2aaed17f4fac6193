//! One text language for what a provider does, and a mock provider that does it.
//!
//! A [`Scenario`] such as `a: 1s 'hel' cut; b: 1s 'WRONG' end` says what each target does with a request. The same text drives
//! the [`Mock`] over real sockets and the simulator in memory, so a behaviour is described once and checked at every level.
//! Modules stand in reading order.

#![forbid(unsafe_code)]

pub mod script;

pub mod directives;
pub mod words;

pub mod mock;
pub mod sim;

pub use mock::journal::{Journal, JournalEntry};
pub use mock::{Mock, MockSettings};
pub use script::{Ending, ParseError, Scenario, Script, Step, Target};

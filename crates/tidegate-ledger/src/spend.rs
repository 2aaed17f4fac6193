//! What an attempt used and what it cost: usage where the provider counted it, an estimate where it did not, money where the price is known.
//!
//! Nothing here is ever zero because it is not known. docs/prices.md explains the numbers to their readers.

mod prices;
mod table;

mod estimate;
mod estimator;

pub use estimate::{Sample, estimate};
pub use estimator::{Estimator, Job};
pub use prices::{ModelFacts, Price, PriceTable};

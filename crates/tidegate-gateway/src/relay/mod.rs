//! Relayed: the provider's events, in order, counted, held back where the line asks for it.

pub mod attempts;
pub mod drainage;
pub mod held;
pub mod prospects;
pub mod pump;
pub mod reading;

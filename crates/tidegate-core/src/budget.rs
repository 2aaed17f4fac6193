//! The retry budget: repetitions are a share of recent requests, so that they do not multiply an outage.

/// How many repetitions there may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetPolicy {
    /// Repetitions as a share of recent requests, 0 to 1. Default 0.2.
    pub share: f64,
    /// Repetitions that are allowed beside the share in each ten seconds, so that a lone request still has its retries. Default 10.
    pub floor: u32,
}

impl BudgetPolicy {
    /// The defaults.
    pub const STANDARD: Self = Self { share: 0.2, floor: 10 };
}

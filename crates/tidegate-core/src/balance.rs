//! In which order a model's targets are asked.

/// How the first target is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Balance {
    /// In the order written.
    #[default]
    Order,
    /// Drawn by weight.
    Weight,
    /// The quicker of two drawn by weight: peak-EWMA of the time to the first output.
    Latency,
    /// The one of two drawn by weight with fewer attempts under way.
    LeastOutstanding,
}

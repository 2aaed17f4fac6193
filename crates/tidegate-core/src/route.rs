//! Where a stream may go: the targets that are left, in order.

use std::collections::VecDeque;
use std::sync::Arc;

/// One place that can answer: a provider and the model's name there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The provider's name in the configuration.
    pub provider: Arc<str>,
    /// The model as the provider names it.
    pub model: Arc<str>,
}

/// The targets that are left to try. Who owns it may fall back; [`crate::delivery::Delivery::commit`] takes it away.
#[derive(Debug, PartialEq, Eq)]
pub struct RoutePlan {
    left: VecDeque<Target>,
}

impl RoutePlan {
    /// A plan that tries `targets` in this order.
    #[must_use]
    pub fn new(targets: impl IntoIterator<Item = Target>) -> Self {
        Self { left: targets.into_iter().collect() }
    }

    /// Takes the next target out of the plan.
    pub(crate) fn take_next(&mut self) -> Option<Target> {
        self.left.pop_front()
    }

    /// Whether a target is left.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.left.is_empty()
    }
}

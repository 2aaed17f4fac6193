//! What stands behind each target of a plan.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::limits::TimeoutProfile;

use super::standing::Standing;
use crate::attempt::provider::Provider;

/// What is needed to ask one target.
#[derive(Debug)]
pub enum Place {
    /// A provider.
    Provider(Box<ProviderPlace>),
    /// The cache, for answers up to this age.
    Cached(Duration),
    /// The same text for everybody.
    Static(String),
    /// The answer is made in the background, and the client is told where it will be.
    Notify,
}

/// A provider's model.
#[derive(Debug)]
pub struct ProviderPlace {
    /// The provider.
    pub provider: Arc<Provider>,
    /// How the target stands.
    pub standing: Arc<Standing>,
    /// The timeouts of the model that is asked for here.
    pub profile: TimeoutProfile,
    /// Longest wait for a free connection.
    pub pool_wait: Duration,
    /// Longest time for sending the request.
    pub send_body: Duration,
    /// The answer is to be no longer than this.
    pub max_tokens: Option<NonZeroU32>,
    /// The caller's key may use the model.
    pub is_allowed: bool,
    /// It is not the model that was asked for: a step of its degradation chain.
    pub is_degraded: bool,
}

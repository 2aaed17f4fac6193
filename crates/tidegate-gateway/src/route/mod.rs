//! Routed: which target may answer.

use std::sync::Arc;

use tidegate_config::{Config, Model, Route};
use tidegate_core::failure::Failure;
use tidegate_core::route::{RoutePlan, Target};

use crate::attempt::provider::Provider;
use crate::gateway::Setup;

/// Where a request goes.
#[derive(Debug)]
pub struct Routed<'s> {
    /// The model's settings.
    pub model: &'s Model,
    /// The route to its provider.
    pub route: &'s Route,
    /// The provider.
    pub provider: &'s Arc<Provider>,
    /// The model as the provider names it.
    pub upstream_model: Arc<str>,
}

impl Routed<'_> {
    /// The plan to try: the one route of this version.
    #[must_use]
    pub fn plan(&self) -> RoutePlan {
        RoutePlan::new([Target::new(Arc::clone(&self.provider.name), Arc::clone(&self.upstream_model))])
    }

    /// The provider's settings.
    ///
    /// # Errors
    ///
    /// `internal`: a loaded configuration has a provider for every route.
    pub fn settings<'c>(&self, config: &'c Config) -> Result<&'c tidegate_config::Provider, Failure> {
        config.provider(self.route).ok_or(Failure::Internal)
    }
}

/// Finds the model that was asked for and its provider.
///
/// # Errors
///
/// `model_not_found`.
pub fn find<'s>(setup: &'s Setup, requested: &str) -> Result<Routed<'s>, Failure> {
    let model = setup.config.model(requested).ok_or(Failure::ModelNotFound)?;
    let route = model.routes.first().ok_or(Failure::ModelNotFound)?;
    let provider = setup.providers.get(&route.provider).ok_or(Failure::Internal)?;
    Ok(Routed { model, route, provider, upstream_model: route.upstream_model(requested).into() })
}

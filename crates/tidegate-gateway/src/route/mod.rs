//! Routed: which targets may answer, and in which order.

pub mod cache;
pub mod outlook;
pub mod places;
pub mod standing;

use std::num::NonZeroU32;
use std::sync::Arc;

use tidegate_config::{Degrade, Model, Route};
use tidegate_core::balance::{Balance, Candidate, order};
use tidegate_core::failure::Failure;
use tidegate_core::limits::Limits;
use tidegate_core::route::{RoutePlan, Target};
use tidegate_wire::names::place;
use tidegate_wire::openai_chat::ChatRequest;

use self::places::{Place, ProviderPlace};
use crate::admit::auth::Caller;
use crate::gateway::{Gateway, Setup};

/// Finds the model that was asked for.
///
/// # Errors
///
/// `model_not_found`.
pub fn find<'s>(setup: &'s Setup, requested: &str) -> Result<&'s Model, Failure> {
    setup.config.model(requested).ok_or(Failure::ModelNotFound)
}

/// Whom a request may ask, before anyone is asked.
#[derive(Debug)]
pub struct Routed {
    /// The targets, in order.
    pub plan: RoutePlan,
    /// What stands behind each; a target's `place` is the index.
    pub places: Vec<Place>,
    /// The limits of the stream, with those of its first target.
    pub limits: Limits,
}

/// Makes the plan: the model's own targets, then those of each step of its degradation chain.
///
/// # Errors
///
/// `internal`: a loaded configuration has a provider for every route.
pub fn plan(
    gateway: &Gateway,
    setup: &Setup,
    model: &Model,
    chat: &ChatRequest,
    caller: &Caller,
    in_background: bool,
) -> Result<Routed, Failure> {
    let mut planner = Planner { gateway, setup, chat, caller, places: Vec::new() };
    let mut plan = RoutePlan::with_policy(
        setup.config.retry,
        planner.leg(&Asked { model, name: chat.model(), max_tokens: None, is_degraded: false })?,
    );
    let limits = planner.limits(model)?;
    // Whoever fetches a background answer has time: the chain's answers of the gateway's own are for those who wait.
    for step in model.degrade.iter().filter(|step| !in_background || matches!(step, Degrade::Model { .. })) {
        plan = plan.then(planner.step(step)?);
    }
    Ok(Routed { plan, places: planner.places, limits })
}

/// What the record says of a plan. Without a choice the attempts say it all.
#[must_use]
pub fn names(plan: &RoutePlan) -> Vec<String> {
    if plan.targets().nth(1).is_none() {
        return Vec::new();
    }
    plan.targets()
        .map(|target| if target.is_local { target.provider.to_string() } else { format!("{}/{}", target.provider, target.model) })
        .collect()
}

struct Planner<'a> {
    gateway: &'a Gateway,
    setup: &'a Setup,
    chat: &'a ChatRequest,
    caller: &'a Caller,
    places: Vec<Place>,
}

/// A model, as the client or a step of the chain asks for it.
struct Asked<'a> {
    model: &'a Model,
    name: &'a str,
    max_tokens: Option<NonZeroU32>,
    is_degraded: bool,
}

impl Planner<'_> {
    fn step(&mut self, step: &Degrade) -> Result<Vec<Target>, Failure> {
        let (place, name) = match step {
            Degrade::Model { model: name, max_tokens } => {
                let Some(model) = self.setup.config.model(name) else { return Ok(Vec::new()) };
                return self.leg(&Asked { model, name, max_tokens: *max_tokens, is_degraded: true });
            }
            Degrade::Cached { ttl } => (Place::Cached(*ttl), place::CACHE),
            Degrade::Static { text } => (Place::Static(text.clone()), place::STATIC),
            Degrade::Notify => (Place::Notify, place::NOTIFY),
        };
        let target = Target { place: self.places.len(), is_local: true, ..Target::new(name, name) };
        self.places.push(place);
        Ok(vec![target])
    }

    /// A model's targets in the order in which they are asked. Those for a larger context are asked last.
    fn leg(&mut self, asked: &Asked<'_>) -> Result<Vec<Target>, Failure> {
        let mut candidates = Vec::with_capacity(asked.model.routes.len());
        for route in &asked.model.routes {
            candidates.push((route, self.provider_place(asked, route)?));
        }
        let mut in_order = self.in_order(asked.model.balance, candidates);
        in_order.sort_by_key(|(route, _)| route.larger_context);
        let target = |(route, place): (&Route, ProviderPlace)| {
            let target = Target {
                place: self.places.len(),
                larger_context: route.larger_context,
                ..Target::new(Arc::clone(&place.provider.name), route.upstream_model(asked.name))
            };
            self.places.push(Place::Provider(Box::new(place)));
            target
        };
        Ok(in_order.into_iter().map(target).collect())
    }

    fn in_order<'r>(&self, balance: Balance, candidates: Vec<(&'r Route, ProviderPlace)>) -> Vec<(&'r Route, ProviderPlace)> {
        if balance == Balance::Order || candidates.len() < 2 {
            return candidates;
        }
        let now = self.gateway.clock.now();
        let judged =
            candidates.iter().map(|(route, place)| Candidate { weight: route.weight.unwrap_or(1), load: place.standing.load(now) });
        let order = order(balance, &judged.collect::<Vec<_>>(), &mut rand::random::<f64>);
        let mut candidates: Vec<_> = candidates.into_iter().map(Some).collect();
        order.filter_map(|index| candidates.get_mut(index).and_then(Option::take)).collect()
    }

    fn provider_place(&self, asked: &Asked<'_>, route: &Route) -> Result<ProviderPlace, Failure> {
        let config = &self.setup.config;
        let provider = self.setup.providers.get(&route.provider).ok_or(Failure::Internal)?;
        let settings = config.provider(route).ok_or(Failure::Internal)?;
        Ok(ProviderPlace {
            standing: self.gateway.standings.of(&provider.name, route.upstream_model(asked.name), config.breaker),
            provider: Arc::clone(provider),
            profile: config.profile_for(asked.model, asked.name, self.chat.asks_for_thinking()),
            pool_wait: settings.pool_wait,
            send_body: settings.send_body,
            max_tokens: asked.max_tokens,
            is_allowed: !asked.is_degraded || self.caller.may_use(asked.name),
            is_degraded: asked.is_degraded,
        })
    }

    fn limits(&self, model: &Model) -> Result<Limits, Failure> {
        let config = &self.setup.config;
        let first = model.routes.first().and_then(|route| config.provider(route)).ok_or(Failure::Internal)?;
        Ok(config.limits_for(model, first, self.chat.model(), self.chat.asks_for_thinking()))
    }
}

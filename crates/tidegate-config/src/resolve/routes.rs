//! `routes` and `balance` of `[models.NAME]`

use tidegate_core::balance::Balance;

use super::Judge;
use crate::check::did_you_mean;
use crate::config::Route;
use crate::file::{BalanceName, File, ModelFile, RouteFile};
use crate::path::KeyPath;

/// The routes of the model `name` at `path`, or the only provider where none is written.
pub(super) fn routes(name: &str, model: &ModelFile, file: &File, path: &KeyPath, judge: &mut Judge<'_>) -> Vec<Route> {
    let path = path.join("routes");
    let known: Vec<&str> = file.providers.keys().map(String::as_str).collect();
    if let ([], [only]) = (model.routes.as_slice(), known.as_slice()) {
        return vec![Route { provider: (*only).to_owned(), model: None, weight: None, larger_context: false }];
    }
    if model.routes.is_empty() && !known.is_empty() {
        judge.fault(&path, "it is not said where this model is served", "add routes = [{ provider = \"…\" }]");
    }
    for (n, route) in model.routes.iter().enumerate() {
        // A provider that left the tree has its own fault; that routes miss it is only a consequence.
        if !file.providers.contains_key(&route.provider) && !judge.faults.dropped(&KeyPath::of(&["providers", &route.provider])) {
            let path = path.index(n).join("provider");
            judge.fault(&path, format!("there is no provider {:?}", route.provider), did_you_mean(&route.provider, &known));
        }
        if let Some(first) = model.routes[..n].iter().position(|before| leads_to_same(name, before, route)) {
            let problem = "this route is there twice";
            judge.conflict(
                &path.index(n),
                (&path.index(first), "and here"),
                problem,
                "remove one; `retry.attempts` says how often it is asked",
            );
        }
    }
    if !model.routes.is_empty() && model.routes.iter().all(|route| route.larger_context) {
        judge.fault(&path, "no route is for ordinary requests", "remove larger_context from one of them");
    }
    let route = |route: &RouteFile| Route {
        provider: route.provider.clone(),
        model: route.model.clone(),
        weight: route.weight,
        larger_context: route.larger_context,
    };
    model.routes.iter().map(route).collect()
}

/// Whether both routes of the model `name` ask one provider for one model.
fn leads_to_same(name: &str, a: &RouteFile, b: &RouteFile) -> bool {
    // A pattern passes on the name that was asked for, which is known with the request only.
    let served_as = |route: &RouteFile| route.model.clone().or_else(|| (!name.ends_with('*')).then(|| name.to_owned()));
    a.provider == b.provider && served_as(a) == served_as(b)
}

/// How the first route of the model at `path` is chosen.
pub(super) fn balance(model: &ModelFile, path: &KeyPath, judge: &mut Judge<'_>) -> Balance {
    let path = path.join("routes");
    let weighted = model.routes.iter().position(|route| route.weight.is_some());
    match (model.balance, weighted) {
        (Some(BalanceName::Order), Some(n)) => {
            judge.fault(
                &path.index(n).join("weight"),
                "has no effect where balance is \"order\"",
                "remove it, or write balance = \"weight\"",
            );
        }
        (_, Some(_)) if model.routes.iter().all(|route| route.weight == Some(0)) => {
            judge.fault(&path, "no route is ever drawn, as every weight is 0", "give one of them a weight above 0");
        }
        _ => {}
    }
    match model.balance {
        None if weighted.is_none() => Balance::Order,
        None => Balance::Weight,
        Some(BalanceName::Order) => Balance::Order,
        Some(BalanceName::Weight) => Balance::Weight,
        Some(BalanceName::Latency) => Balance::Latency,
        Some(BalanceName::LeastOutstanding) => Balance::LeastOutstanding,
    }
}

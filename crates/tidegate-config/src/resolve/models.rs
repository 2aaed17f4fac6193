//! `[models.NAME]`

use tidegate_core::balance::Balance;
use tidegate_core::limits::DeliveryMode;

use super::{Judge, timeouts};
use crate::check::did_you_mean;
use crate::config::{Model, Models, OnDisconnect, Route};
use crate::file::{DeliveryName, File, ModelFile, OnDisconnectName};
use crate::path::KeyPath;
use crate::profiles::Profiles;

/// All models of the file.
pub(super) fn models(file: &File, profiles: &Profiles, judge: &mut Judge<'_>) -> Models {
    Models::new(file.models.iter().map(|(name, model)| resolve(name, model, file, profiles, judge)))
}

fn resolve(name: &str, model: &ModelFile, file: &File, profiles: &Profiles, judge: &mut Judge<'_>) -> Model {
    let path = KeyPath::of(&["models", name]);
    check_name(name, &path, judge);
    for (field, profile) in [("profile", model.profile.as_ref()), ("thinking_profile", Some(&model.thinking_profile))] {
        if let Some(profile) = profile.filter(|profile| profiles.get(profile).is_none()) {
            let known: Vec<&str> = profiles.iter().map(|(known, _)| known).collect();
            judge.fault(&path.join(field), format!("there is no profile {profile:?}"), did_you_mean(profile, &known));
        }
    }
    let resolved = Model {
        name: name.to_owned(),
        routes: routes(model, file, &path, judge),
        balance: Balance::Order,
        degrade: Vec::new(),
        context_window: None,
        slow: None,
        timing: timeouts::timing(model.profile.clone(), &model.timeouts),
        thinking_timing: timeouts::timing(Some(model.thinking_profile.clone()), &model.thinking_timeouts),
        delivery: match model.delivery {
            DeliveryName::Stream => DeliveryMode::Stream,
            DeliveryName::Coherent => DeliveryMode::Coherent,
            DeliveryName::Buffered => DeliveryMode::Buffered,
        },
        on_disconnect: on_disconnect(model, &path, judge),
        on_malformed: model.on_malformed,
        early_200: model.early_200,
    };
    let class_name = resolved.fixed_class_name();
    timeouts::model_in_order(&path.join("timeouts"), &resolved.timing, class_name, profiles, judge);
    timeouts::model_in_order(&path.join("thinking_timeouts"), &resolved.thinking_timing, class_name, profiles, judge);
    resolved
}

/// A name is what clients write into JSON, with at most one star, at its end.
fn check_name(name: &str, path: &KeyPath, judge: &mut Judge<'_>) {
    if name.trim_end_matches('*').contains('*') || name.ends_with("**") {
        judge.wrong_name(path, "a pattern has its only `*` at its end", "write a prefix and `*`, such as \"gpt-4*\"");
    } else if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        judge.wrong_name(path, "a model cannot be called this", "write the name that clients ask for, without spaces around it");
    }
}

/// The routes, or the only provider where none is written.
fn routes(model: &ModelFile, file: &File, path: &KeyPath, judge: &mut Judge<'_>) -> Vec<Route> {
    let path = path.join("routes");
    let known: Vec<&str> = file.providers.keys().map(String::as_str).collect();
    // A provider that left the tree has its own fault; that routes miss it is only a consequence.
    let dropped = |name: &str, judge: &Judge<'_>| judge.faults.dropped(&KeyPath::of(&["providers", name]));
    if let ([], [only]) = (model.routes.as_slice(), known.as_slice()) {
        return vec![Route { provider: (*only).to_owned(), model: None, weight: None, larger_context: false }];
    }
    if model.routes.is_empty() && !known.is_empty() {
        judge.fault(&path, "it is not said where this model is served", "add routes = [{ provider = \"…\" }]");
    }
    for (n, route) in model.routes.iter().enumerate() {
        if !file.providers.contains_key(&route.provider) && !dropped(&route.provider, judge) {
            let path = path.index(n).join("provider");
            judge.fault(&path, format!("there is no provider {:?}", route.provider), did_you_mean(&route.provider, &known));
        }
    }
    model
        .routes
        .iter()
        .map(|route| Route { provider: route.provider.clone(), model: route.model.clone(), weight: None, larger_context: false })
        .collect()
}

fn on_disconnect(model: &ModelFile, path: &KeyPath, judge: &mut Judge<'_>) -> OnDisconnect {
    if model.drain.is_some() && model.on_disconnect != OnDisconnectName::Drain {
        judge.fault(&path.join("drain"), "these caps have no effect", "add on_disconnect = \"drain\", or remove them");
    }
    match model.on_disconnect {
        OnDisconnectName::Cancel => OnDisconnect::Cancel,
        OnDisconnectName::Drain => {
            let caps = model.drain.clone().unwrap_or_default();
            OnDisconnect::Drain { max_tokens: caps.max_tokens, max_time: caps.max_time.0 }
        }
    }
}

//! `[models.NAME]`

use tidegate_core::limits::DeliveryMode;

use super::{Judge, degrade, routes, timeouts};
use crate::check::did_you_mean;
use crate::config::{Model, Models, OnDisconnect, SlowGuard};
use crate::file::{DeliveryName, File, ModelFile, OnDisconnectName};
use crate::path::KeyPath;
use crate::profiles::Profiles;

/// All models of the file.
pub(super) fn models(file: &File, profiles: &Profiles, judge: &mut Judge<'_>) -> Models {
    let models = Models::new(file.models.iter().map(|(name, model)| resolve(name, model, file, profiles, judge)));
    degrade::judge_targets(&models, judge);
    models
}

fn resolve(name: &str, model: &ModelFile, file: &File, profiles: &Profiles, judge: &mut Judge<'_>) -> Model {
    let path = KeyPath::of(&["models", name]);
    check_name(name, &path, "write the name that clients ask for, without spaces around it", judge);
    for (field, profile) in [("profile", model.profile.as_ref()), ("thinking_profile", Some(&model.thinking_profile))] {
        if let Some(profile) = profile.filter(|profile| profiles.get(profile).is_none()) {
            let known: Vec<&str> = profiles.iter().map(|(known, _)| known).collect();
            judge.fault(&path.join(field), format!("there is no profile {profile:?}"), did_you_mean(profile, &known));
        }
    }
    let resolved = Model {
        name: name.to_owned(),
        routes: routes::routes(name, model, file, &path, judge),
        balance: routes::balance(model, &path, judge),
        degrade: degrade::chain(&model.degrade, &path.join("degrade"), judge),
        context_window: model.context_window,
        slow: model.slow.as_ref().map(|slow| SlowGuard { chars_per_second: slow.chars_per_second, window: slow.window.0 }),
        timing: timeouts::timing(model.profile.clone(), &model.timeouts),
        thinking_timing: timeouts::timing(Some(model.thinking_profile.clone()), &model.thinking_timeouts),
        background: matches!(model.delivery, DeliveryName::Background),
        delivery: match model.delivery {
            DeliveryName::Stream | DeliveryName::Background => DeliveryMode::Stream,
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
    timeouts::slow_in_order(&path, &resolved, profiles, judge);
    resolved
}

/// A name is what clients write into JSON, with at most one star, at its end. `remedy` says so for what the name is written for.
pub(super) fn check_name(name: &str, path: &KeyPath, remedy: &str, judge: &mut Judge<'_>) {
    if name.trim_end_matches('*').contains('*') || name.ends_with("**") {
        judge.wrong_name(path, "a pattern has its only `*` at its end", "write a prefix and `*`, such as \"gpt-4*\"");
    } else if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
        judge.wrong_name(path, "a model cannot be called this", remedy);
    }
}

/// Judges the name of a model that is written at `path` and has to be served by this configuration.
pub(super) fn judge_reference(name: &str, path: &KeyPath, models: &Models, judge: &mut Judge<'_>) {
    // A model that left the tree has its own fault; that it is missed here is only a consequence.
    let dropped = judge.faults.dropped(&KeyPath::of(&["models", name]));
    if name.contains('*') {
        judge.fault(path, "a pattern answers nothing by itself", "write one name that it matches");
    } else if models.get(name).is_none() && !dropped {
        let known: Vec<&str> = models.iter().filter(|model| !model.is_pattern()).map(|model| model.name.as_str()).collect();
        judge.fault(path, format!("there is no model {name:?}"), did_you_mean(name, &known));
    }
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

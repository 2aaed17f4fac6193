//! `degrade` of `[models.NAME]`

use super::Judge;
use super::models::judge_reference;
use crate::config::{Degrade, Model, Models};
use crate::file::DegradeFile;
use crate::path::KeyPath;

const STEPS: &str = "write one of { model = \"…\" }, { cached = \"1h\" }, { static = \"…\" } and { notify = true }";

/// The steps of the chain at `path`.
pub(super) fn chain(files: &[DegradeFile], path: &KeyPath, judge: &mut Judge<'_>) -> Vec<Degrade> {
    let mut steps = Vec::with_capacity(files.len());
    for (n, file) in files.iter().enumerate() {
        let path = path.index(n);
        if file.max_tokens.is_some() && file.model.is_none() {
            judge.fault(&path.join("max_tokens"), "has no effect without model", "add model = \"…\", or remove it");
        }
        if let Some(last @ (Degrade::Static { .. } | Degrade::Notify)) = steps.last() {
            let last = if matches!(last, Degrade::Notify) { "notify" } else { "static" };
            judge.fault(&path, format!("nothing can follow `{last}`, which always answers"), "move it in front of that, or remove it");
        }
        steps.extend(step(file, &path, judge));
    }
    steps
}

/// The one step that `file` says.
fn step(file: &DegradeFile, path: &KeyPath, judge: &mut Judge<'_>) -> Option<Degrade> {
    let model = file.model.clone().map(|model| Degrade::Model { model, max_tokens: file.max_tokens });
    let cached = file.cached.as_ref().map(|age| Degrade::Cached { ttl: age.0 });
    let text = file.text.clone().map(|text| Degrade::Static { text });
    let notify = file.notify.map(|_| Degrade::Notify);
    let mut said: Vec<Degrade> = [model, cached, text, notify].into_iter().flatten().collect();
    if said.len() > 1 {
        judge.fault(path, format!("this is {} steps in one", said.len()), "give each braces of its own");
    } else if said.is_empty() {
        judge.fault(path, "this is no step", STEPS);
    } else if file.notify == Some(false) {
        judge.fault(&path.join("notify"), "a step that is not taken", "write true, or remove the step");
    }
    said.pop()
}

/// Judges where the steps of all models lead, once all of them are known.
pub(super) fn judge_targets(models: &Models, judge: &mut Judge<'_>) {
    for model in models.iter() {
        let path = KeyPath::of(&["models", &model.name, "degrade"]);
        for (n, step) in model.degrade.iter().enumerate() {
            if let Degrade::Model { model: target, .. } = step {
                judge_target(model, target, &path.index(n).join("model"), models, judge);
            }
        }
    }
}

fn judge_target(model: &Model, target: &str, path: &KeyPath, models: &Models, judge: &mut Judge<'_>) {
    judge_reference(target, path, models, judge);
    // A pattern may lead to another name that it passes on.
    let is_itself = |found: &Model| found.name == model.name && model.fixed_class_name().is_some();
    if models.get(target).is_some_and(is_itself) {
        judge.fault(path, format!("{target:?} is this model itself"), "write another model, or remove the step");
    }
}

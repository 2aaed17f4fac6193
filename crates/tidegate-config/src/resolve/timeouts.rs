//! `[profiles.NAME]`, and the timeouts that models set over them.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_core::limits::TimeoutProfile;

use super::Judge;
use crate::config::{Model, Timing};
use crate::errors::Fault;
use crate::file::TimeoutsFile;
use crate::path::KeyPath;
use crate::profiles::{CLASSES, Profiles, STANDARD};
use crate::text::duration_text;

/// The standard profiles with the operator's changes and additions.
pub(super) fn profiles(files: &BTreeMap<String, TimeoutsFile>, judge: &mut Judge<'_>) -> Profiles {
    let mut profiles = Profiles::default();
    for (name, file) in files {
        let (base, profile) = match profiles.get(name) {
            Some(profile) => (name.as_str(), profile),
            None => (STANDARD, TimeoutProfile::STANDARD),
        };
        let timing = timing(None, file);
        let profile = timing.over(profile);
        in_order(&KeyPath::of(&["profiles", name]), &timing, profile, &format!("the standard profile {base:?}"), judge);
        profiles.set(name, profile);
    }
    profiles
}

/// The parts of a model's timing, unjudged.
pub(super) fn timing(profile: Option<String>, file: &TimeoutsFile) -> Timing {
    Timing {
        profile,
        connect: file.connect.as_ref().map(|length| length.0),
        first_byte: file.first_byte.as_ref().map(|length| length.0),
        idle: file.idle.as_ref().map(|length| length.0),
        total: file.total.as_ref().map(|length| length.0),
    }
}

/// Judges the timeouts that a model sets at `path` over the profile that they stand on, or over each that they may stand on.
pub(super) fn model_in_order(path: &KeyPath, timing: &Timing, class_name: Option<&str>, profiles: &Profiles, judge: &mut Judge<'_>) {
    if timing.sets_nothing() {
        return;
    }
    for name in profiles_of(timing, class_name, profiles) {
        let judged_before = judge.faults.touches(&KeyPath::of(&["profiles", name]));
        if let Some(profile) = profiles.get(name).filter(|_| !judged_before) {
            in_order(path, timing, timing.over(profile), &format!("profile {name:?}"), judge);
        }
    }
}

/// Names of the profiles that `timing` may stand on: one, or for a pattern each that a name may choose.
pub(super) fn profiles_of<'a>(timing: &'a Timing, class_name: Option<&str>, profiles: &Profiles) -> Vec<&'a str> {
    match (&timing.profile, class_name) {
        (Some(name), _) => vec![name],
        (None, Some(class_name)) => vec![profiles.for_model(class_name).0],
        (None, None) => CLASSES.iter().map(|(class, _)| *class).chain([STANDARD]).collect(),
    }
}

/// The window of the model's slow guard is shorter than each `first_byte` that it may meet, and so than `total`.
pub(super) fn slow_in_order(path: &KeyPath, model: &Model, profiles: &Profiles, judge: &mut Judge<'_>) {
    let Some(slow) = model.slow else { return };
    let window_path = path.join("slow").join("window");
    for (member, timing) in [("timeouts", &model.timing), ("thinking_timeouts", &model.thinking_timing)] {
        let bases = profiles_of(timing, model.fixed_class_name(), profiles).into_iter();
        for (name, base) in bases.filter_map(|name| Some((name, profiles.get(name)?))) {
            let first_byte = timing.over(base).first_byte;
            if slow.window < first_byte {
                continue;
            }
            let of_profile = if timing.first_byte.is_none() { format!(" of profile {name:?}") } else { String::new() };
            let [window, first_byte] = [slow.window, first_byte].map(duration_text);
            let problem = format!("{window:?} is not shorter than first_byte {first_byte:?}{of_profile}");
            let fault = Fault::new(window_path.clone(), judge.root.origin_of(&window_path), problem).remedy("shorten window");
            judge.faults.add_about(fault, &[&window_path, &path.join(member), &KeyPath::of(&["profiles", name])]);
        }
    }
}

/// `connect` and `first_byte` fit into `total`, and `idle` is shorter than it. `set` are the members written at `path`;
/// the others of `all` come from `base`.
fn in_order(path: &KeyPath, set: &Timing, all: TimeoutProfile, base: &str, judge: &mut Judge<'_>) {
    let parts = [
        ("connect", set.connect, all.connect, all.connect <= all.total),
        ("first_byte", set.first_byte, all.first_byte, all.first_byte <= all.total),
        ("idle", set.idle, all.idle, all.idle < all.total),
    ];
    for (name, part_set, part, _) in parts.into_iter().filter(|(.., fits)| !fits) {
        let from = |set: Option<Duration>| if set.is_none() { format!(" of {base}") } else { String::new() };
        let (part_text, total_text) = (duration_text(part), duration_text(all.total));
        let relation = if name == "idle" { "not shorter than" } else { "longer than" };
        let (part_path, total_path) = (path.join(name), path.join("total"));
        // The fault stands where something was written; members of the same profile are in order by themselves.
        let (place, problem) = if part_set.is_some() {
            (&part_path, format!("{part_text:?} is {relation} total {total_text:?}{}", from(set.total)))
        } else {
            (&total_path, format!("{name} {part_text:?}{} is {relation} {total_text:?}", from(part_set)))
        };
        let mut fault = Fault::new(place.clone(), judge.root.origin_of(place), problem).remedy(format!("shorten {name} or raise total"));
        if part_set.is_some() && set.total.is_some() {
            fault = fault.context(judge.root.origin_of(&total_path), "total is set here");
        }
        judge.faults.add_about(fault, &[&part_path, &total_path]);
    }
}

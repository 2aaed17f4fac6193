//! `[retry]` and `[deadline]`

use tidegate_core::budget::BudgetPolicy;
use tidegate_core::deadline::DeadlinePolicy;
use tidegate_core::retry::RetryPolicy;

use super::providers::{OWN_HEADERS, is_token};
use super::{Judge, LENGTHS, timeouts};
use crate::config::{Config, Deadline};
use crate::file::{File, NO_HEADER, RetryFile};
use crate::path::KeyPath;
use crate::text::duration_text;

/// Headers of a provider's request, beside [`OWN_HEADERS`], that mean something else than a deadline.
const TAKEN_HEADERS: [&str; 4] = ["authorization", "traceparent", "user-agent", "x-api-key"];

pub(super) fn retry(file: &RetryFile, judge: &mut Judge<'_>) -> RetryPolicy {
    let (first, longest) = (file.backoff.0, file.backoff_max.0);
    judge.ascending("retry", [("backoff", first), ("backoff_max", longest)], &LENGTHS);
    RetryPolicy {
        attempts: file.attempts,
        backoff: first,
        backoff_max: longest,
        jitter: file.jitter.0,
        longest_pushback: file.longest_pushback.0,
    }
}

pub(super) fn budget(file: &RetryFile) -> BudgetPolicy {
    BudgetPolicy { share: file.budget, floor: file.budget_floor }
}

pub(super) fn deadline(file: &File, judge: &mut Judge<'_>) -> Deadline {
    let policy = DeadlinePolicy { overhead: file.deadline.overhead.0, least: file.deadline.least.0 };
    let header = file.deadline.header.to_ascii_lowercase();
    if header == NO_HEADER {
        return Deadline { policy, header: None };
    }
    let path = KeyPath::of(&["deadline", "header"]);
    if header.is_empty() || !header.bytes().all(is_token) {
        judge.fault(&path, "a header cannot be called this", "use letters, digits and `-`, or write \"off\" to send none");
    } else if OWN_HEADERS.contains(&header.as_str()) || TAKEN_HEADERS.contains(&header.as_str()) {
        judge.fault(&path, "this header has another meaning", "write another name, or \"off\" to send none");
    }
    for (provider, settings) in &file.providers {
        for name in settings.headers.keys().filter(|name| name.eq_ignore_ascii_case(&header)) {
            let path = KeyPath::of(&["providers", provider, "headers", name]);
            judge.wrong_name(&path, "`deadline.header` sets this header", "remove it, or write another name, or \"off\", there");
        }
    }
    Deadline { policy, header: Some(header) }
}

/// Says so where the overhead takes all of a caller's deadline: a model's `total` bounds what a caller may ask for.
pub(super) fn overhead_warning(config: &Config) -> Option<String> {
    let overhead = config.deadline.policy.overhead;
    let totals = config.models.iter().flat_map(|model| {
        let profiles = [&model.timing, &model.thinking_timing].into_iter().flat_map(|timing| {
            let names = timeouts::profiles_of(timing, model.fixed_class_name(), &config.profiles);
            names.into_iter().filter_map(|name| config.profiles.get(name)).map(|profile| timing.over(profile).total)
        });
        profiles.map(|total| (total, &model.name)).collect::<Vec<_>>()
    });
    let (total, name) = totals.min().filter(|(total, _)| overhead >= *total)?;
    let [overhead, total] = [overhead, total].map(duration_text);
    Some(format!(
        "deadline.overhead is {overhead:?}; a total of model {name:?} is {total:?}, so a caller's deadline leaves it a second at most"
    ))
}

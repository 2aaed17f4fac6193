//! The attempts of a record in one line, to be compared at a glance.

use serde_json::Value;

/// Every attempt of `record` in order, without the `prefix` of its model's name: `p:upstream_error>retry_same p:skipped s` is a failed
/// attempt at `p` that was to be repeated there, a target that was passed over, and an answer by `s`.
#[must_use]
pub fn chain(record: &Value, prefix: &str) -> String {
    let attempts = record["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    attempts.iter().map(|attempt| link(attempt, prefix)).collect::<Vec<_>>().join(" ")
}

/// The attempts of `record` that were made, not passed over.
pub fn asked(record: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    let attempts = record["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    attempts.iter().filter(|attempt| attempt["outcome"] != "skipped")
}

fn link(attempt: &Value, prefix: &str) -> String {
    let word = |member: &str| attempt[member].as_str().unwrap_or("?").to_owned();
    let (model, outcome) = (word("model"), word("outcome"));
    let model = model.strip_prefix(prefix).unwrap_or(&model);
    match outcome.as_str() {
        "used" => model.to_owned(),
        "failed" => format!("{model}:{}>{}", word("code"), word("decision")),
        _ => format!("{model}:{outcome}"),
    }
}

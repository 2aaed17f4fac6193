//! Usage as a provider counts it.

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tidegate_core::event::{Usage, UsageSource};

/// More tokens than any answer has. A number beyond it is a fault of the provider's and must not become money.
const MAX_TOKENS: u64 = 1_000_000_000;

/// Reads a `usage` member. A number of a wrong type, negative or absurd, is not known; `None` if no number is known at all.
pub(super) fn read(usage: &RawValue) -> Option<Usage> {
    let fields: Fields<'_> = serde_json::from_str(usage.get()).ok()?;
    let details = |value: Option<&RawValue>| value.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default();
    let (prompt, completion): (Details, Details) = (details(fields.prompt_tokens_details), details(fields.completion_tokens_details));
    let usage = Usage {
        input_tokens: fields.prompt_tokens.0,
        output_tokens: fields.completion_tokens.0,
        cached_input_tokens: prompt.cached_tokens.0.or(fields.prompt_cache_hit_tokens.0),
        reasoning_tokens: completion.reasoning_tokens.0,
        source: UsageSource::Provider,
    };
    let nothing = Usage { source: UsageSource::Provider, ..Usage::default() };
    (usage != nothing).then_some(usage)
}

#[derive(serde::Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Fields<'a> {
    prompt_tokens: Count,
    completion_tokens: Count,
    #[serde(borrow)]
    prompt_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens_details: Option<&'a RawValue>,
    /// DeepSeek's place for cached tokens.
    prompt_cache_hit_tokens: Count,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Details {
    cached_tokens: Count,
    reasoning_tokens: Count,
}

/// A number of tokens, or whatever stands in its place.
#[derive(Default)]
struct Count(Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(value.get().parse().ok().filter(|count| *count <= MAX_TOKENS)))
    }
}

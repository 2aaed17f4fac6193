//! Which timeout profile fits which model (R10).

use std::collections::BTreeMap;

use tidegate_core::limits::TimeoutProfile;

/// The standard profiles by name; `[profiles.NAME]` changes them or adds to them.
pub const STANDARD_PROFILES: [(&str, TimeoutProfile); 5] = [
    ("small", TimeoutProfile::SMALL),
    ("mid", TimeoutProfile::MID),
    ("large", TimeoutProfile::LARGE),
    (THINKING, TimeoutProfile::THINKING),
    (STANDARD, TimeoutProfile::STANDARD),
];

/// The profile of requests that ask for thinking.
pub const THINKING: &str = "thinking";
/// The profile of models that no row of [`CLASSES`] knows.
pub const STANDARD: &str = "standard";

/// Which words in a model's name choose which profile; the first row with a match wins.
///
/// A word matches whole, whatever its case: `mini` is in `gpt-4o-mini` and not in `gemini-2.5-pro`. The thinking row stands
/// first because `o3-mini` thinks however small it is; the small row stands before the others because `gpt-5-nano` is small.
pub const CLASSES: [(&str, &[&str]); 4] = [
    (THINKING, &["o1", "o3", "o4", "thinking", "reasoner", "reasoning", "deepseek-r1", "magistral", "qwq"]),
    ("small", &["haiku", "mini", "nano", "flash", "small", "lite", "gpt-3.5"]),
    ("large", &["opus", "gpt-4.5", "gpt-5", "large", "ultra"]),
    ("mid", &["sonnet", "gpt-4o", "gpt-4.1", "gpt-4", "chatgpt-4o", "medium"]),
];

/// The timeout profiles by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profiles(BTreeMap<String, TimeoutProfile>);

impl Default for Profiles {
    fn default() -> Self {
        Self(STANDARD_PROFILES.into_iter().map(|(name, profile)| (name.to_owned(), profile)).collect())
    }
}

impl Profiles {
    /// The profile of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<TimeoutProfile> {
        self.0.get(name).copied()
    }

    /// Name and profile of the class that `model` belongs to, by [`CLASSES`].
    #[must_use]
    pub fn for_model(&self, model: &str) -> (&'static str, TimeoutProfile) {
        let name = class_of(model);
        (name, self.get(name).unwrap_or(TimeoutProfile::STANDARD))
    }

    /// All profiles in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, TimeoutProfile)> {
        self.0.iter().map(|(name, profile)| (name.as_str(), *profile))
    }

    /// Changes or adds one.
    pub(crate) fn set(&mut self, name: &str, profile: TimeoutProfile) {
        self.0.insert(name.to_owned(), profile);
    }
}

/// Name of the standard profile that fits a model of this name.
fn class_of(model: &str) -> &'static str {
    CLASSES
        .iter()
        .find(|(_, words)| from_words(model).any(|rest| words.iter().any(|word| begins_with(rest, word))))
        .map_or(STANDARD, |(class, _)| class)
}

/// The rest of `text` from each place with no letter or digit right before it.
fn from_words(text: &str) -> impl Iterator<Item = &str> {
    let mut before = None::<char>;
    text.char_indices().filter_map(move |(at, char)| (!before.replace(char).is_some_and(char::is_alphanumeric)).then_some(&text[at..]))
}

/// Whether `text` begins with `word`, whatever its case, and no letter or digit follows.
fn begins_with(text: &str, word: &str) -> bool {
    text.split_at_checked(word.len())
        .is_some_and(|(start, rest)| start.eq_ignore_ascii_case(word) && !rest.chars().next().is_some_and(char::is_alphanumeric))
}

#[cfg(test)]
mod tests;

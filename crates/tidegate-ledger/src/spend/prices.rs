//! What models cost, and what fits into them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use tidegate_core::event::Usage;

use super::table::{Row, Table, Tariff};

/// The price list that this version brings. See docs/prices.md for its age and its sources.
const BUILTIN: &str = include_str!("../../data/prices.json");
/// So many models' tariffs are kept at hand.
const MOST_FOUND: usize = 1000;

/// USD per million tokens. Finite and not negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Prompt tokens that were not cached.
    pub input: f64,
    /// Answer tokens.
    pub output: f64,
    /// Prompt tokens that the provider had cached; `None` if they cost what others cost.
    pub cached_input: Option<f64>,
    /// Answer tokens spent on hidden reasoning; `None` if they cost what others cost.
    pub reasoning: Option<f64>,
}

/// What is known of a model.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ModelFacts {
    /// What it costs: the price of short prompts, where long ones cost more.
    pub price: Option<Price>,
    /// How many tokens its prompt and answer may have together.
    pub context_window: Option<u64>,
}

/// The facts of models, by name. What a setting says of a model comes before what is built in.
///
/// A row belongs to `provider/model`, to `model` at every provider, or to every name that begins with a `prefix*`; `provider/prefix*` is
/// possible too. The most exact name that fits wins: names in full before prefixes, those that begin with the provider before those that do
/// not, long prefixes before short ones. A date at a model's end (`gpt-4o-2024-08-06`) and a vendor before it (`openai/gpt-4o`, as
/// OpenRouter writes) may be missing in the row.
#[derive(Debug)]
pub struct PriceTable {
    overrides: Table,
    builtin: Table,
    found: Found,
}

impl PriceTable {
    /// The built-in list alone.
    #[must_use]
    pub fn builtin() -> Self {
        Self::with_overrides([])
    }

    /// The built-in list and, before it, these names and facts. What they leave open stays as built in.
    #[must_use]
    pub fn with_overrides(overrides: impl IntoIterator<Item = (String, ModelFacts)>) -> Self {
        let row = |(name, facts): (String, ModelFacts)| {
            (name, Row { tariff: facts.price.map(Tariff::flat), context_window: facts.context_window })
        };
        Self {
            overrides: overrides.into_iter().map(row).collect(),
            builtin: Table::parse(BUILTIN).expect("the built-in list is read by the tests"),
            found: Found::default(),
        }
    }

    /// What is known of `model` at `provider`; `None` if nothing is.
    #[must_use]
    pub fn facts(&self, provider: &str, model: &str) -> Option<ModelFacts> {
        let price = self.tariff(provider, model).map(|tariff| tariff.price);
        let facts = ModelFacts { price, context_window: self.rows(provider, model).find_map(|row| row.context_window) };
        (facts != ModelFacts::default()).then_some(facts)
    }

    /// What `usage` costs in USD. `None` if the price, or one of the two token counts, is not known.
    ///
    /// Cached tokens are part of the input and reasoning tokens part of the output: each token is paid for once, at its own price. More
    /// cached tokens than input, or more reasoning than output, are taken for all of it; where they are not counted, there are none.
    #[must_use]
    pub fn cost(&self, provider: &str, model: &str, usage: &Usage) -> Option<f64> {
        let (input, output) = (usage.input_tokens?, usage.output_tokens?);
        let Price { input: input_price, output: output_price, cached_input, reasoning } = self.tariff(provider, model)?.at(input);
        let micros = share(input, usage.cached_input_tokens, input_price, cached_input)
            + share(output, usage.reasoning_tokens, output_price, reasoning);
        Some(micros / 1e6)
    }

    fn tariff(&self, provider: &str, model: &str) -> Option<Tariff> {
        self.found.get(provider, model).unwrap_or_else(|| {
            let tariff = self.rows(provider, model).find_map(|row| row.tariff);
            self.found.keep(provider, model, tariff);
            tariff
        })
    }

    /// What is said of a model, the most exact first: where one row says nothing, the next may.
    fn rows<'a>(&'a self, provider: &'a str, model: &'a str) -> impl Iterator<Item = &'a Row> + 'a {
        self.overrides.fitting(provider, model).chain(self.builtin.fitting(provider, model))
    }
}

/// Tariffs that were looked for, so that a gateway that asks for the same few models does not search the list for each answer.
#[derive(Debug, Default)]
struct Found(RwLock<HashMap<Box<str>, AtProviders>>);

/// What a model costs at each provider; at some, nobody knows.
type AtProviders = Vec<(Box<str>, Option<Tariff>)>;

impl Found {
    /// `None` where it was not looked for.
    fn get(&self, provider: &str, model: &str) -> Option<Option<Tariff>> {
        let found = self.0.read().unwrap_or_else(PoisonError::into_inner);
        found.get(model)?.iter().find(|(at, _)| **at == *provider).map(|(_, tariff)| *tariff)
    }

    fn keep(&self, provider: &str, model: &str, tariff: Option<Tariff>) {
        let mut found = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Names may be a client's own.
        if found.len() < MOST_FOUND || found.contains_key(model) {
            let at = found.entry(model.into()).or_default();
            at.push((provider.into(), tariff));
        }
    }
}

/// The price of `all` tokens, some of which are `special`, in millionths.
fn share(all: u64, special: Option<u64>, price: f64, special_price: Option<f64>) -> f64 {
    let special = special.unwrap_or(0).min(all);
    float(all - special) * price + float(special) * special_price.unwrap_or(price)
}

/// Exact for every number of tokens that an answer can have.
fn float(tokens: u64) -> f64 {
    u32::try_from(tokens).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests;

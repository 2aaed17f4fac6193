//! Rows of facts, found by the names of models.

use std::iter;

use serde::Deserialize;

use super::prices::Price;

/// What one row says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Row {
    pub(super) tariff: Option<Tariff>,
    pub(super) context_window: Option<u64>,
}

/// A price, and another one for long prompts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tariff {
    pub(super) price: Price,
    /// Beyond so many tokens of input, this price holds for all tokens.
    long: Option<(u64, Price)>,
}

impl Tariff {
    pub(super) fn flat(price: Price) -> Self {
        Self { price, long: None }
    }

    /// The price where the prompt has `input` tokens.
    pub(super) fn at(&self, input: u64) -> Price {
        self.long.filter(|(above, _)| input > *above).map_or(self.price, |(_, price)| price)
    }
}

/// Rows by name.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Names in full, sorted.
    names: Vec<(Box<str>, Row)>,
    /// The part before the `*`, longest first.
    prefixes: Vec<(Box<str>, Row)>,
}

impl FromIterator<(String, Row)> for Table {
    fn from_iter<T: IntoIterator<Item = (String, Row)>>(rows: T) -> Self {
        let mut table = Self::default();
        for (name, row) in rows {
            match name.strip_suffix('*') {
                Some(prefix) => table.prefixes.push((prefix.into(), row)),
                None => table.names.push((name.into(), row)),
            }
        }
        table.names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        table.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        table
    }
}

impl Table {
    /// Reads a list in the form of `data/prices.json`.
    pub(super) fn parse(list: &str) -> serde_json::Result<Self> {
        let list: List = serde_json::from_str(list)?;
        let models = list.vendors.into_iter().flat_map(|vendor| vendor.models);
        Ok(models
            .flat_map(|model| {
                let row = model.row();
                model.names.into_iter().map(move |name| (name, row))
            })
            .collect())
    }

    /// The rows whose names fit, the most exact first.
    pub(super) fn fitting<'a>(&'a self, provider: &'a str, model: &'a str) -> impl Iterator<Item = &'a Row> + 'a {
        let spellings = move || spellings(provider, model);
        let named = spellings().flat_map(|name| [self.named(name), self.named(Name { provider: None, ..name })]).flatten();
        let bound = spellings().flat_map(|name| self.prefixed(name));
        let free = spellings().flat_map(|name| self.prefixed(Name { provider: None, ..name }));
        named.chain(bound).chain(free)
    }

    fn named(&self, name: Name<'_>) -> Option<&Row> {
        let place = self.names.binary_search_by(|(key, _)| key.bytes().cmp(name.bytes())).ok()?;
        self.names.get(place).map(|(_, row)| row)
    }

    fn prefixed<'a>(&'a self, name: Name<'a>) -> impl Iterator<Item = &'a Row> + 'a {
        self.prefixes.iter().filter(move |(prefix, _)| name.begins_with(prefix)).map(|(_, row)| row)
    }
}

/// How a row may call a model, written as `provider/model` or, without a provider, `model`.
#[derive(Clone, Copy)]
struct Name<'a> {
    provider: Option<&'a str>,
    model: &'a str,
}

impl<'a> Name<'a> {
    fn bytes(self) -> impl Iterator<Item = u8> + 'a {
        let provider = self.provider.into_iter().flat_map(|provider| provider.bytes().chain(iter::once(b'/')));
        provider.chain(self.model.bytes())
    }

    /// A prefix fits a name with a provider only if it holds the whole provider: `open*` is about models.
    fn begins_with(self, prefix: &str) -> bool {
        match self.provider {
            None => self.model.starts_with(prefix),
            Some(provider) => prefix
                .strip_prefix(provider)
                .and_then(|prefix| prefix.strip_prefix('/'))
                .is_some_and(|prefix| self.model.starts_with(prefix)),
        }
    }
}

/// The model as it is called, without its date, and both without the vendor before it, which then is its provider.
fn spellings<'a>(provider: &'a str, model: &'a str) -> impl Iterator<Item = Name<'a>> {
    let whole = Name { provider: Some(provider), model };
    let short = model.rsplit_once('/').map(|(vendor, model)| Name { provider: Some(vendor), model });
    iter::once(whole).chain(short).flat_map(|name| {
        let dateless = without_date(name.model).map(|model| Name { model, ..name });
        iter::once(name).chain(dateless)
    })
}

/// `gpt-4o` of `gpt-4o-2024-08-06`, `claude-sonnet-4` of `claude-sonnet-4-20250514` and of `claude-sonnet-4@20250514`.
fn without_date(model: &str) -> Option<&str> {
    ["-0000-00-00", "-00000000", "@00000000"].into_iter().find_map(|form| {
        let (name, end) = model.split_at_checked(model.len().checked_sub(form.len())?)?;
        let fits = iter::zip(end.bytes(), form.bytes()).all(|(byte, form)| if form == b'0' { byte.is_ascii_digit() } else { byte == form });
        (fits && !name.is_empty()).then_some(name)
    })
}

/// The list as it stands in the file. What only people read there (dates, sources) is skipped.
#[derive(Deserialize)]
struct List {
    vendors: Vec<Vendor>,
}

#[derive(Deserialize)]
struct Vendor {
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    names: Vec<String>,
    context_window: Option<u64>,
    input: Option<f64>,
    output: Option<f64>,
    cached_input: Option<f64>,
    reasoning: Option<f64>,
    long: Option<Long>,
}

#[derive(Deserialize)]
struct Long {
    above: u64,
    input: f64,
    output: f64,
    cached_input: Option<f64>,
}

impl Model {
    fn row(&self) -> Row {
        let price = |input, output, cached_input| Price { input, output, cached_input, reasoning: self.reasoning };
        let long = self.long.as_ref().map(|long| (long.above, price(long.input, long.output, long.cached_input)));
        let base = self.input.zip(self.output).map(|(input, output)| price(input, output, self.cached_input));
        Row { tariff: base.map(|price| Tariff { price, long }), context_window: self.context_window }
    }
}

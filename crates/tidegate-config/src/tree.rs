//! The settings before they are judged: a tree of values, each with its place of origin.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::errors::{Fault, Faults};
use crate::path::KeyPath;
use crate::text::Refusal;

/// Nothing in the schema is deeper than this; a deeper file would only exhaust the stack.
const DEEPEST: usize = 16;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// At these bytes of the file.
    File(Range<usize>),
    /// In this environment variable.
    Environment(String),
    /// By this command line flag.
    Flag(&'static str),
    /// Nowhere: Tidegate put it there.
    BuiltIn,
}

/// One value with its origin.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Origin,
    pub(crate) value: Value,
}

/// What a setting may hold.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Integer(i128),
    Float(f64),
    Boolean(bool),
    List(Vec<Node>),
    Table(BTreeMap<String, Entry>),
    /// What no setting is: dates, numbers beyond all bounds.
    Other(&'static str),
}

/// A member of a table.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Where its name was written.
    pub(crate) key: Origin,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn table(at: Origin) -> Self {
        Self { at, value: Value::Table(BTreeMap::new()) }
    }

    pub(crate) fn text(at: Origin, text: impl Into<String>) -> Self {
        Self { at, value: Value::Text(text.into()) }
    }

    /// Reads a file, or reports its syntax errors.
    pub(crate) fn parse(source: &str, faults: &mut Faults) -> Self {
        let (table, errors) = DeTable::parse_recoverable(source);
        for error in &errors {
            faults.add(Fault::syntax(Origin::File(error.span().unwrap_or_default()), error.message()));
        }
        let at = Origin::File(table.span());
        let mut root = Self::table(at);
        if errors.is_empty() {
            for (key, value) in table.into_inner() {
                root.insert_spanned(&key, value, &KeyPath::default(), faults);
            }
        }
        root
    }

    fn insert_spanned(&mut self, key: &Spanned<Cow<'_, str>>, value: Spanned<DeValue<'_>>, path: &KeyPath, faults: &mut Faults) {
        let path = path.join(key.get_ref());
        let node = Self::from_spanned(value, &path, faults);
        if let Value::Table(table) = &mut self.value {
            table.insert(key.get_ref().to_string(), Entry { key: Origin::File(key.span()), node });
        }
    }

    fn from_spanned(spanned: Spanned<DeValue<'_>>, path: &KeyPath, faults: &mut Faults) -> Self {
        let at = Origin::File(spanned.span());
        if path.names().count() > DEEPEST {
            faults.add(Fault::new(path.clone(), at.clone(), "nothing is this deep").remedy("remove it"));
            return Self { at, value: Value::Other("too deep") };
        }
        let value = match spanned.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(number) => {
                i128::from_str_radix(number.as_str(), number.radix()).map_or(Value::Other("a number beyond all bounds"), Value::Integer)
            }
            DeValue::Float(number) => number.as_str().parse().map_or(Value::Other("a number beyond all bounds"), Value::Float),
            DeValue::Boolean(on) => Value::Boolean(on),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(list) => {
                Value::List(list.into_iter().enumerate().map(|(n, item)| Self::from_spanned(item, &path.index(n), faults)).collect())
            }
            DeValue::Table(members) => {
                let mut table = Self::table(at);
                for (key, value) in members {
                    table.insert_spanned(&key, value, path, faults);
                }
                return table;
            }
        };
        Self { at, value }
    }

    /// The member `name` of this table.
    pub(crate) fn member(&self, name: &str) -> Option<&Entry> {
        match &self.value {
            Value::Table(table) => table.get(name),
            _ => None,
        }
    }

    /// The members of this table; none where it is no table.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &Entry)> {
        let table = if let Value::Table(table) = &self.value { Some(table) } else { None };
        table.into_iter().flatten().map(|(name, entry)| (name.as_str(), entry))
    }

    /// Where `path` was written, or where its nearest written ancestor was.
    pub(crate) fn origin_of(&self, path: &KeyPath) -> Origin {
        let mut node = self;
        for name in path.names() {
            let Some(next) = node.child(name) else { break };
            node = next;
        }
        node.at.clone()
    }

    /// Whether `path` was written, or set otherwise.
    pub(crate) fn has(&self, path: &KeyPath) -> bool {
        path.names().try_fold(self, Self::child).is_some()
    }

    /// The member of this table, or the element of this list, that a path calls `name`.
    fn child(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(table) => table.get(name).map(|entry| &entry.node),
            Value::List(list) => name.trim_matches(['[', ']']).parse::<usize>().ok().and_then(|n| list.get(n)),
            _ => None,
        }
    }

    /// Where the name at the end of `path` was written.
    pub(crate) fn origin_of_key(&self, path: &KeyPath) -> Origin {
        let mut key = self.at.clone();
        let mut node = self;
        for name in path.names() {
            let Some(entry) = node.member(name) else { break };
            key = entry.key.clone();
            node = &entry.node;
        }
        key
    }

    /// Says that all of it was written at `at`.
    pub(crate) fn move_to(&mut self, at: &Origin) {
        self.at = at.clone();
        match &mut self.value {
            Value::List(list) => list.iter_mut().for_each(|item| item.move_to(at)),
            Value::Table(table) => {
                for entry in table.values_mut() {
                    entry.key = at.clone();
                    entry.node.move_to(at);
                }
            }
            _ => {}
        }
    }

    /// What the value is, for messages.
    pub(crate) fn what(&self) -> &'static str {
        match &self.value {
            Value::Text(_) => "a text",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Boolean(_) => "a truth value",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other(what) => what,
        }
    }

    /// The same as JSON, for serde.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Text(text) => text.as_str().into(),
            Value::Integer(number) => i64::try_from(*number).map_or(serde_json::Value::Null, Into::into),
            Value::Float(number) => (*number).into(),
            Value::Boolean(on) => (*on).into(),
            Value::List(list) => list.iter().map(Self::to_json).collect(),
            Value::Table(table) => table.iter().map(|(name, entry)| (name.clone(), entry.node.to_json())).collect(),
            Value::Other(_) => serde_json::Value::Null,
        }
    }
}

/// Puts the environment into `"${NAME}"`; `$${` stands for a plain `${`.
pub(crate) fn interpolate(node: &mut Node, path: &KeyPath, env: &BTreeMap<String, String>, faults: &mut Faults) {
    match &mut node.value {
        Value::Text(text) if text.contains("${") => match fill(text, env) {
            Ok(filled) => *text = filled,
            Err(fault) => faults.add(Fault::new(path.clone(), node.at.clone(), fault.problem).remedy(fault.remedy)),
        },
        Value::List(list) => {
            for (n, item) in list.iter_mut().enumerate() {
                interpolate(item, &path.index(n), env, faults);
            }
        }
        Value::Table(table) => {
            for (name, entry) in table {
                interpolate(&mut entry.node, &path.join(name), env, faults);
            }
        }
        _ => {}
    }
}

fn fill(text: &str, env: &BTreeMap<String, String>) -> Result<String, Refusal> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            filled.push_str(&rest[..at]);
            filled.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        filled.push_str(&rest[..at]);
        let name = rest[at + 2..].split('}').next().unwrap_or_default();
        let closed = rest[at + 2 + name.len()..].starts_with('}');
        if !closed || name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(Refusal::new(
                "`${` begins no reference",
                "write \"${NAME}\" for an environment variable, or \"$${\" for the characters themselves",
            ));
        }
        match env.get(name) {
            Some(value) if !value.is_empty() => filled.push_str(value),
            Some(_) => {
                return Err(Refusal::new(
                    format!("the environment variable {name} is empty"),
                    format!("give {name} a value where Tidegate starts"),
                ));
            }
            None => {
                return Err(Refusal::new(
                    format!("the environment variable {name} is not set"),
                    format!("set {name} where Tidegate starts"),
                ));
            }
        }
        rest = &rest[at + 2 + name.len() + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests;

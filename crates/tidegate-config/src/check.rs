//! Compares the tree with the schema: unknown names, wrong types, wrong texts, all of them at once.
//!
//! What is wrong leaves the tree, so that the rest can still be judged.

use serde_json::Value as Schema;

use crate::errors::{Fault, Faults};
use crate::path::KeyPath;
use crate::schema;
use crate::text::{Form, Refusal};
use crate::tree::{Node, Origin, Value};
use crate::unavailable;

/// Checks the whole tree; what stays in it fits the serde mirror.
pub(crate) fn check(root: &mut Node, faults: &mut Faults) {
    Check { faults }.table(root, schema::root(), &KeyPath::default());
}

struct Check<'a> {
    faults: &'a mut Faults,
}

impl Check<'_> {
    /// Whether `node` may stay.
    fn node(&mut self, node: &mut Node, schema: &Schema, path: &KeyPath) -> bool {
        let text = if let Value::Text(text) = &node.value { Some(text.as_str()) } else { None };
        if let Some(row) = unavailable::find(path, text) {
            let value = row.value.map(|value| format!("{value:?} ")).unwrap_or_default();
            if row.value.is_none() {
                self.faults.hide(node);
            }
            let fault = Fault::new(path.clone(), node.at.clone(), format!("{value}is not available in this version"));
            self.faults.add(fault.remedy(row.remedy));
            return false;
        }
        let is_secret = match schema::form(schema) {
            Some(Form::Secret) => true,
            Some(Form::Proxy | Form::Redis) => text.is_some_and(|text| text.contains('@')),
            _ => false,
        };
        if is_secret {
            self.faults.hide(node);
        }
        let choices = schema::choices(schema);
        if !choices.is_empty() {
            return self.choice(node, &choices, path);
        }
        read_environment(node, schema);
        match schema["type"].as_str() {
            Some("object") => self.table(node, schema, path),
            Some("array") => self.list(node, schema, path),
            Some("integer") => self.integer(node, schema, path),
            Some("number") => self.number(node, schema, path),
            Some("boolean") => {
                matches!(node.value, Value::Boolean(_)) || self.wrong_type(node, "is neither true nor false", "write true or false", path)
            }
            _ => self.text(node, schema, path),
        }
    }

    fn table(&mut self, node: &mut Node, schema: &Schema, path: &KeyPath) -> bool {
        let Value::Table(table) = &mut node.value else {
            // Whatever stands where a table belongs may be a secret that slipped.
            self.faults.hide(node);
            return self.wrong_type(node, "is no table of settings", format!("write [{path}] and the settings beneath it"), path);
        };
        let others = &schema["additionalProperties"];
        let known: Vec<&str> = schema::members(schema).map(|(name, _)| name).collect();
        table.retain(|name, entry| {
            let path = path.join(name);
            match schema["properties"].get(name) {
                Some(member) => self.node(&mut entry.node, member, &path),
                None if others.is_object() => self.node(&mut entry.node, others, &path),
                None => {
                    self.unknown(&entry.key, &entry.node, name, &known, &path);
                    false
                }
            }
        });
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Schema::as_str);
        let missing: Vec<&str> = required.filter(|name| !table.contains_key(*name)).collect();
        for name in &missing {
            let path = path.join(name);
            self.faults.add_about(Fault::new(path.clone(), node.at.clone(), "is missing").remedy(format!("add {name} = …")), &[&path]);
        }
        missing.is_empty()
    }

    fn unknown(&mut self, key: &Origin, node: &Node, name: &str, known: &[&str], path: &KeyPath) {
        // A mistyped name may be that of a secret.
        self.faults.hide(node);
        let fault = match unavailable::find(path, None) {
            Some(row) => Fault::new(path.clone(), key.clone(), "is not available in this version").remedy(row.remedy),
            None => Fault::new(path.clone(), key.clone(), "there is no such setting").remedy(did_you_mean(name, known)),
        };
        self.faults.add(fault);
    }

    fn list(&mut self, node: &mut Node, schema: &Schema, path: &KeyPath) -> bool {
        let Value::List(list) = &mut node.value else {
            self.faults.hide(node);
            return self.wrong_type(node, "is no list", "write a list in brackets", path);
        };
        let (fewest, most) = (schema["minItems"].as_u64().unwrap_or(0), schema["maxItems"].as_u64().unwrap_or(u64::MAX));
        let count = u64::try_from(list.len()).unwrap_or(u64::MAX);
        if !(fewest..=most).contains(&count) {
            let (problem, remedy) = match count {
                0 => ("is empty".to_owned(), "write at least one element, or leave the setting out".to_owned()),
                _ => (format!("is a list of {count}"), format!("write at most {most}")),
            };
            self.faults.hide(node);
            self.faults.add(Fault::new(path.clone(), node.at.clone(), problem).remedy(remedy));
            return false;
        }
        let mut n = 0;
        list.retain_mut(|item| {
            n += 1;
            self.node(item, &schema["items"], &path.index(n - 1))
        });
        true
    }

    fn integer(&mut self, node: &Node, schema: &Schema, path: &KeyPath) -> bool {
        let least = schema["minimum"].as_i64().unwrap_or(0);
        let most = schema["maximum"].as_i64().unwrap_or(i64::from(u32::MAX));
        let remedy = format!("write a whole number from {least} to {most}");
        let Value::Integer(number) = node.value else {
            return self.wrong_type(node, "is no whole number", remedy, path);
        };
        let problem = match least {
            1 if number < 1 => "is not above zero",
            _ if number < i128::from(least) => "is too small",
            _ if number > i128::from(most) => "is too large",
            _ => return true,
        };
        self.wrong_type(node, problem, remedy, path)
    }

    fn number(&mut self, node: &Node, schema: &Schema, path: &KeyPath) -> bool {
        let bounds = schema["minimum"].as_f64().unwrap_or(f64::MIN)..=schema["maximum"].as_f64().unwrap_or(f64::MAX);
        let remedy = format!("write a number from {} to {}", bounds.start(), bounds.end());
        let number = match node.value {
            Value::Float(number) => number,
            Value::Integer(number) => i32::try_from(number).map_or(f64::INFINITY, f64::from),
            _ => return self.wrong_type(node, "is no number", remedy, path),
        };
        // Infinity is outside, and so is what is no number.
        bounds.contains(&number) || self.wrong_type(node, "is out of bounds", remedy, path)
    }

    fn choice(&mut self, node: &Node, choices: &[(&str, &str)], path: &KeyPath) -> bool {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let remedy = format!("write {}", one_of(&names));
        let Value::Text(text) = &node.value else {
            return self.wrong_type(node, "is no text", remedy, path);
        };
        if names.contains(&text.as_str()) {
            return true;
        }
        let problem = format!("{} is no choice here", self.faults.written(node));
        self.faults.add(Fault::new(path.clone(), node.at.clone(), problem).remedy(remedy));
        false
    }

    fn text(&mut self, node: &Node, schema: &Schema, path: &KeyPath) -> bool {
        let form = schema::form(schema);
        let Value::Text(text) = &node.value else {
            let example = form.map(|form| format!(", such as {}", form.example())).unwrap_or_default();
            return self.wrong_type(node, "is no text", format!("write a text in quotes{example}"), path);
        };
        let refusal = match form {
            Some(form) => form.check(text).and_then(|()| form.check_bounds(text, schema::bounds(schema))).err(),
            None if schema["minLength"] == 1 && text.is_empty() => Some(Refusal::new("is empty", "write a text, or leave the setting out")),
            None => None,
        };
        let Some(refusal) = refusal else { return true };
        // Credentials and queries of an address are as secret as a key.
        let address = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
        if form.is_some_and(Form::may_hold_secret) && address.contains(['@', ':', '?', '#']) {
            self.faults.hide(node);
        }
        let fault = Fault::new(path.clone(), node.at.clone(), format!("{} {}", self.shown(node), refusal.problem));
        self.faults.add(fault.remedy(refusal.remedy));
        false
    }

    fn wrong_type(&mut self, node: &Node, problem: &str, remedy: impl Into<String>, path: &KeyPath) -> bool {
        let problem = format!("{} {problem}", self.shown(node));
        self.faults.add(Fault::new(path.clone(), node.at.clone(), problem).remedy(remedy.into()));
        false
    }

    /// The value as it was written, unless it is a secret.
    fn shown(&self, node: &Node) -> String {
        if self.faults.hides(node) { "the value".to_owned() } else { self.faults.written(node) }
    }
}

/// An environment variable or flag is a text; where the schema wants something else, it is read as the TOML of that.
fn read_environment(node: &mut Node, schema: &Schema) {
    let (Value::Text(text), Origin::Environment(_) | Origin::Flag(_)) = (&node.value, &node.at) else { return };
    if schema["type"] == "string" {
        return;
    }
    let mut ignored = Faults::default();
    let parsed = Node::parse(&format!("value = {text}"), &mut ignored);
    if let Some(entry) = parsed.member("value") {
        let mut value = entry.node.clone();
        value.move_to(&node.at);
        *node = value;
    }
}

/// "`a`, `b` or `c`", quoted.
fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Names the closest of `known`, or all of them.
pub(crate) fn did_you_mean(name: &str, known: &[&str]) -> String {
    let closest = known.iter().map(|candidate| (distance(&name.to_lowercase(), candidate), candidate)).min();
    match closest {
        Some((distance, candidate)) if distance * 3 <= candidate.len().max(3) => format!("did you mean {candidate:?}?"),
        Some(_) => format!("write {}", one_of(known)),
        None => "remove it".to_owned(),
    }
}

/// Edits (Levenshtein) between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;

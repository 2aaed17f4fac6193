//! Lays environment variables and flags over the tree of the file.

use std::collections::BTreeMap;

use crate::errors::{Fault, Faults};
use crate::load::Flag;
use crate::path::KeyPath;
use crate::tree::{Entry, Node, Origin, Value};

/// In front of a setting's path: `TIDEGATE__SERVER__LISTEN`.
const PREFIX: &str = "TIDEGATE__";
/// A name that platforms and task queues use, the setting that it means, and how its value is written there.
type Common = (&'static str, [&'static str; 2], fn(Origin, &str) -> Node);
const COMMON: [Common; 5] = [
    ("PORT", ["server", "listen"], |at, port| Node::text(at, format!("0.0.0.0:{port}"))),
    ("DATABASE_URL", ["ledger", "url"], |at, url| Node::text(at, url)),
    ("QUEUE_TYPE", ["queue", "backend"], |at, kind| Node::text(at, kind.to_lowercase())),
    (REDIS, ["queue", "redis"], |at, url| Node::text(at, url)),
    (KAFKA, ["queue", "kafka"], list),
];
const REDIS: &str = "REDIS_URL";
const KAFKA: &str = "KAFKA_BROKERS";

/// Sets what the environment says: common names first, so that a full path wins over them.
pub(crate) fn environment(root: &mut Node, env: &BTreeMap<String, String>, faults: &mut Faults) {
    for (name, path, read) in COMMON {
        if let Some(value) = env.get(name).filter(|value| !value.is_empty()) {
            set(root, &path, read(Origin::Environment(name.into()), value), faults);
        }
    }
    for (name, value) in env {
        let prefix = name.get(..PREFIX.len()).filter(|prefix| prefix.eq_ignore_ascii_case(PREFIX));
        if prefix.is_some() {
            let path: Vec<&str> = name[PREFIX.len()..].split("__").collect();
            set(root, &path, Node::text(Origin::Environment(name.clone()), value), faults);
        }
    }
}

/// Sets what the command line says.
pub(crate) fn flags(root: &mut Node, flags: &[Flag], faults: &mut Faults) {
    for flag in flags {
        let path: Vec<&str> = flag.path.split('.').collect();
        set(root, &path, Node::text(Origin::Flag(flag.name), &flag.value), faults);
    }
}

/// Takes out what the common names say of a queue that is not the chosen one: a platform sets them for its other programs too.
pub(crate) fn forget_unchosen(root: &mut Node) {
    let Value::Table(sections) = &mut root.value else { return };
    let Some(Value::Table(queue)) = sections.get_mut("queue").map(|entry| &mut entry.node.value) else { return };
    let chosen = match queue.get("backend").map(|entry| &entry.node.value) {
        Some(Value::Text(backend)) => backend.clone(),
        _ => String::new(),
    };
    let is_common = |at: &Origin| matches!(at, Origin::Environment(name) if [REDIS, KAFKA].contains(&name.as_str()));
    queue.retain(|name, entry| *name == chosen || !is_common(&entry.node.at));
}

/// The parts of `text` between its commas.
fn list(at: Origin, text: &str) -> Node {
    let parts = text.split(',').map(|part| Node::text(at.clone(), part.trim())).collect();
    Node { at, value: Value::List(parts) }
}

/// Puts `node` at `path`, whose names need not have the case nor the punctuation of the names in the tree.
fn set(root: &mut Node, path: &[&str], node: Node, faults: &mut Faults) {
    let at = node.at.clone();
    let mut place = root;
    let mut here = KeyPath::default();
    for name in path {
        here = here.join(&name.to_lowercase());
        let refuse = |problem: &'static str, remedy: &'static str| Fault::new(here.clone(), at.clone(), problem).remedy(remedy);
        if name.is_empty() {
            return faults.add(refuse("an empty name is in the path", "put two underscores between two names"));
        }
        place = match &mut place.value {
            Value::List(list) => match name.parse::<usize>().ok().and_then(|n| list.get_mut(n)) {
                Some(item) => item,
                None => return faults.add(refuse("the list has no such element", "set the whole list")),
            },
            Value::Table(table) => match spelling(table, name) {
                Ok(known) => &mut table.entry(known).or_insert_with(|| Entry { key: at.clone(), node: Node::table(at.clone()) }).node,
                Err(()) => return faults.add(refuse("more than one name in the file fits", "set it in the file")),
            },
            _ => return faults.add(refuse("the setting above it is no table", "correct the file first")),
        };
    }
    *place = node;
}

/// The name in `table` that `name` means, or its lower case for a new one; an error where several fit.
fn spelling(table: &BTreeMap<String, Entry>, name: &str) -> Result<String, ()> {
    if table.contains_key(name) {
        return Ok(name.to_owned());
    }
    let mut fitting = table.keys().filter(|known| fold(known) == fold(name));
    match (fitting.next(), fitting.next()) {
        (None, _) => Ok(name.to_lowercase()),
        (Some(known), None) => Ok(known.clone()),
        (Some(_), Some(_)) => Err(()),
    }
}

/// `name` as an environment variable can spell it: `gpt-4.1` is `GPT_4_1`.
fn fold(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

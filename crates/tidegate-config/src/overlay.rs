//! Lays environment variables and flags over the tree of the file.

use std::collections::BTreeMap;

use crate::errors::{Fault, Faults};
use crate::load::Flag;
use crate::path::KeyPath;
use crate::tree::{Entry, Node, Origin, Value};

/// In front of a setting's path: `TIDEGATE__SERVER__LISTEN`.
const PREFIX: &str = "TIDEGATE__";
/// Names that platforms and task queues use, and the settings that they mean.
const COMMON: [(&str, &[&str]); 4] = [
    ("DATABASE_URL", &["ledger", "url"]),
    ("QUEUE_TYPE", &["queue", "backend"]),
    ("REDIS_URL", &["queue", "url"]),
    ("KAFKA_BROKERS", &["queue", "brokers"]),
];

/// Sets what the environment says: common names first, so that a full path wins over them.
pub(crate) fn environment(root: &mut Node, env: &BTreeMap<String, String>, faults: &mut Faults) {
    if let Some(port) = env.get("PORT").filter(|port| !port.is_empty()) {
        set(root, &["server", "listen"], Node::text(Origin::Environment("PORT".into()), format!("0.0.0.0:{port}")), faults);
    }
    // In memory is how this version works, so a queue's address beside it is meant for someone else.
    let in_memory = env.get("QUEUE_TYPE").is_some_and(|kind| kind.eq_ignore_ascii_case("memory"));
    for (name, path) in COMMON.into_iter().filter(|(_, path)| !(in_memory && path[0] == "queue")) {
        if let Some(value) = env.get(name).filter(|value| !value.is_empty()) {
            set(root, path, Node::text(Origin::Environment(name.into()), value), faults);
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

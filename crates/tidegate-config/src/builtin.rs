//! What serves where nothing is configured: the provider whose key is in the environment, or the built-in mock.

use std::collections::BTreeMap;

use crate::defaults::OPENAI_BASE_URL;
use crate::errors::{Fault, Faults};
use crate::path::KeyPath;
use crate::tree::{Entry, Node, Origin, Value};

/// What [`fill`] did.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    pub(crate) mock: bool,
    pub(crate) warnings: Vec<String>,
}

/// Adds providers where there is none, and models where there is none.
pub(crate) fn fill(root: &mut Node, env: &BTreeMap<String, String>, faults: &mut Faults) -> Filled {
    let mut filled = Filled::default();
    if is_empty(root, "providers") {
        providers(root, env, &mut filled);
    }
    if is_empty(root, "models") {
        models(root, faults);
    }
    filled
}

/// Whether the section holds no entry; something that is no table is left for the check.
fn is_empty(root: &Node, section: &str) -> bool {
    root.member(section).is_none_or(|entry| matches!(&entry.node.value, Value::Table(table) if table.is_empty()))
}

fn providers(root: &mut Node, env: &BTreeMap<String, String>, filled: &mut Filled) {
    let present = |name: &str| env.get(name).filter(|value| !value.is_empty());
    if let Some(key) = present("OPENAI_API_KEY") {
        let from_env = |name: &str| Origin::Environment(name.to_owned());
        let base_url = match present("OPENAI_BASE_URL") {
            Some(url) => Node::text(from_env("OPENAI_BASE_URL"), url),
            None => Node::text(Origin::BuiltIn, OPENAI_BASE_URL),
        };
        put(root, &["providers", "openai", "base_url"], base_url);
        put(root, &["providers", "openai", "api_key"], Node::text(from_env("OPENAI_API_KEY"), key));
    }
    if present("ANTHROPIC_API_KEY").is_some() {
        filled.warnings.push("ANTHROPIC_API_KEY is set; providers of kind \"anthropic\" are not available in this version".to_owned());
    }
    if is_empty(root, "providers") {
        filled.mock = true;
        put(root, &["providers", "mock", "kind"], Node::text(Origin::BuiltIn, "mock"));
    }
}

fn models(root: &mut Node, faults: &mut Faults) {
    let providers: Vec<_> = root.member("providers").map(|entry| entry.node.members().collect()).unwrap_or_default();
    let is_mock = |node: &Node| node.member("kind").is_some_and(|kind| matches!(&kind.node.value, Value::Text(text) if text == "mock"));
    let names: &[&str] = match providers.as_slice() {
        [] => return,
        [(_, only)] if is_mock(&only.node) => &["mock", "mock:*"],
        [_] => &["*"],
        [.., (_, last)] => {
            let problem = format!("{} providers and no model: it is not said which provider serves what", providers.len());
            let remedy = "add [models.\"NAME\"] with routes = [{ provider = \"…\" }], or [models.\"*\"] for every name";
            return faults.add(Fault::new(KeyPath::of(&["models"]), last.key.clone(), problem).remedy(remedy));
        }
    };
    for name in names {
        put(root, &["models", name], Node::table(Origin::BuiltIn));
    }
}

/// Puts `node` at `path`; its tables come into being.
fn put(root: &mut Node, path: &[&str], node: Node) {
    let mut place = root;
    for name in path {
        let at = node.at.clone();
        let Value::Table(table) = &mut place.value else { return };
        let entry = table.entry((*name).to_owned()).or_insert_with(|| Entry { key: at.clone(), node: Node::table(at) });
        place = &mut entry.node;
    }
    *place = node;
}

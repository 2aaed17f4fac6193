//! The JSON Schema of the configuration file: published, and the truth that files are checked against.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use crate::file::File;
use crate::text::Form;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).with_transform(Plain);
    SchemaGenerator::new(settings).into_root_schema_for::<File>().to_value()
});

/// The JSON Schema of `tidegate.toml`, pretty-printed, for editors and `tidegate config schema`.
#[must_use]
pub fn schema() -> String {
    let mut text = format!("{:#}", *SCHEMA);
    text.push('\n');
    text
}

/// The schema of the whole file.
pub(crate) fn root() -> &'static Value {
    &SCHEMA
}

/// Whether what stands behind a name may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    Public,
    /// A secret, or a table, list or address that may hold one.
    Secret,
}

/// The names of all settings.
pub(crate) fn names() -> BTreeMap<&'static str, Secrecy> {
    fn gather(schema: &'static Value, names: &mut BTreeMap<&'static str, Secrecy>) {
        for (name, member) in members(schema) {
            let may_hold_one = form(member).is_some_and(Form::may_hold_secret);
            let is_public = !matches!(member["type"].as_str(), Some("object" | "array")) && !may_hold_one;
            let secrecy = if is_public { Secrecy::Public } else { Secrecy::Secret };
            names.entry(name).and_modify(|known| *known = if is_public { *known } else { secrecy }).or_insert(secrecy);
            gather(member, names);
        }
        for inner in [&schema["additionalProperties"], &schema["items"]].into_iter().filter(|inner| inner.is_object()) {
            gather(inner, names);
        }
    }
    let mut names = BTreeMap::new();
    gather(root(), &mut names);
    names
}

/// The named members of a table's schema.
pub(crate) fn members(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    schema["properties"].as_object().into_iter().flatten().map(|(name, member)| (name.as_str(), member))
}

/// The form of a text's schema.
pub(crate) fn form(schema: &Value) -> Option<Form> {
    schema["x-form"].as_str().and_then(Form::named)
}

/// Between which values, written in the same form, a text has to lie.
pub(crate) fn bounds(schema: &Value) -> Option<(&str, &str)> {
    Some((schema["x-least"].as_str()?, schema["x-most"].as_str()?))
}

/// The values that a choice's schema offers, each with its meaning; none for another schema.
pub(crate) fn choices(schema: &Value) -> Vec<(&str, &str)> {
    let list = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|choice| Some((choice["const"].as_str()?, choice["description"].as_str().unwrap_or_default()))).collect()
}

/// Takes out what only says that a setting may be left out: TOML has no null, and defaults of tables repeat their members'.
#[derive(Debug, Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                schema.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
            choices.retain(|choice| choice["type"] != "null");
            if let [Value::Object(only)] = choices.as_slice() {
                let only = only.clone();
                schema.remove("anyOf");
                for (name, value) in only {
                    // What the setting says of itself is nearer than what its type says.
                    schema.ensure_object().entry(name).or_insert(value);
                }
            }
        }
        if schema.get("default").is_some_and(|default| default.is_object() || default.is_array() || default.is_null()) {
            schema.remove("default");
        }
        transform_subschemas(self, schema);
    }
}

#[cfg(test)]
mod tests;

//! The JSON Schema of the configuration file: published, and the truth that files are checked against.

use std::collections::BTreeSet;
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

/// Names of all settings that hold no secret and no table.
pub(crate) fn public_names() -> BTreeSet<String> {
    fn gather(schema: &Value, names: &mut BTreeSet<String>) {
        for (name, member) in members(schema) {
            if member["type"] != "object" && form(member) != Some(Form::Secret) {
                names.insert(name.to_owned());
            }
            gather(member, names);
        }
        for inner in [&schema["additionalProperties"], &schema["items"]] {
            if inner.is_object() {
                gather(inner, names);
            }
        }
    }
    let mut names = BTreeSet::new();
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
        if schema.get("default").is_some_and(|default| default.is_object() || default.is_array() || default.is_null()) {
            schema.remove("default");
        }
        transform_subschemas(self, schema);
    }
}

#[cfg(test)]
mod tests;

//! `docs/config.md`, written from the schema.

use std::fmt::Write as _;

use serde_json::Value as Schema;

use crate::profiles::{CLASSES, STANDARD_PROFILES};
use crate::schema;
use crate::text::{Form, duration_text};

const HEAD: &str = "\
# Configuration reference

<!-- Generated from the doc comments in crates/tidegate-config; `UPDATE_DOCS=1 cargo test -p tidegate-config` rewrites it. -->

One TOML file: `--config`, else the environment's `TIDEGATE_CONFIG`, else `./tidegate.toml` where it exists. Environment variables go over it,
flags over both. Unknown settings are errors. `tidegate config check` judges a file, `tidegate config show` prints the settings in force with
secrets masked, and `tidegate config schema` prints the JSON Schema (`docs/tidegate.schema.json`). `tidegate.example.toml` is a commented example.

- Lengths of time are a whole number with a unit: `\"250ms\"`, `\"15s\"`, `\"5m\"`, `\"1h\"`, `\"30d\"`. Sizes likewise: `\"512B\"`, `\"64KiB\"`, `\"20MiB\"`, `\"1GB\"`.
  Zero is refused unless a setting says what it means; a setting that is left out has its default.
- `\"${NAME}\"` in any text stands for the environment variable `NAME`, which must be set; `$${` stands for `${` itself.
- Any setting can be set by an environment variable: `TIDEGATE__` and its path, with two underscores between names, in any case. A name in the file
  matches with `_` for each character that is no letter and no digit: `TIDEGATE__MODELS__GPT_4O__DELIVERY=coherent` sets `delivery` of `[models.\"gpt-4o\"]`.
  Lists and tables are written as TOML: `TIDEGATE__MODELS__FAST__ROUTES='[{ provider = \"openai\" }]'`.
- `PORT` means `server.listen = \"0.0.0.0:$PORT\"`, `QUEUE_TYPE` means `queue.backend`; `REDIS_URL` and `KAFKA_BROKERS` are read where that backend is chosen.
- Settings can change while the process runs, unless it is said that a change needs a restart; running streams and sessions keep what they began with.
";

/// How common wishes are written. A test loads each of its blocks.
const RECIPES: &str = include_str!("reference/recipes.md");

/// The order of the sections.
const SECTIONS: [&str; 13] =
    ["server", "ledger", "providers", "models", "profiles", "retry", "breaker", "deadline", "sessions", "queue", "notify", "prices", "log"];

/// The reference of all settings as Markdown: `docs/config.md`.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = format!("{HEAD}\n{RECIPES}");
    for section in SECTIONS {
        let schema = &schema::root()["properties"][section];
        let named = &schema["additionalProperties"];
        let (title, members) = if named.is_object() { (format!("{section}.NAME"), named) } else { (section.to_owned(), schema) };
        heading(&mut page, &title, description(schema));
        rows(&mut page, "", members);
        if section == "profiles" {
            profiles(&mut page);
        }
    }
    page
}

fn heading(page: &mut String, title: &str, text: &str) {
    push(page, format_args!("\n## `[{title}]`\n\n{text}\n\n| setting | value | default | meaning |\n| --- | --- | --- | --- |\n"));
}

/// A row for each setting; members of inner tables and lists follow theirs.
fn rows(page: &mut String, prefix: &str, schema: &Schema) {
    for (name, member) in schema::members(schema) {
        let default = match &member["default"] {
            Schema::Null => String::new(),
            default => format!("`{default}`"),
        };
        let meaning = description(member).replace("\n\n", " ").replace('\n', " ");
        push(page, format_args!("| `{prefix}{name}` | {} | {default} | {} |\n", value(member), with_choices(&meaning, member)));
        if schema::members(&member["items"]).next().is_some() {
            rows(page, &format!("{prefix}{name}[]."), &member["items"]);
        }
        rows(page, &format!("{prefix}{name}."), member);
    }
}

/// What may be written.
fn value(schema: &Schema) -> String {
    let choices = schema::choices(schema);
    if !choices.is_empty() {
        return choices.iter().map(|(name, _)| format!("`\"{name}\"`")).collect::<Vec<_>>().join(", ");
    }
    match (schema::form(schema), schema["type"].as_str()) {
        (Some(Form::Duration), _) => return between("length of time", schema),
        (Some(Form::Size), _) => return between("size", schema),
        (Some(Form::Address), _) => "address",
        (Some(Form::Url | Form::Proxy | Form::Redis), _) => "URL",
        (Some(Form::Secret), _) => "secret",
        (None, Some("integer")) => return bounded("whole number", schema),
        (None, Some("number")) => return bounded("number", schema),
        (None, Some("boolean")) => "`true`, `false`",
        (None, Some("array")) => "list",
        (None, Some("object")) => "table",
        _ => "text",
    }
    .to_owned()
}

/// `kind`, and from where to where it goes where it is bounded.
fn between(kind: &str, schema: &Schema) -> String {
    schema::bounds(schema).map_or_else(|| kind.to_owned(), |(least, most)| format!("{kind}, {least} to {most}"))
}

/// `kind`, and from where to where it goes where that is narrow.
fn bounded(kind: &str, schema: &Schema) -> String {
    match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(least), Some(most)) => format!("{kind}, {least} to {most}"),
        _ => kind.to_owned(),
    }
}

/// `meaning`, and after it what each choice means.
fn with_choices(meaning: &str, schema: &Schema) -> String {
    let choices = schema::choices(schema).into_iter().map(|(name, text)| format!("`{name}`: {text}"));
    std::iter::once(meaning.to_owned()).chain(choices).collect::<Vec<_>>().join(" ")
}

/// The standard profiles and who gets them.
fn profiles(page: &mut String) {
    page.push_str("\n| profile | connect | first_byte | idle | total | chosen for models with one of these words in their name |\n");
    page.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for (name, profile) in STANDARD_PROFILES {
        let words = CLASSES.iter().find(|(class, _)| *class == name).map(|(_, words)| words.join(", "));
        let [connect, first_byte, idle, total] = [profile.connect, profile.first_byte, profile.idle, profile.total].map(duration_text);
        let words = words.unwrap_or_else(|| "every other model".to_owned());
        push(page, format_args!("| `{name}` | {connect} | {first_byte} | {idle} | {total} | {words} |\n"));
    }
    page.push_str("\nA word counts whole and in any case (`mini` is not in `gemini`); `thinking` goes before `small`, `small` before `large`, `large` before `mid`.\n");
    page.push_str("A request that asks for thinking or reasoning gets its model's `thinking_profile`, whatever the name.\n");
}

fn description(schema: &Schema) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

/// Writing to a string cannot fail.
fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a string takes everything");
}

#[cfg(test)]
mod tests;

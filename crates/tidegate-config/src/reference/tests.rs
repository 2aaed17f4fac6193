use std::path::Path;

use super::*;
use crate::{Config, Sources};

/// Compares a generated file with what it should hold; `UPDATE_DOCS=1` writes it instead.
fn check(name: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, wanted).expect("docs/ is writable");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{name} is out of date: run UPDATE_DOCS=1 cargo test -p tidegate-config");
}

#[test]
fn the_reference_of_the_repository_is_up_to_date() {
    check("docs/config.md", &reference_markdown());
}

#[test]
fn the_schema_of_the_repository_is_up_to_date() {
    check("docs/tidegate.schema.json", &schema::schema());
}

#[test]
fn every_profile_and_section_is_in_the_reference() {
    let page = reference_markdown();
    for (name, _) in schema::members(schema::root()) {
        assert!(page.contains(&format!("## `[{name}")), "{name}");
    }
    for (name, _) in STANDARD_PROFILES {
        assert!(page.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn every_recipe_of_the_reference_loads_without_a_warning() {
    let env = ["OPENAI_KEY_1", "OPENAI_KEY_2"].map(|name| (name.to_owned(), format!("sk-{name}")));
    let secret = ("TIDEGATE_WEBHOOK_SECRET".to_owned(), format!("whsec_{}", "A".repeat(32)));
    let blocks: Vec<&str> = RECIPES.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), RECIPES.matches("\n**").count());
    for block in blocks {
        let env = env.iter().cloned().chain([secret.clone()]).collect();
        let loaded = Config::load(&Sources { env, ..Sources::of_text(block) }).unwrap_or_else(|errors| panic!("{block}\n{errors}"));
        assert!(loaded.warnings.is_empty(), "{block}\n{:?}", loaded.warnings);
    }
}

#[test]
fn every_section_of_the_schema_is_in_the_order_of_the_sections() {
    assert_eq!(schema::members(schema::root()).count(), SECTIONS.len());
}

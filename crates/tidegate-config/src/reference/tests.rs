use std::path::Path;

use super::*;

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

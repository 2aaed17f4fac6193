use super::*;

#[test]
fn every_setting_is_documented_and_every_table_is_closed() {
    fn walk(path: &str, schema: &Value) {
        for (name, member) in members(schema) {
            let path = format!("{path}.{name}");
            assert!(member["description"].as_str().is_some_and(|text| !text.is_empty()), "{path} has no description");
            walk(&path, member);
        }
        for inner in [&schema["additionalProperties"], &schema["items"]].into_iter().filter(|inner| inner.is_object()) {
            walk(path, inner);
        }
        if members(schema).next().is_some() {
            assert_eq!(schema["additionalProperties"], false, "{path} takes unknown names");
        }
    }
    walk("", root());
}

#[test]
fn nothing_says_null_because_toml_has_none() {
    assert!(!schema().contains("null"));
}

#[test]
fn a_name_is_public_only_where_it_never_holds_a_secret() {
    let names = names();
    assert_eq!(names["listen"], Secrecy::Public);
    assert_eq!(names["base_url"], Secrecy::Secret);
    assert_eq!(names["api_key"], Secrecy::Secret);
    assert_eq!(names["headers"], Secrecy::Secret);
    // A length of time in [server], a table in [models.NAME].
    assert_eq!(names["drain"], Secrecy::Secret);
}

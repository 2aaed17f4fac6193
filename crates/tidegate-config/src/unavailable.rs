//! What the contract names and this version does not do yet. Whoever builds it deletes its row.
//!
//! Such a setting is refused rather than ignored: an operator who wrote it relies on it.

use crate::path::KeyPath;

/// A setting, or one value of it, that is not available in this version.
pub(crate) struct Row {
    /// Its path; `*` stands for any name.
    path: &'static [&'static str],
    /// The only value that is refused, or `None` for the whole setting.
    pub(crate) value: Option<&'static str>,
    /// What to do instead.
    pub(crate) remedy: &'static str,
}

const ROWS: &[Row] = &[
    whole(&["ledger", "url"], "remove it, or DATABASE_URL from the environment; records are kept in SQLite at `ledger.path`"),
    value(&["providers", "*", "kind"], "anthropic", "use an OpenAI-compatible address with kind = \"openai\""),
    value(&["models", "*", "on_disconnect"], "resume", "write \"cancel\" or \"drain\""),
];

const fn whole(path: &'static [&'static str], remedy: &'static str) -> Row {
    Row { path, value: None, remedy }
}

const fn value(path: &'static [&'static str], value: &'static str, remedy: &'static str) -> Row {
    Row { path, value: Some(value), remedy }
}

/// The row that refuses `path`, where it holds the text `value`.
pub(crate) fn find(path: &KeyPath, value: Option<&str>) -> Option<&'static Row> {
    let matches = |row: &&Row| {
        let mut names = path.names();
        let on_path =
            row.path.iter().all(|wanted| names.next().is_some_and(|name| *wanted == "*" || *wanted == name)) && names.next().is_none();
        on_path && (row.value.is_none() || row.value == value)
    };
    ROWS.iter().find(matches)
}

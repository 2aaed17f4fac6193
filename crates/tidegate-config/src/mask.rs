//! Keeps secrets out of the drawn lines of a file. Masked bytes become stars one by one, so that every other column stays.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::schema::{self, Secrecy};

/// Whether a value, as written, is nothing but a reference to the environment and so tells nothing.
pub(crate) fn is_reference(written: &str) -> bool {
    let name = written.strip_prefix("\"${").and_then(|rest| rest.strip_suffix("}\""));
    name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

/// `source` with these spans masked; quotes and line breaks stay.
pub(crate) fn spans(source: &str, spans: impl IntoIterator<Item = Range<usize>>) -> String {
    let mut bytes = source.as_bytes().to_vec();
    for span in spans {
        for byte in bytes.get_mut(span).into_iter().flatten() {
            if !matches!(byte, b'"' | b'\'' | b'\n' | b'\r') {
                *byte = b'*';
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The comments of a file that is TOML: a setting that is commented out may be a secret.
pub(crate) fn comments(source: &str) -> Vec<Range<usize>> {
    let (root, _) = DeTable::parse_recoverable(source);
    let mut is_token = vec![false; source.len()];
    mark_tokens(&root.into_inner(), &mut is_token);
    // Between names and values there is only punctuation, so a `#` there begins a comment.
    let mut comments = Vec::new();
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        let begins = |at: &usize| source.as_bytes()[*at] == b'#' && !is_token[*at];
        let end = start + line.len();
        comments.extend((start..end).find(begins).map(|at| at + 1..end));
        start = end;
    }
    comments
}

fn mark_tokens(table: &DeTable<'_>, is_token: &mut [bool]) {
    for (key, value) in table {
        is_token[key.span()].fill(true);
        mark_value(value, is_token);
    }
}

fn mark_value(value: &Spanned<DeValue<'_>>, is_token: &mut [bool]) {
    match value.get_ref() {
        DeValue::Table(table) => mark_tokens(table, is_token),
        DeValue::Array(list) => list.iter().for_each(|item| mark_value(item, is_token)),
        _ => is_token[value.span()].fill(true),
    }
}

/// `source` for the drawing of syntax errors, where no span can be trusted: of a line that sets a known setting the part
/// up to the `=` is shown, and one plain value if it is no secret; of table headers everything, of other lines nothing.
pub(crate) fn suspicious_lines(source: &str) -> String {
    let names = schema::names();
    let mut hidden = Vec::new();
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        hidden.extend(hidden_from(line, &names).map(|from| start + from..start + line.len()));
        start += line.len();
    }
    spans(source, hidden)
}

/// Where the part of `line` begins that might hold a secret.
fn hidden_from(line: &str, names: &BTreeMap<&str, Secrecy>) -> Option<usize> {
    let is_header = line.starts_with('[') && line.trim_end().bytes().all(|b| b.is_ascii_alphanumeric() || b"[]._-".contains(&b));
    if is_header || line.trim().is_empty() {
        return None;
    }
    let (name, value) = line.split_once('=').unwrap_or((line, ""));
    let is_plain = !value.trim().contains(|c: char| c.is_whitespace() || matches!(c, '=' | '#'));
    match names.get(name.trim()) {
        Some(Secrecy::Public) if is_plain => None,
        Some(_) => Some(name.len() + 1),
        None => Some(0),
    }
}

#[cfg(test)]
mod tests;

//! Keeps secrets out of the drawn lines of a file. Masked bytes become stars one by one, so that every other column stays.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::schema;

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

/// `source` for the drawing of syntax errors, where no span can be trusted: of each line only the part up to the `=` is
/// shown, unless its name is that of a setting that is no secret.
pub(crate) fn suspicious_lines(source: &str) -> String {
    let shown = schema::public_names();
    let mut spans_to_hide = Vec::new();
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        if let Some(from) = hidden_from(line, &shown) {
            spans_to_hide.push(start + from..start + line.len());
        }
        start += line.len();
    }
    spans(source, spans_to_hide)
}

/// Where the part of `line` begins that might hold a secret.
fn hidden_from(line: &str, shown: &BTreeSet<String>) -> Option<usize> {
    let text = line.trim_start();
    let indent = line.len() - text.len();
    let is_header = text.starts_with('[') && !text.contains('=') && text.trim_end().ends_with(']');
    if is_header && !text.contains(['"', '\'']) {
        return None;
    }
    let end = text.find('=').map(|at| at + 1).or_else(|| text.find(char::is_whitespace)).unwrap_or(text.len());
    let name = text[..end].trim_end_matches('=').rsplit('.').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    // A value with an `@` may be an address with credentials.
    if shown.contains(name) && !text.contains('@') {
        return None;
    }
    // A line without a name is hidden whole: it may continue a secret.
    let named = text[..end].len() < text.trim_end().len();
    Some(indent + if named { end } else { 0 })
}

#[cfg(test)]
mod tests;

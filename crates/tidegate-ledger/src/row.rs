//! A record as it stands in its row.

mod json;

use std::cell::Cell;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use tidegate_core::record::StreamRecord;

/// How much room for texts is kept for later ones.
const KEPT: usize = 1 << 20;

thread_local! {
    /// Where a text is written before its length is known.
    static DRAFT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Hands a record's text to `then`: its serialisation without the members that are null, which are half of an open stream's.
pub(crate) fn with_text<T>(record: &StreamRecord, then: impl FnOnce(&[u8]) -> T) -> T {
    let mut draft = DRAFT.take();
    draft.clear();
    // A record holds numbers, text and lists, so this cannot fail; were it wrong, an empty object still leaves a row with the stream's id.
    let is_written = json::write(&mut draft, record).is_ok();
    let done = then(if is_written { &draft } else { b"{}" });
    DRAFT.set(draft);
    done
}

/// Texts of rows, one behind the other. A text of its own for each row would be made by one thread and freed by another, which costs more than to
/// write it.
#[derive(Debug, Default)]
pub(crate) struct Texts(Vec<u8>);

/// Where a text stands in its [`Texts`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    start: usize,
    end: usize,
}

impl Texts {
    pub(crate) fn add(&mut self, text: &[u8]) -> Span {
        let start = self.0.len();
        self.0.extend_from_slice(text);
        Span { start, end: self.0.len() }
    }

    /// A text of these; of others, whatever stands there, or nothing.
    pub(crate) fn get(&self, span: Span) -> &[u8] {
        self.0.get(span.start..span.end).unwrap_or_default()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(KEPT);
    }
}

/// A text as the database takes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column<'a>(pub(crate) &'a [u8]);

impl ToSql for Column<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// Reads the columns `id, record`, whatever version wrote them.
pub(crate) fn record(row: &rusqlite::Row<'_>) -> rusqlite::Result<StreamRecord> {
    let id: String = row.get("id")?;
    Ok(read(&id, row.get_ref("record")?.as_str()?.as_bytes()))
}

/// A row that another version wrote may lack members, have more, or hold values that this one has no name for. Each member that can be
/// understood is; a row never hides the others of a list.
pub(crate) fn read(id: &str, text: &[u8]) -> StreamRecord {
    serde_json::from_slice(text).unwrap_or_else(|_| read_by_member(id, text))
}

fn read_by_member(id: &str, text: &[u8]) -> StreamRecord {
    let mut record = StreamRecord::blank(id.to_owned());
    let Ok(serde_json::Value::Object(members)) = serde_json::from_slice(text) else { return record };
    for (name, value) in members {
        let Ok(mut candidate) = serde_json::to_value(&record) else { continue };
        candidate[name] = value;
        if let Ok(understood) = serde_json::from_value(candidate) {
            record = understood;
        }
    }
    record
}

#[cfg(test)]
mod tests;

//! A record as it stands in its row.

mod json;

use std::cell::RefCell;

use tidegate_core::record::StreamRecord;

thread_local! {
    /// Where a text is written before its length is known.
    static DRAFT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A record's text: its serialisation without the members that are null, which are half of an open stream's.
pub(crate) fn text(record: &StreamRecord) -> String {
    DRAFT.with_borrow_mut(|draft| {
        draft.clear();
        let written = json::write(draft, record).ok().and_then(|()| str::from_utf8(draft).ok());
        // A record holds numbers, text and lists, so this cannot fail; were it wrong, an empty object still leaves a row with the stream's id.
        written.unwrap_or("{}").to_owned()
    })
}

/// Reads the columns `id, record`, whatever version wrote them.
pub(crate) fn record(row: &rusqlite::Row<'_>) -> rusqlite::Result<StreamRecord> {
    let id: String = row.get("id")?;
    Ok(read(&id, row.get_ref("record")?.as_str()?))
}

/// A row that another version wrote may lack members, have more, or hold values that this one has no name for. Each member that can be
/// understood is; a row never hides the others of a list.
pub(crate) fn read(id: &str, text: &str) -> StreamRecord {
    serde_json::from_str(text).unwrap_or_else(|_| read_by_member(id, text))
}

fn read_by_member(id: &str, text: &str) -> StreamRecord {
    let mut record = StreamRecord::blank(id.to_owned());
    let Ok(serde_json::Value::Object(members)) = serde_json::from_str(text) else { return record };
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

//! A record as it stands in its row.

mod json;

use std::cell::RefCell;

use tidegate_core::event::EventCounts;
use tidegate_core::record::{Delivered, StreamRecord};

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
    let mut record = blank(id);
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

/// A record that says nothing but its id.
pub(crate) fn blank(id: &str) -> StreamRecord {
    StreamRecord {
        id: id.to_owned(),
        parent_request_id: String::new(),
        client_request_id: None,
        session_id: None,
        task_id: None,
        trace_id: None,
        status: None,
        code: None,
        partial: false,
        disconnect_source: None,
        disconnect_hint: None,
        endpoint_family: String::new(),
        delivery: String::new(),
        requested_model: String::new(),
        selected_model: None,
        provider: None,
        key_id: None,
        team: None,
        environment: None,
        created_at: String::new(),
        deadline_ms: None,
        time_to_head_ms: None,
        time_to_first_event_ms: None,
        time_to_first_output_ms: None,
        time_to_last_output_ms: None,
        completed_ms: None,
        max_gap_ms: None,
        events: EventCounts::default(),
        delivered: Delivered::default(),
        usage: None,
        cost_usd: None,
        attempts: Vec::new(),
        restarted_from: None,
        restarted_as: None,
        resumes: 0,
        client_retry_count: None,
        plan: Vec::new(),
    }
}

#[cfg(test)]
mod tests;

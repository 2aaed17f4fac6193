use tidegate_core::record::Status;

use super::*;
use crate::testing::{ended_record, new_id};

#[test]
fn a_record_reads_back_exactly_as_it_was() {
    let id = new_id();
    let mut record = ended_record(id, Status::FailedAfterOutput);
    record.disconnect_hint = Some(r#"odd: ","code":null,"x": {"\":null"} \"#.to_owned());
    record.client_request_id = Some("\":null,".to_owned());
    let text = text(&record);
    assert_eq!(read(&id.to_string(), &text), record);
    assert!(!text.contains("session_id"), "what is null takes no room: {text}");
}

#[test]
fn a_row_of_a_newer_version_shows_what_this_one_understands() {
    let text =
        r#"{"id":"strm_x","status":"paused","team":"search","resumes":"many","attempts":[{"n":1}],"colour":"blue","completed_ms":7}"#;
    let record = read("strm_x", text);
    assert_eq!((record.id.as_str(), record.team.as_deref(), record.completed_ms), ("strm_x", Some("search"), Some(7)));
    assert_eq!((record.status, record.resumes, record.attempts.len()), (None, 0, 0));
}

#[test]
fn a_row_that_is_no_record_still_has_its_id() {
    for text in ["", "[]", "{\"id\":", "null", "{}"] {
        assert_eq!(read("strm_x", text), StreamRecord::blank("strm_x".to_owned()), "of {text:?}");
    }
}

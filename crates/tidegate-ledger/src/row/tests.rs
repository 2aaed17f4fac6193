use tidegate_core::record::Status;

use super::*;
use crate::testing::{ended_record, new_id};

#[test]
fn a_record_reads_back_exactly_as_it_was() {
    let id = new_id();
    let mut record = ended_record(id, Status::FailedAfterOutput);
    record.disconnect_hint = Some(r#"odd: ","code":null,"x": {"\":null"} \"#.to_owned());
    record.client_request_id = Some("\":null,".to_owned());
    let text = with_text(&record, |text| String::from_utf8(text.to_vec()).expect("text"));
    assert_eq!(read(&id.to_string(), text.as_bytes()), record);
    assert!(!text.contains("session_id"), "what is null takes no room: {text}");
}

#[test]
fn a_row_of_a_newer_version_shows_what_this_one_understands() {
    let text =
        r#"{"id":"strm_x","status":"paused","team":"search","resumes":"many","attempts":[{"n":1}],"colour":"blue","completed_ms":7}"#;
    let record = read("strm_x", text.as_bytes());
    assert_eq!((record.id.as_str(), record.team.as_deref(), record.completed_ms), ("strm_x", Some("search"), Some(7)));
    assert_eq!((record.status, record.resumes, record.attempts.len()), (None, 0, 0));
}

#[test]
fn a_row_that_is_no_record_still_has_its_id() {
    for text in ["", "[]", "{\"id\":", "null", "{}"] {
        assert_eq!(read("strm_x", text.as_bytes()), StreamRecord::blank("strm_x".to_owned()), "of {text:?}");
    }
}

#[test]
fn texts_stand_one_behind_the_other_and_what_is_none_of_them_is_empty() {
    let mut texts = Texts::default();
    let spans = ["one", "", "three"].map(|text| texts.add(text.as_bytes()));
    assert_eq!(spans.map(|span| texts.get(span)), ["one", "", "three"].map(str::as_bytes));
    let long = texts.add(&vec![b'x'; 4 * KEPT]);
    texts.clear();
    assert_eq!((texts.get(spans[2]), texts.get(long)), (&[][..], &[][..]));
    assert!(texts.0.capacity() < 2 * KEPT, "what a burst needed is given back");
}

#[test]
fn a_text_that_is_written_while_another_is_used_does_not_harm_it() {
    let ids = [new_id(), new_id()];
    let [one, other] = ids.map(|id| ended_record(id, Status::Completed));
    let (outer, inner) = with_text(&one, |outer| with_text(&other, |inner| (outer.to_vec(), inner.to_vec())));
    assert_eq!((read("", &outer), read("", &inner)), (one, other));
}

use expect_test::{Expect, expect};

use super::*;

const NOW: u64 = 1_700_000_000_123;

fn event(status: Status, code: Option<&str>, result: Option<&str>) -> Notification {
    Notification {
        stream_id: StreamId::new(NOW, 7),
        status,
        code: code.map(str::to_owned),
        result: result.map(|text| Bytes::from(text.to_owned())),
    }
}

fn message(event: &Notification) -> Message {
    event.message(&Url::parse("https://hooks.example:8443/t?x=1").expect("a URL"), NOW)
}

#[expect(clippy::needless_pass_by_value, reason = "expect! makes a value")]
fn says(event: &Notification, expected: Expect) {
    expected.assert_eq(&message(event).body);
}

#[test]
fn a_completed_stream_is_told_with_its_answer_byte_for_byte() {
    says(
        &event(Status::Completed, None, Some(r#"{"choices": [ {"text":"h\u00e9"} ]}"#)),
        expect![[
            r#"{"type":"stream.completed","timestamp":"2023-11-14T22:13:20.123Z","data":{"stream_id":"strm_01hf7yat3v0000000000000007","status":"completed","code":null,"url":"/v1/streams/strm_01hf7yat3v0000000000000007","result":{"choices": [ {"text":"h\u00e9"} ]}}}"#
        ]],
    );
}

#[test]
fn every_other_ending_is_a_failure_with_its_status_and_code() {
    says(
        &event(Status::FailedAfterOutput, Some("upstream_cut"), None),
        expect![[
            r#"{"type":"stream.failed","timestamp":"2023-11-14T22:13:20.123Z","data":{"stream_id":"strm_01hf7yat3v0000000000000007","status":"failed_after_output","code":"upstream_cut","url":"/v1/streams/strm_01hf7yat3v0000000000000007"}}"#
        ]],
    );
    for status in Status::ALL.iter().filter(|status| **status != Status::Completed) {
        assert!(message(&event(*status, None, None)).body.starts_with(r#"{"type":"stream.failed""#), "{status:?}");
    }
}

#[test]
fn an_answer_goes_along_up_to_the_bound_and_not_beyond() {
    let with = |length: usize| message(&event(Status::Completed, None, Some(&format!("\"{}\"", "a".repeat(length - 2))))).body;
    let frame = with(2).len() - 2;
    let fits = MAX_BODY - frame;
    assert_eq!(with(fits).len(), MAX_BODY);
    for length in [fits + 1, MAX_BODY, MAX_BODY + 1, 5_000_000] {
        let body = with(length);
        assert!(!body.contains("result") && body.contains(r#""url":"/v1/streams/strm_"#), "{length}");
    }
}

#[test]
fn an_answer_that_is_no_json_is_left_out() {
    for result in ["", "{", "{} {}", "plain"] {
        let body = message(&event(Status::Completed, None, Some(result))).body;
        let read: serde_json::Value = serde_json::from_str(&body).expect("the body is JSON");
        assert!(read["data"].get("result").is_none(), "{body}");
    }
}

#[test]
fn a_stream_has_one_message_however_often_it_is_told() {
    let first = message(&event(Status::Completed, None, None));
    assert_eq!(first.id, "msg_01hf7yat3v0000000000000007");
    assert_eq!((first.host.as_str(), first.url.as_str()), ("hooks.example", "https://hooks.example:8443/t?x=1"));
    assert_eq!((first.attempts, first.expires_unix_ms), (0, NOW + 24 * 3_600_000));
    assert_eq!(message(&event(Status::Interrupted, None, None)).id, first.id);
}

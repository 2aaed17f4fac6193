use bytes::Bytes;
use proptest::prelude::*;
use tidegate_core::event::{EventFacts, EventKind};
use tidegate_core::failure::Failure;

use super::ChatReader;
use crate::sse::{RawEvent, Scanner};

fn event(text: &str) -> RawEvent {
    let mut scanner = Scanner::new(1 << 20);
    scanner.push(Bytes::copy_from_slice(text.as_bytes()));
    scanner.next().expect("it is not too long").or_else(|| scanner.finish()).expect("it is an event")
}

/// What a fresh reader makes of one event with this data.
fn read(data: &str) -> EventFacts {
    ChatReader::new(1, true).read(&event(&format!("data: {data}\n\n")))
}

fn delta(delta: &str) -> EventFacts {
    read(&format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#))
}

#[test]
fn whatever_a_reader_could_see_is_output() {
    for shown in [
        r#"{"content":"a"}"#,
        r#"{"role":"assistant","content":" "}"#,
        r#"{"content":"","reasoning_content":"hm"}"#,
        r#"{"reasoning":"hm"}"#,
        r#"{"refusal":"no"}"#,
        r#"{"tool_calls":[{"index":0}]}"#,
        r#"{"function_call":{"arguments":"{"}}"#,
        r#"{"audio":{"data":"AA=="}}"#,
        r#"{"content":"\ud83d"}"#,
        r#"{"something_new":[[{"deep":7}]]}"#,
    ] {
        let facts = delta(shown);
        assert_eq!((facts.kind, facts.has_output), (EventKind::Output, true), "{shown}");
    }
}

#[test]
fn roles_and_empty_members_only_frame_the_answer() {
    for framing in [
        "null",
        "{}",
        r#"{"role":"assistant"}"#,
        r#"{"role":"assistant","content":"","refusal":null,"tool_calls":[],"audio":{}}"#,
        r#"{"content":null,"thinking":false,"extra":[{"a":null,"b":[""]}]}"#,
    ] {
        let facts = delta(framing);
        assert_eq!((facts.kind, facts.has_output), (EventKind::Lifecycle, false), "{framing}");
    }
}

#[test]
fn endless_nesting_in_a_delta_is_taken_for_output_and_costs_no_stack() {
    let facts = delta(&format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000)));
    assert_eq!(facts.kind, EventKind::Output);
}

#[test]
fn a_last_chunk_with_text_is_completion_and_output() {
    let facts = read(r#"{"choices":[{"index":0,"delta":{"content":"."},"finish_reason":"length"}]}"#);
    assert_eq!((facts.kind, facts.has_output, facts.proves_end, facts.is_last), (EventKind::Completion, true, true, false));
}

#[test]
fn the_end_is_proved_when_every_choice_that_was_asked_for_has_its_reason() {
    let finish = |index: u32| event(&format!("data: {{\"choices\":[{{\"index\":{index},\"finish_reason\":\"stop\"}}]}}\n\n"));
    let text = |index: u32| event(&format!("data: {{\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"x\"}}}}]}}\n\n"));
    let mut two = ChatReader::new(2, false);
    assert!(!two.read(&finish(0)).proves_end, "the other choice has not even begun");
    two.read(&text(1));
    assert!(!two.end_is_proved());
    assert!(two.read(&finish(1)).proves_end);

    let mut more = ChatReader::new(1, false);
    more.read(&text(127));
    assert!(!more.read(&finish(0)).proves_end, "a choice that nobody asked for has begun and not ended");
    assert!(more.read(&finish(127)).proves_end);
}

#[test]
fn usage_is_for_the_gateway_alone_unless_the_client_asked_for_it() {
    let usage = event("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n");
    assert!(ChatReader::new(1, false).read(&usage).for_gateway_only);
    assert!(!ChatReader::new(1, true).read(&usage).for_gateway_only);
    let riding = event("data: {\"choices\":[{\"delta\":{}}],\"usage\":{\"prompt_tokens\":1}}\n\n");
    assert!(!ChatReader::new(1, false).read(&riding).for_gateway_only, "the choice beside it is the client's");
}

#[test]
fn what_no_sdk_could_read_is_not_passed_on() {
    for (odd, proves_end) in [("data:\n\n", false), ("data:  \n\n", false), ("event: x\n\n", false), ("data:  [DONE]\n\n", true)] {
        let facts = ChatReader::new(1, true).read(&event(odd));
        assert_eq!((facts.kind, facts.for_gateway_only, facts.proves_end), (EventKind::Other, true, proves_end), "{odd:?}");
    }
    assert!(!ChatReader::new(1, true).read(&event(": hello\n\n")).for_gateway_only, "comments harm nobody");
}

#[test]
fn a_half_event_at_the_end_is_a_cut_and_a_whole_one_that_is_no_json_is_malformed() {
    let mut reader = ChatReader::new(1, true);
    assert_eq!(reader.read(&event("data: {\"choices\":[{")).failure, Some(Failure::UpstreamCut));
    assert_eq!(reader.read(&event("data: {\"choices\":[{\n\n")).failure, Some(Failure::UpstreamMalformed));
    assert_eq!(reader.read(&event("data: {\"choices\":[]} {}\n\n")).failure, Some(Failure::UpstreamMalformed));
}

#[test]
fn errors_in_every_known_form_are_failures_with_a_name() {
    for (error, failure) in [
        (r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#, Failure::ContextTooLong(400)),
        (r#"{"error":{"message":"m","type":"invalid_request_error","code":null}}"#, Failure::UpstreamRejected(400)),
        (r#"{"error":{"code":"Invalid_API_key","type":"invalid_request_error"}}"#, Failure::UpstreamCredentials),
        (r#"{"error":{"code":429,"message":"slow"}}"#, Failure::UpstreamRateLimited),
        (r#"{"error":{"code":503}}"#, Failure::UpstreamError),
        (r#"{"error":"text"}"#, Failure::UpstreamError),
        (r#"{"error":true}"#, Failure::UpstreamError),
        (r#"{"type":"error","message":"m"}"#, Failure::UpstreamError),
        (r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"error"}]}"#, Failure::UpstreamError),
    ] {
        let facts = read(error);
        assert_eq!((facts.kind, facts.failure, facts.has_output), (EventKind::Error, Some(failure), false), "{error}");
    }
}

proptest! {
    #[test]
    fn no_data_is_too_odd_to_be_classed(data in "[ -~\n]{0,60}", choices in 0u32..3) {
        let mut body = Vec::new();
        crate::sse::write_event(&mut body, None, data.as_bytes());
        let facts = ChatReader::new(choices, true).read(&event(&String::from_utf8(body).expect("it is text")));
        prop_assert_eq!(facts.failure.is_some(), facts.kind == EventKind::Error);
    }

    #[test]
    fn any_text_in_a_delta_is_output(text in "\\PC{1,40}") {
        let facts = delta(&serde_json::json!({"role": "assistant", "content": text}).to_string());
        prop_assert_eq!(facts, EventFacts::of(EventKind::Output));
    }
}

use super::*;
use crate::openai_chat::{Notice, notice};
use crate::sse::Scanner;

fn event(bytes: bytes::Bytes) -> RawEvent {
    let mut scanner = Scanner::new(4096);
    scanner.push(bytes);
    scanner.next().expect("it is short").expect("it is whole")
}

#[test]
fn a_notice_is_read_as_it_was_written() {
    let told = Notice { code: "degraded", message: "another model answers" };
    assert_eq!(notice_text(&event(notice(told, true))).as_deref(), Some("another model answers"));
    assert_eq!(notice_text(&event(notice(told, false))), None, "a comment is no event");
    assert_eq!(notice_text(&event("data: {\"tidegate\":{\"notice\":{\"message\":\"no\"}}}\n\n".into())), None, "a provider's own event");
}

fn shown(chunk: &str) -> Option<String> {
    visible_text(chunk.as_bytes()).map(|text| text.to_string())
}

#[test]
fn a_chunk_shows_the_text_of_its_first_choice() {
    assert_eq!(shown(r#"{"choices":[{"index":0,"delta":{"content":"hel\"lo\n"}}]}"#).as_deref(), Some("hel\"lo\n"));
    assert_eq!(
        shown(r#"{"choices":[{"index":1,"delta":{"content":"no"}},{"index":0,"delta":{"content":"yes"}}]}"#).as_deref(),
        Some("yes")
    );
    assert_eq!(shown(r#"{"choices":[{"delta":{"content":null,"refusal":"I cannot"}}]}"#).as_deref(), Some("I cannot"));
}

#[test]
fn what_shows_nothing_is_no_text() {
    for chunk in [
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1"}]}}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
        r#"{"choices":[{"index":0,"delta":null,"finish_reason":"stop"}]}"#,
        r#"{"error":{"message":"no"}}"#,
        "[DONE]",
    ] {
        assert_eq!(shown(chunk), None, "{chunk}");
    }
}

#[test]
fn a_message_has_its_text_and_its_tool_calls_as_they_came() {
    let calls = r#"[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{ }"}},{"id":"call_2"}]"#;
    let answer = format!(r#"{{"choices":[{{"index":0,"message":{{"role":"assistant","content":null,"tool_calls":{calls}}}}}]}}"#);
    let (text, made) = whole_message(answer.as_bytes());
    let made = made.expect("it calls tools");
    assert_eq!((&*text, &*made.json), ("", calls));
    assert_eq!(made.ids.iter().map(|id| &**id).collect::<Vec<_>>(), ["call_1", "call_2"]);

    let (text, made) = whole_message(br#"{"choices":[{"message":{"content":"hello","tool_calls":[]}}]}"#);
    assert_eq!((&*text, made), ("hello", None));
    assert_eq!(whole_message(b"{}"), ("".into(), None));
}

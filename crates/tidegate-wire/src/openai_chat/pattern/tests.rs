use serde_json::json;
use serde_json::value::RawValue;

use super::super::ChatReader;
use super::{Pattern, inside_of_string};
use crate::sse::{RawEvent, Scanner, write_event};
use proptest::prelude::*;

const CHUNK: &str =
    r#"{"id":"c","choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":null}],"usage":null,"obfuscation":"PAD"}"#;

fn chunk(text: &str, padding: &str) -> String {
    CHUNK.replace("TEXT", text).replace("PAD", padding)
}

/// A pattern of `chunk`, whose output is the text `shown`.
fn pattern(chunk: &str, shown: &str, padding: Option<&str>) -> Pattern {
    #[derive(serde::Deserialize)]
    struct Parts<'a> {
        #[serde(borrow)]
        choices: Vec<Choice<'a>>,
        #[serde(borrow)]
        obfuscation: Option<&'a RawValue>,
    }
    #[derive(serde::Deserialize)]
    struct Choice<'a> {
        #[serde(borrow)]
        delta: std::collections::BTreeMap<&'a str, &'a RawValue>,
    }
    let parts: Parts<'_> = serde_json::from_str(chunk).expect("it is JSON");
    let mut pattern = Pattern::default();
    pattern.learn(chunk.as_bytes(), parts.choices[0].delta[shown], parts.obfuscation);
    assert_eq!(parts.obfuscation.is_some(), padding.is_some());
    pattern
}

#[test]
fn a_chunk_that_differs_in_its_texts_alone_fits() {
    let pattern = pattern(&chunk("one", "abc"), "content", Some("abc"));
    for (text, padding) in [("one", "abc"), (" two", ""), (r#"\"\\\/\b\f\n\r\t\u00e9\ud83d"#, "x"), ("é\u{1F600}", "0123456789")] {
        assert_eq!(pattern.shown(chunk(text, padding).as_bytes()), Some(text.as_bytes()));
    }
}

#[test]
fn a_chunk_that_differs_otherwise_does_not_fit() {
    let pattern = pattern(&chunk("one", "abc"), "content", Some("abc"));
    let other = [
        chunk("", "abc"),
        chunk("a\"b", "abc"),
        chunk(r"\x", "abc"),
        chunk(r"\u12g4", "abc"),
        chunk("a\tb", "abc"),
        chunk("one", "abc").replace("null}", "\"stop\"}"),
        chunk("one", "abc").replace("\"index\":0", "\"index\":1"),
        chunk("one", "abc") + " ",
        chunk("one", "abc")[..60].to_owned(),
        String::new(),
    ];
    for other in other {
        assert_eq!(pattern.shown(other.as_bytes()), None, "{other}");
    }
    assert_eq!(pattern.shown(&[chunk("one", "abc").as_bytes(), b"\xFF"].concat()), None);
    assert_eq!(Pattern::default().shown(b""), None);
}

#[test]
fn the_arguments_of_a_tool_call_are_its_text() {
    let call = |piece: &str| {
        let call = json!([{"index": 0, "function": {"arguments": piece}}]);
        format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":{call}}}}}]}}"#)
    };
    let pattern = pattern(&call("{\"a"), "tool_calls", None);
    assert_eq!(pattern.shown(call("}").as_bytes()), Some(b"}".as_slice()));
    assert_eq!(pattern.shown(call("\":1}").replace("\"index\":0", "\"index\":1").as_bytes()), None);
}

#[test]
fn output_without_a_text_teaches_nothing() {
    let number = r#"{"choices":[{"index":0,"delta":{"x":[{"y":7}]}}]}"#;
    assert_eq!(pattern(number, "x", None).shown(number.as_bytes()), None);
}

#[test]
fn an_oversized_chunk_is_not_kept() {
    let text = chunk(&"long ".repeat(5000), "abc");
    let pattern_of_long = pattern(&text, "content", Some("abc"));
    assert_eq!(pattern_of_long.shown(chunk("short", "x").as_bytes()), Some(b"short".as_slice()), "its text is not kept");
    let frame = chunk("one", "abc").replace("\"c\"", &format!("\"{}\"", "c".repeat(5000)));
    assert_eq!(pattern(&frame, "content", Some("abc")).shown(frame.as_bytes()), None);
}

fn event(data: &[u8]) -> RawEvent {
    let mut body = Vec::new();
    write_event(&mut body, None, data);
    let mut scanner = Scanner::new(1 << 16);
    scanner.push(body.into());
    scanner.next().expect("it is not too long").expect("it is whole")
}

fn any_chunk() -> impl Strategy<Value = Vec<u8>> {
    let inside = prop_oneof!["[a-z é]{0,6}", r#"[a-z"\\u0-9\x01]{0,8}"#];
    let template = prop_oneof![
        Just(CHUNK.to_owned()),
        Just(CHUNK.replace("content", "role")),
        Just(CHUNK.replace(r#","obfuscation":"PAD""#, "")),
        Just(CHUNK.replace(r#""TEXT""#, r#"[{"index":0,"function":{"arguments":"TEXT"}}]"#)),
        Just(CHUNK.replace(r#"{"content":"TEXT"}"#, r#"{"content":"TEXT","reasoning":"PAD"}"#)),
        Just(CHUNK.replace(":null}", r#":"TEXT"}"#)),
        Just(r#"{"obfuscation":"PAD","choices":[{"delta":{"content":"TEXT"}}]}"#.to_owned()),
    ];
    (template, inside.clone(), inside)
        .prop_map(|(template, text, padding)| template.replace("TEXT", &text).replace("PAD", &padding).into_bytes())
}

proptest! {
    #[test]
    fn a_reader_with_a_past_says_what_a_fresh_one_says(chunks in proptest::collection::vec(any_chunk(), 1..12), bad in any::<u8>()) {
        let mut reader = ChatReader::new(9, true);
        for mut chunk in chunks {
            if bad > 250 {
                let place = usize::from(bad) % chunk.len();
                chunk[place] = bad;
            }
            let event = event(&chunk);
            prop_assert_eq!(reader.read(&event), ChatReader::new(9, true).read(&event), "{}", String::from_utf8_lossy(&chunk));
        }
    }

    #[test]
    fn the_inside_of_a_string_is_what_json_says(inside in prop_oneof![r#"[a-z"\\u/0-9bfnrt]{0,10}"#, "[\\x00-\\x24é]{0,10}"]) {
        let text = format!("\"{inside}\"");
        let valid = serde_json::from_str::<&RawValue>(&text).is_ok();
        prop_assert_eq!(inside_of_string(&text.as_bytes()[1..]) == Some(inside.len()), valid);
    }
}

use tidegate_core::event::EventKind;

use super::*;
use crate::openai_chat::{Assembler, ChatReader};
use crate::sse::{RawEvent, Scanner};

fn events(stream: Bytes) -> Vec<RawEvent> {
    let mut scanner = Scanner::new(usize::MAX);
    scanner.push(stream);
    std::iter::from_fn(|| scanner.next().expect("no event is too long")).collect()
}

fn assembled(events: &[RawEvent]) -> Value {
    let mut assembler = Assembler::new();
    events.iter().for_each(|event| assembler.add(event));
    serde_json::from_slice(&assembler.finish()).expect("it is JSON")
}

#[test]
fn a_replayed_answer_is_read_as_the_same_answer_and_its_end_is_proved() {
    let answer = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "gpt-4o",
        "choices": [{
            "index": 0, "finish_reason": "tool_calls",
            "message": {
                "role": "assistant", "content": "Grüße an alle, die hier länger lesen als nur einen Augenblick. ".repeat(3),
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
        }],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    });
    let events = events(replay(answer.to_string().as_bytes()).expect("it is a whole answer"));
    assert_eq!(assembled(&events), answer);
    let mut reader = ChatReader::new(1, true);
    let facts: Vec<_> = events.iter().map(|event| reader.read(event)).collect();
    assert!(facts.iter().all(|facts| facts.failure.is_none()) && reader.end_is_proved());
    assert!(facts.iter().filter(|facts| facts.kind == EventKind::Output).count() > 5, "it comes in pieces");
    assert!(facts.last().is_some_and(|last| last.is_last));
}

#[test]
fn what_is_no_whole_answer_is_not_replayed() {
    for text in ["", "[]", "{}", r#"{"choices":3}"#, r#"{"choices":[{"index":0}]}"#] {
        assert_eq!(replay(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn a_text_comes_in_pieces_that_are_the_text_again() {
    for text in ["", "short", "ü".repeat(100).as_str(), "many words that go on and on, and on, without any end in sight"] {
        assert_eq!(pieces(text).collect::<String>(), text);
        assert!(pieces(text).all(|piece| piece.len() <= MAX_PIECE));
    }
}

#[test]
fn the_gateways_own_events_are_nothing_that_a_reader_takes_for_output() {
    let told = Notice { code: "degraded", message: "taking longer than usual, trying a faster model" };
    let own = [notice(told, false), notice(told, true), restart_event("strm_a", "strm_b", "upstream_cut")];
    for bytes in own {
        let mut reader = ChatReader::new(1, true);
        for event in events(bytes) {
            let facts = reader.read(&event);
            assert!(facts.failure.is_none() && !facts.has_output && !facts.proves_end, "{facts:?}");
        }
    }
}

#[test]
fn a_marked_answer_keeps_everything_else() {
    let answer = text_answer("strm_1", "static", 7, "Please try again later.", "static");
    let value: Value = serde_json::from_slice(&marked(&answer, "cached")).expect("it is JSON");
    assert_eq!(value["tidegate"]["answer"], "cached");
    assert_eq!(value["choices"][0]["message"]["content"], "Please try again later.");
    assert_eq!(marked(b"no JSON", "cached"), Bytes::from_static(b"no JSON"));
}

#[test]
fn only_an_answer_that_came_to_its_own_end_may_serve_again() {
    let ended = |reasons: &[&str]| {
        let choices: Vec<Value> = reasons.iter().map(|reason| json!({"index": 0, "finish_reason": reason})).collect();
        may_serve_again(json!({"choices": choices}).to_string().as_bytes())
    };
    assert!(ended(&["stop"]) && ended(&["tool_calls", "stop"]));
    assert!(!ended(&[]) && !ended(&["length"]) && !ended(&["stop", "content_filter"]) && !may_serve_again(b"no JSON"));
}

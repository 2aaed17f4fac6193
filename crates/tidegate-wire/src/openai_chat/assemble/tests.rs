use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Assembler;
use crate::sse::{Scanner, write_event};

fn assemble(chunks: &[Value]) -> Value {
    let mut body = Vec::new();
    for chunk in chunks {
        write_event(&mut body, None, chunk.to_string().as_bytes());
    }
    let (mut scanner, mut assembler) = (Scanner::new(1 << 22), Assembler::new());
    scanner.push(body.into());
    while let Some(event) = scanner.next().expect("no event is too long") {
        assembler.add(&event);
    }
    let whole: Bytes = assembler.finish();
    serde_json::from_slice(&whole).expect("it is JSON")
}

/// The message that these deltas make.
fn message(deltas: &[Value]) -> Value {
    let chunks: Vec<Value> = deltas.iter().map(|delta| json!({"choices": [{"index": 0, "delta": delta}]})).collect();
    assemble(&chunks)["choices"][0]["message"].clone()
}

#[test]
fn names_stay_single_and_texts_grow() {
    let call = |more: Value| json!({"tool_calls": [{"index": 3, "id": "c", "type": "function", "function": more}]});
    let made = message(&[call(json!({"name": "f", "arguments": "{"})), call(json!({"name": "f", "arguments": "}"}))]);
    let call = json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    assert_eq!(made, json!({"tool_calls": call, "role": "assistant", "content": null}));
}

#[test]
fn null_takes_nothing_back_and_scalars_follow_the_last() {
    let made = message(&[json!({"content": "a", "score": 1, "flag": null}), json!({"content": null, "score": 2.50, "flag": true})]);
    assert_eq!(made, json!({"content": "a", "score": 2.50, "flag": true, "role": "assistant"}));
}

#[test]
fn an_answer_without_text_has_null_and_an_empty_one_stays_empty() {
    assert_eq!(message(&[json!({})])["content"], Value::Null);
    assert_eq!(message(&[json!({"content": ""})])["content"], "");
}

#[test]
fn choices_come_out_in_the_order_of_their_indices() {
    let chunk =
        |index: u32, text: &str| json!({"id": "x", "choices": [{"index": index, "delta": {"content": text}, "finish_reason": "stop"}]});
    let made = assemble(&[chunk(2, "c"), chunk(0, "a"), chunk(1, "b")]);
    let texts: Vec<&Value> = made["choices"].as_array().expect("a list").iter().map(|choice| &choice["message"]["content"]).collect();
    assert_eq!(texts, ["a", "b", "c"]);
}

#[test]
fn a_hostile_number_of_members_is_bounded_and_quick() {
    let many: serde_json::Map<String, Value> = (0..20_000).map(|number| (format!("k{number}"), json!("v"))).collect();
    let made = message(&[Value::Object(many.clone()), Value::Object(many)]);
    assert!(made.as_object().expect("an object").len() <= 256);
}

proptest! {
    #[test]
    fn any_pieces_of_a_text_make_the_text(pieces in vec("\\PC{0,6}", 1..12)) {
        let deltas: Vec<Value> = pieces.iter().map(|piece| json!({"content": piece, "reasoning": piece})).collect();
        let made = message(&deltas);
        prop_assert_eq!(&made["content"], &json!(pieces.concat()));
        prop_assert_eq!(&made["reasoning"], &json!(pieces.concat()));
    }
}

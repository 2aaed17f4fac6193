use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::ChatReader;
use super::{Gathered, MAX_OUTPUT, MAX_PROMPT, MEDIUM_BYTES, TextSample, answer_sample, prompt_sample, unescape};
use crate::sse::{RawEvent, Scanner, write_event};

fn event(data: &str) -> RawEvent {
    let mut body = Vec::new();
    write_event(&mut body, None, data.as_bytes());
    let mut scanner = Scanner::new(1 << 20);
    scanner.push(body.into());
    scanner.next().expect("it is not too long").expect("it is whole")
}

/// A reader that has read chunks with these deltas.
fn reader(deltas: impl IntoIterator<Item = Value>) -> ChatReader {
    let mut reader = ChatReader::new(1, false);
    for delta in deltas {
        reader.read(&event(&json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}).to_string()));
    }
    reader
}

fn text(sample: Option<TextSample>) -> String {
    let sample = sample.expect("there is a text");
    assert_eq!(sample.total_bytes, sample.text.len() as u64, "it is the whole text");
    sample.text
}

fn prompt(request: &Value) -> Option<TextSample> {
    prompt_sample(request.to_string().as_bytes())
}

/// The tokens that OpenAI's tokenizer sees in a prompt.
fn prompt_tokens(request: &Value) -> usize {
    bpe_openai::o200k_base().count(&text(prompt(request)))
}

/// Up to a thousandth, which is what the proportion of escapes is off by.
#[track_caller]
fn assert_near(bytes: u64, expected: u64) {
    assert!(bytes.abs_diff(expected) < expected / 1000, "{bytes}, not {expected}");
}

#[test]
fn what_a_stream_shows_is_its_sample_in_order() {
    let reader = reader([
        json!({"role": "assistant", "content": ""}),
        json!({"reasoning_content": "hm\n"}),
        json!({"reasoning_content": "so: "}),
        json!({"content": "Hé"}),
        json!({"content": "llo\u{1F600} \"you\""}),
        json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "find", "arguments": ""}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\""}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        json!({"refusal": " no"}),
    ]);
    assert_eq!(text(reader.output_sample()), "hm\nso: Héllo\u{1F600} \"you\"find{\"a\":1} no");
}

#[test]
fn a_last_chunk_with_text_counts_and_an_error_does_not() {
    let mut reader = reader([json!({"content": "a"})]);
    reader.read(&event(r#"{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}],"usage":null}"#));
    reader.read(&event(r#"{"choices":[{"index":0,"delta":{"content":"lost"}}],"error":{"message":"m"}}"#));
    assert_eq!((text(reader.output_sample()), reader.output_bytes()), ("ab".to_owned(), 2));
}

#[test]
fn a_stream_without_output_has_no_sample_and_allocates_nothing_for_it() {
    let reader = reader([json!({"role": "assistant"}), json!({"content": ""})]);
    assert_eq!((reader.output_sample(), reader.output_bytes()), (None, 0));
    assert_eq!(Gathered::default().first.capacity(), 0);
    assert!(size_of::<Gathered>() <= 32);
}

#[test]
fn a_long_answer_is_cut_and_counted() {
    let piece = "é\\n".repeat(100);
    let reader = reader(std::iter::repeat_n(json!({"content": piece}), 100));
    let sample = reader.output_sample().expect("it has text");
    assert!(sample.text.len() > MAX_OUTPUT / 2 && sample.text.len() <= MAX_OUTPUT, "{}", sample.text.len());
    assert_eq!(sample.text.trim_end_matches(['é', '\\', 'n']), "", "no half character");
    assert_near(sample.total_bytes, 100 * piece.len() as u64);
}

#[test]
fn the_messages_weigh_what_openai_counted() {
    // The count of gpt-4o, published in OpenAI's cookbook, "How to count tokens with tiktoken".
    let request = json!({"model": "gpt-4o", "messages": [
        {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
        {"role": "user", "content": "What's the weather like in San Francisco?"}
    ], "tools": [{"type": "function", "function": {
        "name": "get_current_weather", "description": "Get the current weather in a given location",
        "parameters": {"type": "object", "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {"type": "string", "description": "The unit of temperature to return", "enum": ["celsius", "fahrenheit"]}
        }, "required": ["location"]}
    }}]});
    let counted = prompt_tokens(&request);
    assert!((96..=106).contains(&counted), "{counted}, not 101");
}

#[test]
fn each_message_has_about_four_tokens_beside_its_text() {
    let with = |messages: usize| {
        let message =
            |place: usize| json!({"role": if place.is_multiple_of(2) { "user" } else { "assistant" }, "content": "Where to now?"});
        prompt_tokens(&json!({"messages": (0..messages).map(message).collect::<Vec<_>>()}))
    };
    // 4 tokens of text and 4 of marks; 3 for the answer that begins.
    for messages in [1, 2, 10, 100] {
        assert!(with(messages).abs_diff(8 * messages + 3) <= 2, "{messages}: {}", with(messages));
    }
}

#[test]
fn parts_names_and_calls_are_part_of_a_prompt_and_ids_are_not() {
    let request = json!({"model": "m", "user": "u", "messages": [
        {"content": [{"type": "text", "text": "one"}, {"type": "text", "text": " two"}], "name": "Al", "role": "user"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "call_9", "type": "function", "function": {"name": "f", "arguments": "{\"x\":2}"}}]},
        {"role": "tool", "tool_call_id": "call_9", "content": "done"}
    ]});
    let text = text(prompt(&request));
    // The members stand in alphabetical order here.
    assert_eq!(text, "one twoAl<|user|><|assistant|>{\"x\":2}fdone<|tool|><|assistant|>");
}

#[test]
fn a_picture_weighs_the_same_whatever_its_size() {
    let with = |url: String| {
        let parts = json!([{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url, "detail": "high"}}]);
        prompt(&json!({"messages": [{"role": "user", "content": parts}]})).expect("it has text")
    };
    let (small, large) = (with("https://a.example/b.png".to_owned()), with(format!("data:image/png;base64,{}", "A".repeat(1 << 20))));
    assert_eq!(small, large);
    assert_eq!(small.total_bytes, small.text.len() as u64 + MEDIUM_BYTES);
}

#[test]
fn what_is_no_request_has_no_prompt() {
    for body in ["", "[]", "{", "null", "{}", r#"{"messages":[]}"#, r#"{"messages":7}"#, "{\"messages\":\"\u{fffd}", r#"{"tools":[]}"#] {
        assert_eq!(prompt_sample(body.as_bytes()), None, "{body}");
    }
    assert_eq!(prompt_sample(b"{\"messages\":[{\"content\":\"\xff\"}]}"), None);
}

#[test]
fn hostile_bodies_are_read_in_one_go() {
    let nested = format!(r#"{{"messages":{}"x"{}}}"#, "[".repeat(1 << 20), "]".repeat(1 << 20));
    assert_eq!(prompt_sample(nested.as_bytes()), None, "a text without a name says nothing");
    let keys = format!(r#"{{"tools":{}1{}}}"#, r#"{"a" :"#.repeat(1 << 18), "}".repeat(1 << 18));
    let sample = prompt_sample(keys.as_bytes()).expect("keys are part of a definition");
    assert_eq!(sample.text.len(), MAX_PROMPT);
    let quotes = format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, r#"\\\""#.repeat(1 << 20));
    let sample = prompt_sample(quotes.as_bytes()).expect("it has text");
    assert_near(sample.total_bytes, 2 << 20);
}

#[test]
fn a_whole_answer_has_a_sample_too() {
    let message = json!({"role": "assistant", "content": "Hi ", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]});
    let logprobs = json!({"content": [{"token": "Hi", "logprob": -0.1, "bytes": [72]}]});
    let answer =
        json!({"id": "a", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": logprobs}]});
    assert_eq!(text(answer_sample(answer.to_string().as_bytes())), "Hi {}f");
    assert_eq!(answer_sample(b"{}"), None);
    assert_eq!(answer_sample(b"\xff"), None);
}

#[test]
fn half_a_character_at_the_end_is_dropped_and_half_a_pair_replaced() {
    for (inside, text) in [
        (&br"a\"[..], "a"),
        (br"a\u12", "a"),
        (b"a\xc3", "a"),
        (br"\ud83d\ude00", "\u{1F600}"),
        (br"\ud83dx\ude00", "\u{fffd}x\u{fffd}"),
        (br"\ud83d\u0041", "\u{fffd}A"),
        (br"\ud83d\u", "\u{fffd}"),
        (br#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
    ] {
        assert_eq!(unescape(inside), text);
    }
}

proptest! {
    #[test]
    fn unescaping_says_what_json_says(text in "\\PC{0,30}", ascii in any::<bool>()) {
        let mut inside = serde_json::to_string(&text).expect("text is JSON");
        if ascii {
            inside = text.encode_utf16().fold("\"".to_owned(), |inside, unit| format!("{inside}\\u{unit:04x}")) + "\"";
        }
        prop_assert_eq!(unescape(&inside.as_bytes()[1..inside.len() - 1]), text);
    }

    #[test]
    fn a_sample_is_what_the_deltas_say_however_they_are_split(texts in proptest::collection::vec("[a-zé\"\\\\\n]{1,9}", 1..40)) {
        let read = reader(texts.iter().map(|text| json!({"content": text})));
        prop_assert_eq!(text(read.output_sample()), texts.concat());
        let raw = texts.iter().map(|text| json!(text).to_string().len() as u64 - 2).sum::<u64>();
        prop_assert_eq!(read.output_bytes(), raw);
    }

    #[test]
    fn no_body_is_too_odd_for_a_sample(body in "[\\[\\]{}:,\"\\\\a-z ]{0,60}") {
        let wrapped = format!(r#"{{"messages":{body},"tools":{body}}}"#);
        for body in [body, wrapped] {
            let samples = [prompt_sample(body.as_bytes()), answer_sample(body.as_bytes())];
            prop_assert!(samples.into_iter().flatten().all(|sample| !sample.text.is_empty() && sample.total_bytes >= sample.text.len() as u64));
        }
    }
}

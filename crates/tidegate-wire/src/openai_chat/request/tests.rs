use bytes::Bytes;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::Value;

use super::{ChatRequest, RequestFault};

fn parse(body: &str) -> Result<ChatRequest, RequestFault> {
    ChatRequest::parse(Bytes::copy_from_slice(body.as_bytes()))
}

/// A request with a model, messages and `more`.
fn request(more: &str) -> ChatRequest {
    parse(&format!(r#"{{"model":"m","messages":[]{more}}}"#)).expect("it is valid")
}

fn upstream(body: &str, stream: bool) -> String {
    String::from_utf8(parse(body).expect("it is valid").upstream_body("real", stream, None).to_vec()).expect("it is text")
}

fn check_fault(body: &str, expected: &Expect) {
    let fault = parse(body).expect_err("it has a fault");
    expected.assert_eq(&format!("{}: {fault}", fault.param.unwrap_or("-")));
}

#[test]
fn what_the_gateway_asks_of_a_request_is_read_from_it() {
    let full = request(r#","stream":true,"stream_options":{"include_usage":true},"n":3,"max_completion_tokens":70"#);
    assert_eq!((full.model(), full.stream(), full.wants_usage(), full.choices()), ("m", true, true, 3));
    assert_eq!(full.max_output_tokens(), Some(70));
    let bare = request("");
    assert_eq!((bare.stream(), bare.wants_usage(), bare.choices(), bare.max_output_tokens()), (false, false, 1, None));
    let nulls = request(r#","stream":null,"stream_options":null,"n":null,"max_tokens":null"#);
    assert_eq!((nulls.stream(), nulls.wants_usage(), nulls.choices(), nulls.max_output_tokens()), (false, false, 1, None));
    assert_eq!(request(r#","max_tokens":9"#).max_output_tokens(), Some(9), "the old name");
    assert_eq!(request(r#","max_tokens":9,"max_completion_tokens":8"#).max_output_tokens(), Some(8), "the new one wins");
}

#[test]
fn a_wish_to_think_is_seen_in_each_of_its_forms() {
    for wish in [
        r#""reasoning_effort":"medium""#,
        r#""reasoning_effort":"max""#,
        r#""reasoning":{"effort":"high"}"#,
        r#""reasoning":{"max_tokens":2000}"#,
        r#""reasoning":{"enabled":true}"#,
        r#""thinking":{"type":"enabled","budget_tokens":1024}"#,
        r#""thinking":true"#,
        r#""service_tier":"flex""#,
    ] {
        assert!(request(&format!(",{wish}")).asks_for_thinking(), "{wish}");
    }
    for other in [
        r#""reasoning_effort":"low""#,
        r#""reasoning_effort":null"#,
        r#""reasoning":{"effort":"low","exclude":true}"#,
        r#""reasoning":{"enabled":false}"#,
        r#""reasoning":[1]"#,
        r#""thinking":{"type":"disabled"}"#,
        r#""service_tier":"auto""#,
    ] {
        assert!(!request(&format!(",{other}")).asks_for_thinking(), "{other}");
    }
}

#[test]
fn the_provider_gets_every_other_value_byte_for_byte_and_in_order() {
    let body = r#" {"temperature" : 1.0e0, "model":"mine", "messages" : [ {"role":"user","content":"\u00e9\ud83d  é"} ],
        "seed":12345678901234567890, "x\u0041":{"b":1,"a":[ ]}, "stream":true} "#;
    let expected = r#"{"temperature":1.0e0,"model":"real","messages":[ {"role":"user","content":"\u00e9\ud83d  é"} ],"seed":12345678901234567890,"x\u0041":{"b":1,"a":[ ]},"stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(upstream(body, true), expected);
}

#[test]
fn stream_options_are_kept_and_usage_is_always_asked_for() {
    let body = r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":false,"include_obfuscation":false}}"#;
    assert_eq!(
        upstream(body, true),
        r#"{"model":"real","messages":[],"stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}"#
    );
    assert_eq!(upstream(body, false), r#"{"model":"real","messages":[],"stream":false}"#, "they are legal on a stream alone");
    let null = r#"{"model":"m","messages":[],"stream_options":null}"#;
    assert_eq!(upstream(null, true), r#"{"model":"real","messages":[],"stream_options":{"include_usage":true},"stream":true}"#);
    assert_eq!(
        upstream(null, false),
        r#"{"model":"real","messages":[],"stream_options":null}"#,
        "what is wrong stays the provider's to judge"
    );
}

#[test]
fn the_last_of_two_members_counts_for_the_gateway_and_the_provider() {
    let body = r#"{"model":"a","x":1,"\u006dodel":"b","messages":[1],"messages":[2],"x":2,"stream":false,"stream":true}"#;
    let parsed = parse(body).expect("it is valid");
    assert_eq!((parsed.model(), parsed.stream()), ("b", true));
    assert_eq!(
        upstream(body, true),
        r#"{"x":1,"\u006dodel":"real","messages":[2],"x":2,"stream":true,"stream_options":{"include_usage":true}}"#
    );
}

#[test]
fn a_model_name_is_written_as_json_whatever_it_holds() {
    let body = parse(r#"{"model":"m","messages":[]}"#).expect("it is valid").upstream_body("a\"b\\é", false, None);
    assert_eq!(body, r#"{"model":"a\"b\\é","messages":[]}"#);
}

#[test]
fn a_fault_names_the_member_and_the_remedy_and_repeats_nothing() {
    check_fault("", &expect!["-: the body is not valid JSON: see line 1, column 0"]);
    check_fault("{\"model\":\n secret}", &expect!["-: the body is not valid JSON: see line 2, column 2"]);
    check_fault("[\"secret\"]", &expect!["-: the body must be a JSON object"]);
    check_fault("\"secret\"", &expect!["-: the body must be a JSON object"]);
    check_fault("{} {}", &expect!["-: the body is not valid JSON: see line 1, column 4"]);
    check_fault(r#"{"model":"m"}"#, &expect!["messages: `messages` must be a list of messages"]);
    check_fault(r#"{"model":"m","messages":"secret"}"#, &expect!["messages: `messages` must be a list of messages"]);
    check_fault(r#"{"messages":[]}"#, &expect!["model: `model` must be the name of a model, as text"]);
    check_fault(r#"{"messages":[],"model":""}"#, &expect!["model: `model` must be the name of a model, as text"]);
    check_fault(r#"{"messages":[],"model":"a\nb"}"#, &expect!["model: `model` must have at most 256 printable characters"]);
    check_fault(
        &format!(r#"{{"messages":[],"model":"{}"}}"#, "é".repeat(257)),
        &expect!["model: `model` must have at most 256 printable characters"],
    );
    check_fault(r#"{"messages":[],"model":"m","stream":"secret"}"#, &expect!["stream: `stream` must be true or false"]);
    check_fault(r#"{"messages":[],"model":"m","stream_options":[]}"#, &expect!["stream_options: `stream_options` must be an object"]);
    check_fault(
        r#"{"messages":[],"model":"m","stream_options":{"include_usage":1}}"#,
        &expect!["include_usage: `include_usage` must be true or false"],
    );
    check_fault(r#"{"messages":[],"model":"m","n":0}"#, &expect!["n: `n` must be a whole number from 1 to 128"]);
    check_fault(r#"{"messages":[],"model":"m","n":129}"#, &expect!["n: `n` must be a whole number from 1 to 128"]);
    check_fault(r#"{"messages":[],"model":"m","n":1.5}"#, &expect!["n: `n` must be a whole number from 1 to 128"]);
    let many: String = (0..1024).map(|number| format!(",\"{number}\":0")).collect();
    check_fault(
        &format!(r#"{{"messages":[],"model":"m"{many}}}"#),
        &expect!["-: the body has more than 1024 members; no chat request needs that many"],
    );
}

#[test]
fn a_body_that_is_not_utf8_is_refused() {
    let fault = ChatRequest::parse(Bytes::from_static(b"{\"model\":\"\xFF\",\"messages\":[]}")).expect_err("it is Latin-1");
    assert_eq!(fault.message, "the body is not UTF-8; send JSON in UTF-8");
}

#[test]
fn endless_nesting_costs_no_stack() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(request(&format!(",\"x\":{deep}")).choices(), 1);
}

proptest! {
    #[test]
    fn only_the_rewritten_members_differ(values in proptest::collection::btree_map("[a-z]{1,6}", "[ -~é]{0,12}", 0..8), stream in any::<bool>()) {
        let mut sent: serde_json::Map<String, Value> = values.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
        for (key, value) in [("model", "m".into()), ("messages", Value::Array(Vec::new())), ("n", 1.into()), ("stream", true.into())] {
            sent.insert(key.to_owned(), value);
        }
        sent.retain(|key, _| key != "stream_options");
        let body = upstream(&Value::Object(sent.clone()).to_string(), stream);
        sent.insert("model".to_owned(), "real".into());
        sent.insert("stream".to_owned(), stream.into());
        if stream {
            sent.insert("stream_options".to_owned(), serde_json::json!({"include_usage": true}));
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&body).expect("it is JSON"), Value::Object(sent));
    }

    #[test]
    fn no_body_is_too_odd_to_answer(body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _answered = ChatRequest::parse(body.into());
    }
}

#[test]
fn a_bound_of_the_gateway_makes_the_answer_shorter_and_never_longer() {
    let bounded = |model: &str, members: &str, most: u64| {
        let request = parse(&format!(r#"{{"model":"m","messages":[]{members}}}"#)).expect("it is valid");
        String::from_utf8(request.upstream_body(model, false, Some(most)).to_vec()).expect("it is text")
    };
    assert_eq!(bounded("real", "", 9), r#"{"model":"real","messages":[],"max_tokens":9}"#);
    assert_eq!(bounded("o3-mini", "", 9), r#"{"model":"o3-mini","messages":[],"max_completion_tokens":9}"#);
    assert_eq!(bounded("real", r#","max_tokens":5"#, 9), r#"{"model":"real","messages":[],"max_tokens":5}"#);
    assert_eq!(bounded("real", r#","max_completion_tokens":50"#, 9), r#"{"model":"real","messages":[],"max_completion_tokens":9}"#);
}

#[test]
fn a_bound_of_the_gateways_own_is_told_under_the_name_that_the_model_knows() {
    let bounded = request("").bounded(7);
    assert_eq!(bounded.max_output_tokens(), Some(7));
    let upstream = |model, most| String::from_utf8(bounded.upstream_body(model, false, most).to_vec()).expect("it is JSON");
    assert_eq!(upstream("real", None), r#"{"model":"real","messages":[],"max_tokens":7}"#);
    assert_eq!(upstream("o3-mini", Some(9)), r#"{"model":"o3-mini","messages":[],"max_completion_tokens":7}"#);
    assert_eq!(upstream("real", Some(5)), r#"{"model":"real","messages":[],"max_tokens":5}"#);
}

#[test]
fn a_request_is_normalised_to_what_it_asks_and_not_to_how_it_is_written_or_streamed() {
    let normalised = |body: &str| parse(body).expect("it is valid").normalised().expect("it is ordinary");
    let one = normalised(r#"{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":{}}"#);
    assert_eq!(one, normalised(r#" {"messages": [{"content":"x", "role":"user"}], "model":"m"} "#));
    assert_ne!(one, normalised(r#"{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":0}"#));
}

#[test]
fn what_cannot_be_compared_is_not_normalised() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for odd in [r#""\ud800""#, "1e999", &deep, &format!("{:?}", "x".repeat(super::MAX_NORMALISED))] {
        let request = parse(&format!(r#"{{"model":"m","messages":[],"x":{odd}}}"#)).expect("the provider may judge it");
        assert_eq!(request.normalised(), None, "{odd:.20}");
    }
}

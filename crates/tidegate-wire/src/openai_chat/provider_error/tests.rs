use tidegate_core::failure::Failure;

use super::{read_error, read_event};

#[test]
fn the_status_decides_where_the_code_says_nothing() {
    for (status, failure) in [
        (200, Failure::UpstreamMalformed),
        (302, Failure::UpstreamMalformed),
        (400, Failure::UpstreamRejected(400)),
        (401, Failure::UpstreamCredentials),
        (402, Failure::UpstreamCredentials),
        (403, Failure::UpstreamCredentials),
        (404, Failure::UpstreamRejected(404)),
        (408, Failure::UpstreamError),
        (409, Failure::UpstreamRejected(409)),
        (429, Failure::UpstreamRateLimited),
        (500, Failure::UpstreamError),
        (529, Failure::UpstreamError),
        (600, Failure::UpstreamMalformed),
    ] {
        for body in [&b""[..], b"<html>", b"[]", b"null", b"{\"error\":null}", b"{\"error\":{\"code\":null}}"] {
            assert_eq!(read_error(status, body).failure, failure, "{status} {}", String::from_utf8_lossy(body));
        }
    }
}

#[test]
fn a_code_that_knows_better_overrules_a_refusals_status_only() {
    let quota = br#"{"error":{"code":"insufficient_quota"}}"#;
    assert_eq!(read_error(429, quota).failure, Failure::UpstreamCredentials);
    assert_eq!(read_error(503, quota).failure, Failure::UpstreamError, "a server that fails may say anything");
    assert_eq!(read_error(403, br#"{"error":{"type":"rate_limit_error"}}"#).failure, Failure::UpstreamRateLimited);
    assert_eq!(read_error(400, br#"{"error":{"code":500}}"#).failure, Failure::UpstreamRejected(400));
}

#[test]
fn a_reason_is_one_bounded_line_and_only_the_clients_business() {
    let long = format!(r#"{{"error":{{"message":"a\n\u0000\u001bb{}","param":"{}"}}}}"#, "é".repeat(600), "p".repeat(99));
    let error = read_error(422, long.as_bytes());
    let message = error.message.expect("the client has to read it");
    assert!(message.starts_with("a bé"), "{message}");
    assert_eq!(message.chars().count(), 500);
    assert_eq!(error.param.map(|param| param.len()), Some(64));
    assert_eq!(read_error(401, long.as_bytes()).message, None);
    assert_eq!(read_error(500, long.as_bytes()).message, None);
}

#[test]
fn an_error_inside_a_stream_keeps_its_reason_too() {
    let error = read_event(br#"{"error":{"message":"too long","code":"context_length_exceeded","param":"messages"}}"#);
    assert_eq!(error.failure, Failure::ContextTooLong(400));
    assert_eq!((error.message.as_deref(), error.param.as_deref()), (Some("too long"), Some("messages")));
    assert_eq!(read_event(b"not json").failure, Failure::UpstreamError);
}

#[test]
fn a_request_that_is_too_long_for_the_model_is_known_by_its_code_or_by_its_words() {
    let coded = read_error(413, br#"{"error":{"message":"m","code":"Context_Length_Exceeded"}}"#);
    assert_eq!(coded.failure, Failure::ContextTooLong(413));
    let worded = read_error(400, br#"{"object":"error","message":"This model's maximum context length is 8192 tokens.","code":400}"#);
    assert_eq!(worded.failure, Failure::ContextTooLong(400));
    assert_eq!(read_error(503, br#"{"error":{"code":"context_length_exceeded"}}"#).failure, Failure::UpstreamError);
}

use std::time::Duration;

use expect_test::expect;
use tidegate_core::failure::Failure;

use super::{AttemptSummary, ErrorContext, done_event, error_body, error_event};

fn body(failure: Failure, context: &ErrorContext<'_>) -> String {
    String::from_utf8(error_body(failure, context).to_vec()).expect("JSON is text")
}

#[test]
fn an_error_has_the_members_of_the_contract() {
    let attempts =
        [AttemptSummary { n: 1, provider: "a", code: Some("connect_failed") }, AttemptSummary { n: 2, provider: "b", code: None }];
    let context = ErrorContext {
        stream_id: Some("strm_1"),
        partial: true,
        retry_after: Some(Duration::from_secs(2)),
        attempts: &attempts,
        ..ErrorContext::default()
    };
    expect![[r#"{"error":{"message":"the provider's stream ended before the answer was complete","type":"upstream_error","code":"upstream_cut","param":null,"tidegate":{"stream_id":"strm_1","partial":true,"retryable":true,"retry_after_ms":2000,"attempts":[{"n":1,"provider":"a","code":"connect_failed"},{"n":2,"provider":"b","code":null}]}}}"#]].assert_eq(&body(Failure::UpstreamCut, &context));
}

#[test]
fn an_error_before_any_stream_says_null_for_what_is_not_there() {
    expect![[r#"{"error":{"message":"the API key is missing, unknown or revoked","type":"authentication_error","code":"invalid_api_key","param":null,"tidegate":{"stream_id":null,"partial":false,"retryable":false,"retry_after_ms":null,"attempts":[]}}}"#]].assert_eq(&body(Failure::InvalidApiKey, &ErrorContext::default()));
}

#[test]
fn the_providers_reason_is_passed_on_beside_our_code() {
    let context = ErrorContext {
        message: Some("at most \"128000\" tokens"),
        param: Some("messages"),
        provider_code: Some("context_length_exceeded"),
        ..ErrorContext::default()
    };
    expect![[r#"{"error":{"message":"at most \"128000\" tokens","type":"invalid_request_error","code":"upstream_rejected","param":"messages","tidegate":{"stream_id":null,"partial":false,"retryable":false,"retry_after_ms":null,"provider_code":"context_length_exceeded","attempts":[]}}}"#]].assert_eq(&body(Failure::UpstreamRejected(400), &context));
}

#[test]
fn the_providers_code_stays_inside_where_the_client_is_not_to_blame() {
    let context = ErrorContext { provider_code: Some("insufficient_quota"), ..ErrorContext::default() };
    assert!(!body(Failure::UpstreamCredentials, &context).contains("insufficient_quota"));
}

#[test]
fn an_error_event_is_the_error_in_one_data_line() {
    for failure in Failure::ALL {
        let context = ErrorContext { message: Some("two\r\nlines"), ..ErrorContext::default() };
        let event = error_event(*failure, &context);
        let json = event.strip_prefix(b"data: ").and_then(|event| event.strip_suffix(b"\n\n")).expect("it is one event");
        assert_eq!(json, error_body(*failure, &context));
        assert!(!json.contains(&b'\n') && !json.contains(&b'\r'));
    }
}

#[test]
fn the_end_marker_is_what_every_sdk_waits_for() {
    assert_eq!(done_event(), "data: [DONE]\n\n");
}

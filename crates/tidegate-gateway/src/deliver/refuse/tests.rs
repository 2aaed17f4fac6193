use super::*;

#[test]
fn the_answer_to_a_late_head_is_like_every_other_refusal() {
    let text = String::from_utf8(request_timeout()).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains(&format!("content-length: {}", body.len())) && head.contains("x-should-retry: false"), "{head}");
    let error = &serde_json::from_str::<serde_json::Value>(body).expect("JSON")["error"];
    assert_eq!((&error["code"], &error["tidegate"]["partial"]), (&"request_timeout".into(), &false.into()), "{body}");
}

#[test]
fn a_pushback_stays_between_a_second_and_a_minute_and_only_where_waiting_helps() {
    let wait = |failure, seconds| wait_for(failure, Some(Duration::from_secs(seconds)));
    assert_eq!(wait(Failure::UpstreamRateLimited, 7), Some(Duration::from_secs(7)));
    assert_eq!(wait(Failure::UpstreamRateLimited, 86_400), Some(LONGEST_RETRY_AFTER));
    assert_eq!(wait(Failure::UpstreamRateLimited, 0), Some(DEFAULT_RETRY_AFTER));
    assert_eq!(wait(Failure::BudgetExceeded, 7), None);
    assert_eq!(wait(Failure::UpstreamCut, 7), None);
    assert_eq!(wait_for(Failure::GatewayOverloaded, None), Some(DEFAULT_RETRY_AFTER));
}

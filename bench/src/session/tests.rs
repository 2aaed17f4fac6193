use super::*;

#[test]
fn too_much_work_is_told_apart_from_what_is_wrong() {
    let refused = r#"{"type":"ERROR","code":"gateway_overloaded","message":"…","partial":false,"retryable":true,"retryAfterMs":1000}"#;
    let failed =
        r#"{"type":"ERROR","taskId":"task_01","code":"gateway_overloaded","message":"…","partial":false,"retryable":true,"seq":2}"#;
    let limited = r#"{"type":"RATE_LIMITED","queueDepth":16,"retryAfterMs":1000,"seq":34}"#;
    assert_eq!([refused, failed, limited].map(|text| meaning(text).ok()), [Some(Said::Refused), Some(Said::Failed), Some(Said::Refused)]);
    assert!(meaning(r#"{"type":"ERROR","taskId":"task_01","code":"upstream_cut","message":"…"}"#).is_err());
}

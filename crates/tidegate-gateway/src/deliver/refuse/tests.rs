use super::*;

#[test]
fn the_raw_request_timeout_announces_its_own_length() {
    let text = std::str::from_utf8(REQUEST_TIMEOUT).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let announced: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length").parse().expect("a number");
    assert_eq!(announced, body.len());
    assert!(body.contains(Failure::RequestTimeout.code()) && body.contains(Failure::RequestTimeout.facts().message));
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

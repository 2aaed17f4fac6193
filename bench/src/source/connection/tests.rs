use super::*;

fn parse(request: &str) -> Option<Asks> {
    Request::parse(request.as_bytes()).unwrap()
}

#[test]
fn a_request_is_taken_when_its_body_is_whole_and_not_before() {
    let request = "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 40\r\n\r\n{\"stream\":true, \"model\": \"flat,events=3\"}";
    assert!(parse(&request[..request.len() - 2]).is_none());
    let Some(Asks::Answer { spec, usage: false }) = parse(request) else { panic!("not an answer") };
    assert_eq!(spec, Spec { events: 3, ..Spec::endless(Mode::Flat) });
}

#[test]
fn a_count_is_asked_for_since_a_time() {
    assert!(matches!(parse("GET /count/17 HTTP/1.1\r\n\r\n"), Some(Asks::Count { since: 17 })));
}

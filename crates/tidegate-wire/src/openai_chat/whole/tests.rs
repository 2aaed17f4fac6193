use tidegate_core::event::EventKind;
use tidegate_core::failure::Failure;

use super::read_whole;

#[test]
fn an_answer_is_complete_whatever_white_space_keeps_it_alive() {
    let facts = read_whole(b"\n \r\n\t{\"choices\":[{\"message\":{\"content\":\"a\"}}],\"usage\":{\"completion_tokens\":3}}\n");
    assert_eq!((facts.kind, facts.has_output, facts.proves_end, facts.failure), (EventKind::Completion, true, true, None));
    assert_eq!(facts.usage.and_then(|usage| usage.output_tokens), Some(3));
}

#[test]
fn a_success_without_an_answer_in_it_is_a_failure() {
    for (body, failure) in [
        (&b""[..], Failure::UpstreamMalformed),
        (b"<html>", Failure::UpstreamMalformed),
        (b"{}", Failure::UpstreamMalformed),
        (b"{\"choices\":null}", Failure::UpstreamMalformed),
        (b"{\"choices\":[{\"message\":{\"content\":\"\xFF\"}}]}", Failure::UpstreamMalformed),
        (b"{\"error\":{\"code\":\"content_filter\"}}", Failure::ContentBlocked),
        (b"{\"object\":\"error\",\"code\":429}", Failure::UpstreamRateLimited),
    ] {
        assert_eq!(read_whole(body).failure, Some(failure), "{}", String::from_utf8_lossy(body));
    }
}

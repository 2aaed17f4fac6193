use super::*;

fn head(text: &str) -> Result<Option<AnswerHead>, String> {
    parse_head(&mut BytesMut::from(text.as_bytes())).map_err(|error| error.to_string())
}

fn framing(text: &str) -> Result<(bool, bool, bool), String> {
    let head = head(text)?.ok_or("incomplete")?;
    let (framing, keep_alive) = framing_of(&head).map_err(|error| error.to_string())?;
    Ok((framing.is_done(), framing.may_close(), keep_alive))
}

#[test]
fn a_head_is_taken_once_it_is_whole_and_the_rest_stays() {
    let mut bytes = BytesMut::from(&b"HTTP/1.1 200 OK\r\nA: 1\r\n\r"[..]);
    assert!(parse_head(&mut bytes).expect("valid so far").is_none());
    bytes.extend_from_slice(b"\nrest");
    let head = parse_head(&mut bytes).expect("valid").expect("whole");
    assert_eq!((head.status, &bytes[..]), (200, &b"rest"[..]));
}

#[test]
fn a_head_that_can_be_read_in_two_ways_is_refused() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert!(framing(text).is_err(), "{text}");
    }
    assert!(head("ICY 200 OK\r\n\r\n").is_err());
}

#[test]
fn the_connection_is_kept_only_behind_a_body_with_a_known_end() {
    assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), Ok((false, false, true)));
    assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, Close\r\n\r\n"), Ok((false, false, false)));
    assert_eq!(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"), Ok((false, false, true)));
    assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n"), Ok((false, true, false)));
    assert_eq!(framing("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n"), Ok((false, false, false)));
    assert_eq!(framing("HTTP/1.1 204 No Content\r\n\r\n"), Ok((true, true, true)));
}

use tokio::io::AsyncReadExt;

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

/// Sends a request of 16 MiB to a provider that says `early` at once and then reads `most` bytes.
async fn send_to(early: &'static [u8], most: u64) -> (Io, BytesMut, Result<Option<AnswerHead>, H1Error>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let tcp = tokio::net::TcpStream::connect(listener.local_addr().expect("its address")).await.expect("a connection");
    let (mut provider, _) = listener.accept().await.expect("the other end");
    tokio::spawn(async move {
        provider.write_all(early).await.expect("it is read");
        drop(tokio::io::copy(&mut (&mut provider).take(most), &mut tokio::io::sink()).await);
        std::future::pending::<()>().await;
    });
    let (mut io, mut rest) = (Io::Plain(tcp), BytesMut::new());
    let body = Bytes::from(vec![b'x'; 16 << 20]);
    let sent = tokio::time::timeout(std::time::Duration::from_secs(20), send(&mut io, Bytes::from_static(b"head"), body, &mut rest));
    let sent = sent.await.expect("no deadlock");
    (io, rest, sent)
}

#[tokio::test]
async fn an_answer_that_is_no_refusal_waits_until_the_request_is_sent() {
    let early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let (mut io, mut rest, sent) = send_to(early, u64::MAX).await;
    assert!(matches!(sent, Ok(None)), "{sent:?}");
    let head = read_head(&mut io, &mut rest).await.expect("it was kept");
    assert_eq!((head.status, &rest[..]), (200, &b"{}"[..]));
}

#[tokio::test]
async fn a_refusal_ends_a_request_that_the_provider_does_not_take() {
    let early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}";
    let (_, rest, sent) = send_to(early, 1000).await;
    assert_eq!(sent.expect("a refusal").map(|head| head.status), Some(400));
    assert_eq!(&rest[..], b"{}");
}

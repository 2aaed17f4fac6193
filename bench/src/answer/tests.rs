use super::*;

const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n00A;x=y\r\n, the tide\r\n0\r\nTrailer: 1\r\n\r\n";
const COUNTED: &[u8] = b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy";

fn read(answer: &[u8], size: usize) -> (AnswerReader, Vec<u8>) {
    let mut reader = AnswerReader::default();
    let mut body = Vec::new();
    for piece in answer.chunks(size) {
        reader.feed(piece, |bytes| body.extend_from_slice(bytes)).unwrap();
    }
    (reader, body)
}

#[test]
fn a_body_is_the_same_however_the_bytes_are_cut() {
    for size in 1..=CHUNKED.len() {
        let (reader, body) = read(CHUNKED, size);
        assert_eq!((reader.status(), reader.is_complete(), &*body), (200, true, &b"hello, the tide"[..]), "pieces of {size}");
        let (reader, body) = read(COUNTED, size);
        assert_eq!((reader.status(), reader.is_complete(), &*body), (503, true, &b"busy"[..]), "pieces of {size}");
    }
}

#[test]
fn an_answer_without_its_last_chunk_is_not_complete() {
    let (reader, body) = read(&CHUNKED[..CHUNKED.len() - 17], 7);
    assert!(!reader.is_complete());
    assert_eq!(body, b"hello, the tide");
}

#[test]
fn a_chunk_that_is_longer_than_it_says_is_refused() {
    let mut reader = AnswerReader::default();
    assert!(reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n", |_| {}).is_err());
}

use super::*;

/// Feeds `input` in pieces of `step` bytes; answers the body, whether it is done, and the bytes after its end.
fn run(mut framing: Framing, input: &[u8], step: usize) -> Result<(Vec<u8>, bool, usize), BadFraming> {
    let mut body = BytesMut::new();
    let mut taken = 0;
    for piece in input.chunks(step) {
        let count = framing.feed(piece, &mut body)?;
        taken += count;
        if count < piece.len() {
            break;
        }
    }
    Ok((body.to_vec(), framing.is_done(), input.len() - taken))
}

#[test]
fn a_chunked_body_reads_the_same_however_its_bytes_are_split() {
    let input = b"5\r\nhello\r\nA;ext=\"1\"\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\nNEXT";
    for step in 1..=input.len() {
        assert_eq!(run(Framing::chunked(), input, step), Ok((b"hello0123456789".to_vec(), true, 4)), "pieces of {step}");
    }
}

#[test]
fn a_body_of_known_length_ends_there_and_leaves_the_rest() {
    for step in 1..8 {
        assert_eq!(run(Framing::length(5), b"helloNEXT", step), Ok((b"hello".to_vec(), true, 4)));
    }
    assert_eq!(run(Framing::length(9), b"hello", 2), Ok((b"hello".to_vec(), false, 0)));
    assert!(Framing::length(0).is_done());
}

#[test]
fn only_a_body_without_a_length_may_end_with_its_connection() {
    assert!(Framing::until_close().may_close());
    assert!(!Framing::chunked().may_close());
    assert!(!Framing::length(1).may_close());
}

#[test]
fn broken_framing_is_refused_and_never_guessed() {
    let cases: &[&[u8]] = &[
        b"\r\nhello",
        b"x\r\nhello\r\n",
        b"-1\r\n",
        b"5\nhello\r\n",
        b"5\r\nhelloX\r\n",
        b"fffffffffffffffff\r\n",
        b"0x5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
    ];
    for input in cases {
        for step in [1, input.len()] {
            assert_eq!(run(Framing::chunked(), input, step), Err(BadFraming), "{:?}", String::from_utf8_lossy(input));
        }
    }
    assert_eq!(run(Framing::chunked(), &[b'1'; 9000], 100), Err(BadFraming));
}

#[test]
fn a_line_is_too_long_at_the_same_length_however_its_bytes_are_split() {
    for (length, is_read) in [(MAX_LINE, true), (MAX_LINE + 1, false)] {
        let extension = "x".repeat(length - "5;\r".len());
        let input = format!("5;{extension}\r\nhello\r\n0\r\n\r\n");
        for step in [1, 1000, MAX_LINE, input.len()] {
            let body = run(Framing::chunked(), input.as_bytes(), step);
            assert_eq!(body.is_ok_and(|(body, is_done, _)| is_done && body == b"hello"), is_read, "{length} bytes in pieces of {step}");
        }
    }
}

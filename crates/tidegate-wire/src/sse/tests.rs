use std::borrow::Cow;

use bytes::Bytes;

use super::{RawEvent, Run, Scanner, TooLong, write_event};

mod properties;

const MAX: usize = 1 << 16;

/// The events of a body that arrives in these pieces, a last unfinished one included.
fn scan(pieces: &[&[u8]]) -> Vec<RawEvent> {
    let mut scanner = Scanner::new(MAX);
    let mut events = Vec::new();
    for piece in pieces {
        scanner.push(Bytes::copy_from_slice(piece));
        while let Some(event) = scanner.next().expect("no event is too long") {
            events.push(event);
        }
    }
    events.extend(scanner.finish());
    assert!(scanner.is_empty());
    events
}

/// The data of those that a parser dispatches, as text.
fn data(pieces: &[&str]) -> Vec<String> {
    let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
    scan(&pieces).iter().filter(|event| event.has_data()).map(|event| String::from_utf8_lossy(&event.data()).into_owned()).collect()
}

fn raw(pieces: &[&[u8]]) -> Vec<String> {
    scan(pieces).iter().map(|event| String::from_utf8_lossy(event.bytes()).into_owned()).collect()
}

#[test]
fn the_standards_examples_give_the_standards_events() {
    assert_eq!(data(&["data: a\ndata: b\n\n"]), ["a\nb"]);
    assert_eq!(data(&["data\n\ndata\ndata\n\n"]), ["", "\n"]);
    assert_eq!(data(&["data:x\n\n", "data:  x\n\n"]), ["x", " x"]);
    assert_eq!(data(&["id: 7\n\n"]), [""; 0]);
    assert_eq!(data(&["id: a\0b\ndata: x\n\n"]), ["x"]);
    assert_eq!(data(&[": ka\r\n\r\ndata: y\r\n\r\n"]), ["y"]);
    assert_eq!(data(&["Data: x\ndatax: y\n\n"]), [""; 0], "names are case-sensitive and whole");
    assert_eq!(data(&["data: a:b: c\n\n"]), ["a:b: c"], "the first colon alone separates");
}

#[test]
fn the_last_event_line_names_the_type() {
    let events = scan(&[b"event: a\nevent:b\ndata: x\n\n", b"data: y\n\n", b"event\ndata: z\n\n"]);
    assert_eq!(events.iter().map(RawEvent::event_type).collect::<Vec<_>>(), [Some(&b"b"[..]), None, Some(&b""[..])]);
}

#[test]
fn every_byte_of_an_event_stays_as_it_came() {
    let came: &[u8] = b": hello\n\nevent: a\r\nx: y\r\ndata:{\"a\":\xFF}\r\n\r\n\n\r\ndata: [DONE]\n\n";
    let events = raw(&[came]);
    assert_eq!(events.len(), 5, "{events:?}");
    assert_eq!(scan(&[came]).iter().flat_map(RawEvent::bytes).copied().collect::<Vec<u8>>(), came);
}

#[test]
fn a_byte_order_mark_is_dropped_once_at_the_start() {
    assert_eq!(raw(&[b"\xEF\xBB\xBFdata: x\n\n"]), ["data: x\n\n"]);
    assert_eq!(raw(&[b"\xEF", b"\xBB", b"\xBF", b"data: x\n\n"]), ["data: x\n\n"]);
    assert_eq!(data(&["\u{feff}\u{feff}data: x\n\n", "\u{feff}data: y\n\n"]), [""; 0], "a second one is part of a field's name");
}

#[test]
fn a_bare_cr_becomes_a_line_feed_and_delays_nothing() {
    assert_eq!(raw(&[b"data: a\rdata: b\r\rdata: c\r\r"]), ["data: a\ndata: b\n\n", "data: c\n\n"]);
    let mut scanner = Scanner::new(MAX);
    scanner.push(Bytes::from_static(b"data: [DONE]\r\r"));
    let event = scanner.next().unwrap().expect("it is whole, though an LF may follow");
    assert_eq!(event.data(), &b"[DONE]"[..]);
    assert!(scanner.is_empty());
    scanner.push(Bytes::from_static(b"\n"));
    assert!(scanner.next().unwrap().is_none(), "that LF was the event's");
}

#[test]
fn a_crlf_cut_in_two_is_still_one_line_end() {
    assert_eq!(raw(&[b"data: a\r", b"\ndata: b\r\n\r", b"\ndata: c\r\n", b"\r\n"]), ["data: a\r\ndata: b\r\n\r\n", "data: c\r\n\r\n"]);
    assert_eq!(raw(&[b"data: a\n\r", b"\ndata: b\n\n"]), ["data: a\n\r\n", "data: b\n\n"]);
}

#[test]
fn a_last_event_without_its_blank_line_is_completed() {
    for (came, whole) in [
        ("data: [DONE]", "data: [DONE]\n\n"),
        ("data: [DONE]\n", "data: [DONE]\n\n"),
        ("data: [DONE]\r", "data: [DONE]\r\n\n"),
        ("data: [DONE]\r\n\r", "data: [DONE]\r\n\r\n"),
    ] {
        let events = scan(&[came.as_bytes()]);
        assert_eq!(events[0].bytes(), whole.as_bytes());
        assert!(events[0].is_unfinished());
        assert_eq!(events[0].data(), &b"[DONE]"[..]);
    }
    assert!(raw(&[b": bye"]).is_empty());
    assert!(raw(&[b" \t "]).is_empty());
    assert!(raw(&[b"id: 4\nevent: x"]).is_empty());
    assert!(!scan(&[b"data: x\n\n"])[0].is_unfinished());
}

#[test]
fn an_event_without_end_is_refused_at_the_bound() {
    let mut scanner = Scanner::new(8);
    scanner.push(Bytes::from_static(b"data: 12"));
    assert!(scanner.next().unwrap().is_none());
    scanner.push(Bytes::from_static(b"3"));
    assert_eq!(scanner.next().unwrap_err(), TooLong);

    let mut whole = Scanner::new(8);
    whole.push(Bytes::from_static(b"data\n\ndata: 123\n\n"));
    assert!(whole.next().unwrap().is_some());
    assert_eq!(whole.next().unwrap_err(), TooLong, "it is too long even though its end is there");

    let mut comment = Scanner::new(8);
    for _ in 0..9 {
        comment.push(Bytes::from_static(b":"));
    }
    assert_eq!(comment.next().unwrap_err(), TooLong);
}

#[test]
fn comments_and_fields_without_data_are_told_apart() {
    let events = scan(&[b": ka\n\n\nretry: 3\n\nfoo\n\ndata: x\n: y\n\n"]);
    assert_eq!(events.iter().map(RawEvent::is_comment).collect::<Vec<_>>(), [true, true, false, false, false]);
    assert_eq!(events.iter().map(RawEvent::has_data).collect::<Vec<_>>(), [false, false, false, false, true]);
}

#[test]
fn positions_are_taken_out_and_nothing_else_is() {
    let without = |came: &'static [u8]| scan(&[came]).remove(0).without_position();
    let event = without(b"id: 7\r\nevent: x\r\nretry: 20\r\ndata: a\r\ndata: b\r\n\r\n");
    assert_eq!(event.bytes(), b"event: x\ndata: a\ndata: b\n\n");
    assert_eq!((event.data(), event.event_type()), (Cow::Borrowed(&b"a\nb"[..]), Some(&b"x"[..])));
    assert_eq!(without(b"ideal: 7\r\ndata: a\r\n\r\n").bytes(), b"ideal: 7\r\ndata: a\r\n\r\n");
}

#[test]
fn neighbours_of_one_read_leave_in_one_piece_without_a_copy() {
    let block = Bytes::from(b"data: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\ndata: ".to_vec());
    let mut scanner = Scanner::new(MAX);
    scanner.push(block.clone());
    let mut run = Run::new();
    let mut pieces = Vec::new();
    for number in 1..=4 {
        let event = scanner.next().unwrap().expect("four are whole");
        if number != 2 {
            pieces.extend(run.push(event));
        }
    }
    pieces.extend(run.take());
    assert_eq!(pieces, [&b"data: 1\n\n"[..], b"data: 3\n\ndata: 4\n\n"]);
    assert_eq!(pieces[1].as_ptr(), block[18..].as_ptr(), "it is the block's own memory");
    assert!(run.is_empty() && run.take().is_none());
}

#[test]
fn a_half_event_is_joined_with_its_rest_and_its_neighbours() {
    let mut scanner = Scanner::new(MAX);
    scanner.push(Bytes::from_static(b"data: 1\n\nda"));
    let mut run = Run::new();
    assert!(run.push(scanner.next().unwrap().expect("one is whole")).is_none());
    assert!(scanner.next().unwrap().is_none());
    assert!(!scanner.is_empty());
    scanner.push(Bytes::from_static(b"ta: 2\n\ndata: 3\n\n"));
    let first = run.push(scanner.next().unwrap().expect("its rest has come"));
    assert_eq!(first.as_deref(), Some(&b"data: 1\n\n"[..]));
    assert!(run.push(scanner.next().unwrap().expect("another came along")).is_none());
    assert_eq!(run.len(), 18);
    assert!(scanner.is_empty());
}

#[test]
fn written_events_are_read_back_as_they_were() {
    let mut out = Vec::new();
    write_event(&mut out, Some("error"), b"{\"a\":1}");
    write_event(&mut out, None, b"two\r\nlines\n");
    assert_eq!(out, b"event: error\ndata: {\"a\":1}\n\ndata: two\ndata: lines\ndata: \n\n");
    assert_eq!(scan(&[&out]).iter().map(|event| event.data().into_owned()).collect::<Vec<_>>(), [&b"{\"a\":1}"[..], b"two\nlines\n"]);
}

//! Whatever the bytes and their splits, the events are the same, and an independent parser agrees.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sse_stream::{Sse, SseByteStream};

use super::super::{RawEvent, Run, Scanner};
use super::{MAX, scan};

/// Line after line with every kind of end; often enough they make events.
fn body(ends: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => Just(String::new()),
        4 => "[a-c {}\":]{0,8}".prop_map(|text| format!("data: {text}")),
        1 => "[a-c :]{0,8}".prop_map(|text| format!("data:{text}")),
        1 => Just("data".to_owned()),
        1 => "[a-c :]{0,8}".prop_map(|text| format!("event: {text}")),
        1 => "[0-9]{0,3}".prop_map(|text| format!("id: {text}")),
        1 => "[a-c :]{0,8}".prop_map(|text| format!(": {text}")),
        1 => "[a-z:é]{0,8}",
    ];
    let lines = vec((line, select(ends)), 0..24);
    (any::<bool>(), lines).prop_map(|(bom, lines)| {
        let start = if bom { "\u{feff}" } else { "" };
        lines.into_iter().fold(start.to_owned(), |text, (line, end)| text + &line + end).into_bytes()
    })
}

const LF_AND_CRLF: &[&str] = &["\n", "\n", "\r\n"];
const ALL_ENDS: &[&str] = &["\n", "\r", "\r\n"];

fn split<'a>(body: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    cuts.extend([0, body.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

fn bytes_of(events: &[RawEvent]) -> Vec<u8> {
    events.iter().flat_map(RawEvent::bytes).copied().collect()
}

fn with_line_feeds(text: &[u8]) -> String {
    String::from_utf8_lossy(text).replace("\r\n", "\n").replace('\r', "\n")
}

fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

/// What another parser makes of it: type and data of each event that has data.
fn oracle(body: &[u8]) -> Vec<(Option<String>, String)> {
    let pieces = stream::iter([Ok::<_, Infallible>(Bytes::copy_from_slice(body))]);
    let events: Vec<Sse> =
        SseByteStream::new(pieces).map(|event| event.expect("it is UTF-8")).collect().now_or_never().expect("it never waits");
    events.into_iter().filter_map(|event| Some((event.event, event.data?))).collect()
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same_events(body in body(ALL_ENDS), cuts in vec(any::<Index>(), 0..12)) {
        let (whole, split) = (scan(&[&body]), scan(&split(&body, &cuts)));
        let bytes = |events: &[RawEvent]| events.iter().map(|event| event.bytes().to_vec()).collect::<Vec<_>>();
        prop_assert_eq!(bytes(&whole), bytes(&split));
    }

    #[test]
    fn single_bytes_give_the_same_events(body in body(ALL_ENDS)) {
        let single: Vec<&[u8]> = body.chunks(1).collect();
        prop_assert_eq!(bytes_of(&scan(&[&body])), bytes_of(&scan(&single)));
    }

    #[test]
    fn all_events_together_are_the_body(body in body(LF_AND_CRLF), cuts in vec(any::<Index>(), 0..12)) {
        let events = scan(&split(&body, &cuts));
        let unfinished = events.last().is_some_and(RawEvent::is_unfinished);
        let (came, seen) = (without_bom(&body), bytes_of(&events));
        if unfinished {
            prop_assert!(seen.starts_with(came));
        } else {
            prop_assert!(came.starts_with(&seen));
            let (rest, lost) = (&came[seen.len()..], scan(&[&came[seen.len()..]]));
            prop_assert!(lost.is_empty(), "{:?} carried data", rest);
        }
    }

    #[test]
    fn bare_carriage_returns_change_nothing_but_line_ends(body in body(ALL_ENDS), cuts in vec(any::<Index>(), 0..12)) {
        let events = scan(&split(&body, &cuts));
        let (came, seen) = (with_line_feeds(without_bom(&body)), with_line_feeds(&bytes_of(&events)));
        prop_assert!(came.starts_with(seen.trim_end_matches('\n')), "{:?} is not the beginning of {:?}", seen, came);
    }

    #[test]
    fn an_independent_parser_sees_the_same_events(body in body(ALL_ENDS)) {
        let events = scan(&[&body]);
        let finished = events.iter().filter(|event| event.has_data() && !event.is_unfinished());
        let ours: Vec<_> = finished
            .map(|event| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                (event.event_type().map(text), text(&event.data()))
            })
            .collect();
        let theirs = oracle(&body);
        // At the very end of a body we take a CR for a blank line where the other parser waits for more, or the other way round.
        let agreed = ours.len().min(theirs.len());
        prop_assert!(ours.len().abs_diff(theirs.len()) <= usize::from(body.ends_with(b"\r")));
        prop_assert_eq!(&ours[..agreed], &theirs[..agreed]);
    }

    #[test]
    fn forwarded_runs_are_the_events_in_order(body in body(ALL_ENDS), cuts in vec(any::<Index>(), 0..12), skip in any::<Index>()) {
        let (mut scanner, mut run) = (Scanner::new(MAX), Run::new());
        let (mut sent, mut expected, mut number) = (Vec::new(), Vec::new(), 0);
        for piece in split(&body, &cuts) {
            scanner.push(Bytes::copy_from_slice(piece));
            while let Some(event) = scanner.next().expect("no event is too long") {
                number += 1;
                if number % (skip.index(5) + 2) != 0 {
                    expected.extend_from_slice(event.bytes());
                    sent.extend(run.push(event));
                }
            }
        }
        sent.extend(run.take());
        prop_assert_eq!(sent.concat(), expected);
    }

    #[test]
    fn arbitrary_bytes_never_lose_their_way(body in vec(any::<u8>(), 0..200), cuts in vec(any::<Index>(), 0..6)) {
        prop_assert_eq!(bytes_of(&scan(&[&body])), bytes_of(&scan(&split(&body, &cuts))));
    }
}

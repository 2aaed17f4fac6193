//! However a body is cut into reads, its events are the same, and a run of them is their bytes.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidegate_wire::sse::{Run, Scanner};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, body) = input;
    let whole = scan(body.chunks(body.len().max(1)));
    let pieces = scan(body.chunks(usize::from(piece).max(1)));
    assert_eq!(whole, pieces);
});

fn scan<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let (mut scanner, mut run) = (Scanner::new(usize::MAX), Run::new());
    let (mut events, mut sent) = (Vec::new(), Vec::new());
    for piece in pieces {
        scanner.push(Bytes::copy_from_slice(piece));
        while let Some(event) = scanner.next().expect("there is no bound") {
            let _ = (event.data(), event.event_type());
            assert!(event.clone().without_position().data() == event.data());
            events.push(event.bytes().to_vec());
            sent.extend(run.push(event));
        }
    }
    sent.extend(run.take());
    assert_eq!(sent.concat(), events.concat());
    events.extend(scanner.finish().map(|event| event.bytes().to_vec()));
    assert!(scanner.is_empty());
    events
}

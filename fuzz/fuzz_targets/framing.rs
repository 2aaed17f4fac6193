//! However the body of a provider's HTTP/1.1 answer is cut into reads, it is the same, it ends in the same place, and it is never longer than what came.
#![no_main]

// The file alone: the crate around it has a database and three C libraries in it, which a fuzzer would build with every run.
#[allow(dead_code, reason = "a part of it is for the gateway alone")]
#[path = "../../crates/tidegate-gateway/src/attempt/framing.rs"]
mod framing;

use bytes::BytesMut;
use framing::{BadFraming, Framing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Option<u16>, &[u8])| {
    let (piece, length, bytes) = input;
    let start = || length.map_or_else(Framing::chunked, |length| Framing::length(length.into()));
    let whole = read(start(), bytes.chunks(bytes.len().max(1)));
    let pieces = read(start(), bytes.chunks(usize::from(piece).max(1)));
    assert_eq!(whole, pieces);
    if let Ok((body, taken, is_done)) = whole {
        assert!(body.len() <= taken && taken <= bytes.len());
        assert!(is_done || taken == bytes.len());
        if let Some(length) = length {
            assert_eq!(body, bytes[..bytes.len().min(length.into())]);
        }
    }
});

/// The body, how many bytes belonged to it, and whether it is complete.
fn read<'a>(mut framing: Framing, pieces: impl Iterator<Item = &'a [u8]>) -> Result<(Vec<u8>, usize, bool), BadFraming> {
    let (mut body, mut taken) = (BytesMut::new(), 0);
    for piece in pieces {
        let count = framing.feed(piece, &mut body)?;
        taken += count;
        if count < piece.len() {
            break;
        }
    }
    Ok((body.to_vec(), taken, framing.is_done()))
}

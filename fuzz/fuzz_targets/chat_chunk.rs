//! Any body of a chat stream is read without a panic, and what is assembled from it is JSON.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidegate_wire::openai_chat::{Assembler, ChatReader};
use tidegate_wire::sse::Scanner;

fuzz_target!(|body: &[u8]| {
    let (mut scanner, mut reader, mut assembler) = (Scanner::new(1 << 20), ChatReader::new(1, false), Assembler::new());
    scanner.push(Bytes::copy_from_slice(body));
    while let Ok(Some(event)) = scanner.next() {
        if reader.read(&event).failure.is_none() {
            assembler.add(&event);
        }
    }
    if let Some(event) = scanner.finish() {
        reader.read(&event);
    }
    let whole = assembler.finish();
    assert!(serde_json::from_slice::<&serde_json::value::RawValue>(&whole).is_ok());
});

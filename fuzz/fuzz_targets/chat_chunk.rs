//! Any body of a chat stream is read without a panic, an event means the same whatever came before it, and what is assembled is JSON.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidegate_wire::openai_chat::{Assembler, ChatReader};
use tidegate_wire::sse::Scanner;

/// More than can finish, so that no end is proved by finish reasons, which do depend on what came before.
const CHOICES: u32 = 1000;

fuzz_target!(|body: &[u8]| {
    let (mut scanner, mut reader, mut assembler) = (Scanner::new(1 << 20), ChatReader::new(CHOICES, false), Assembler::new());
    scanner.push(Bytes::copy_from_slice(body));
    while let Ok(Some(event)) = scanner.next() {
        let facts = reader.read(&event);
        assert_eq!(facts, ChatReader::new(CHOICES, false).read(&event));
        assembler.add(&event);
        if facts.proves_end {
            break;
        }
    }
    if let Some(event) = scanner.finish() {
        reader.read(&event);
    }
    let whole = assembler.finish();
    assert!(serde_json::from_slice::<&serde_json::value::RawValue>(&whole).is_ok());
});

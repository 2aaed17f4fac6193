//! Any body has a sample of its text, or none; any whole answer is replayed as a stream that says the same, or not at all.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidegate_wire::openai_chat::{ChatReader, answer_sample, marked, may_serve_again, prompt_sample, replay};
use tidegate_wire::sse::Scanner;

fuzz_target!(|body: &[u8]| {
    for sample in [prompt_sample(body), answer_sample(body)].into_iter().flatten() {
        assert!(!sample.text.is_empty() && sample.total_bytes > 0);
    }
    let _either_way = may_serve_again(body);
    let Some(stream) = replay(&marked(body, "cached")) else { return };
    let mut scanner = Scanner::new(usize::MAX);
    scanner.push(Bytes::clone(&stream));
    let mut reader = ChatReader::new(1, true);
    while let Ok(Some(event)) = scanner.next() {
        reader.read(&event);
    }
    assert!(reader.end_is_proved(), "the end marker is always written");
});

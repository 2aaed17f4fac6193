//! Any whole answer or refusal has a reading.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_core::event::EventKind;
use tidegate_wire::openai_chat::{read_error, read_error_event, read_whole};

fuzz_target!(|input: (u16, &[u8])| {
    let (status, body) = input;
    let facts = read_whole(body);
    assert_eq!(facts.failure.is_some(), facts.kind == EventKind::Error);
    for error in [read_error(status, body), read_error_event(body)] {
        assert!(error.message.is_none_or(|message| message.chars().count() <= 500 && !message.chars().any(char::is_control)));
    }
});

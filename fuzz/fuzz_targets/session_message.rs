//! Any frame of a session is a message or a fault that repeats nothing of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_wire::session;

fuzz_target!(|frame: &[u8]| {
    if let Err(fault) = session::read(frame) {
        assert!(fault.message.len() < 1024);
    }
});

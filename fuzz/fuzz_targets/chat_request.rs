//! Any request is refused or written for a provider as JSON that reads the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidegate_wire::openai_chat::ChatRequest;

fuzz_target!(|body: &[u8]| {
    let Ok(request) = ChatRequest::parse(Bytes::copy_from_slice(body)) else { return };
    for stream in [false, true] {
        let again = ChatRequest::parse(request.upstream_body("real", stream, None)).expect("what is written can be read");
        assert_eq!((again.model(), again.choices()), ("real", request.choices()));
        assert_eq!((again.stream(), again.asks_for_thinking()), (stream, request.asks_for_thinking()));
        assert_eq!(again.max_output_tokens(), request.max_output_tokens());
        assert!(!stream || again.wants_usage());
    }
});

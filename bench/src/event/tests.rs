use super::*;

#[test]
fn stamps_are_found_however_the_bytes_are_cut() {
    let mut event = EventBytes::new(42);
    let mut body = event.stamped(1_000_000_007).to_vec();
    body.extend_from_slice(event.stamped(2_000_000_011));
    let expected = [Stamps { received: 42, written: 1_000_000_007 }, Stamps { received: 42, written: 2_000_000_011 }];
    for size in 1..body.len() {
        let mut found = Vec::new();
        let mut scanner = StampScanner::default();
        body.chunks(size).for_each(|piece| scanner.feed(piece, &mut |stamps| found.push(stamps)));
        assert_eq!(found, expected, "pieces of {size} bytes");
    }
}

#[test]
fn an_event_is_about_as_long_as_a_chunk_of_a_real_provider() {
    let length = EventBytes::new(0).stamped(0).len();
    assert!((280..=340).contains(&length), "{length} bytes");
}

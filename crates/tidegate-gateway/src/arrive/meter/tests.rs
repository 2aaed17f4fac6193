use super::*;

/// Hands over `bytes` with `output_events` in them, of which the socket takes `taken`.
fn give(meter: &Arc<Meter>, bytes: &'static [u8], output_events: u64, taken: usize) -> Handed {
    let mut handed = meter.hand(Piece { bytes: Bytes::from_static(bytes), output_events });
    handed.advance(taken);
    handed
}

#[test]
fn a_client_has_begun_to_get_its_answer_from_the_first_output_that_its_socket_takes_to_the_last() {
    let meter = Arc::new(Meter::default());
    for answer in ["the first", "the next on the same connection"] {
        meter.arrived();
        meter.begin();
        assert!(!meter.has_begun_to_give(), "{answer}: nothing of it is there");
        give(&meter, b": keepalive\n\n", 0, 13);
        assert!(!meter.has_begun_to_give(), "{answer}: a comment is no output");
        let mut waits = give(&meter, b"data: {}\n\n", 1, 0);
        assert!(!meter.has_begun_to_give(), "{answer}: it still waits for the socket");
        waits.advance(1);
        assert!(meter.has_begun_to_give(), "{answer}: its beginning was taken");
        waits.advance(9);
        assert!(meter.has_begun_to_give(), "{answer}: more may follow");
        meter.answered();
        assert!(!meter.has_begun_to_give(), "{answer}: it was the last");
    }
}

#[test]
fn an_answer_that_begins_again_has_not_begun() {
    let meter = Arc::new(Meter::default());
    meter.arrived();
    meter.begin();
    give(&meter, b"data: {}\n\n", 1, 10);
    // What follows an answer that is settled within the same response.
    meter.begin();
    give(&meter, b"event: tidegate.restart\n\n", 0, 25);
    assert!(!meter.has_begun_to_give());
}

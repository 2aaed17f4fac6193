use super::*;

const NOW: u64 = 1_700_000_000_000;
const DAY_MS: u64 = 24 * HOUR * 1000;

fn answered(status: u16) -> Outcome {
    Outcome::Answered { status, retry_after: None }
}

fn pushback(status: u16, seconds: u64) -> Outcome {
    Outcome::Answered { status, retry_after: Some(Duration::from_secs(seconds)) }
}

#[test]
fn only_a_success_is_a_delivery_and_gone_or_forbidden_is_final() {
    let after = |outcome| next(outcome, 1, NOW, NOW + DAY_MS, 0);
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(after(answered(status)), Next::Delivered, "{status}");
    }
    assert_eq!(after(answered(410)), Next::GiveUp);
    assert_eq!(after(Outcome::Forbidden), Next::GiveUp);
    for status in [300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 408, 409, 411, 422, 429, 500, 502, 503, 504, 599, 999] {
        assert_eq!(after(answered(status)), Next::TryAt(NOW + 5_000), "{status}");
    }
    assert_eq!(after(Outcome::NoAnswer), Next::TryAt(NOW + 5_000));
}

#[test]
fn a_receiver_that_asks_for_patience_gets_it_where_its_status_says_so() {
    let cases = [
        (pushback(429, 90), 1, Next::TryAt(NOW + 90_000)),
        (pushback(502, 90), 1, Next::TryAt(NOW + 90_000)),
        (pushback(503, 90), 1, Next::TryAt(NOW + 90_000)),
        (pushback(504, 90), 1, Next::TryAt(NOW + 90_000)),
        // Other statuses mean something else by it.
        (pushback(500, 90), 1, Next::TryAt(NOW + 5_000)),
        (pushback(301, 90), 1, Next::TryAt(NOW + 5_000)),
        // It lengthens a pause and never shortens one.
        (pushback(503, 0), 3, Next::TryAt(NOW + 120_000)),
        (pushback(503, 121), 3, Next::TryAt(NOW + 121_000)),
        // Nobody waits longer than the message is worth.
        (pushback(503, 24 * HOUR), 1, Next::GiveUp),
        (pushback(429, u64::MAX), 1, Next::GiveUp),
    ];
    for (outcome, attempt, expected) in cases {
        assert_eq!(next(outcome, attempt, NOW, NOW + DAY_MS, 0), expected, "{outcome:?}, attempt {attempt}");
    }
}

#[test]
fn a_message_that_nobody_takes_is_tried_eleven_times_within_its_day() {
    for chance in [0, 1, 123_456_789, u64::MAX] {
        let (mut now, mut tries) = (NOW, vec![0]);
        for attempt in 1.. {
            match next(Outcome::NoAnswer, attempt, now, NOW + DAY_MS, chance) {
                Next::TryAt(at) => now = at,
                Next::GiveUp => break,
                Next::Delivered => panic!("nobody took it"),
            }
            tries.push((now - NOW) / 1000);
        }
        assert!(now < NOW + DAY_MS && (10..=11).contains(&tries.len()), "{tries:?}");
        if chance == 0 {
            assert_eq!(tries, [0, 5, 35, 155, 755, 2_555, 6_155, 13_355, 27_755, 49_355, 78_155]);
        }
    }
}

#[test]
fn chance_lengthens_a_pause_by_a_fifth_at_most() {
    for chance in (0..10_000).chain([u64::MAX - 1, u64::MAX]) {
        let Next::TryAt(at) = next(Outcome::NoAnswer, 2, NOW, NOW + DAY_MS, chance) else { panic!("it is tried again") };
        assert!((30_000..=36_000).contains(&(at - NOW)), "{}", at - NOW);
    }
}

#[test]
fn a_wait_is_read_in_seconds_or_as_a_date_and_nonsense_is_none() {
    // Tue, 14 Nov 2023 22:13:20 GMT.
    let cases = [
        ("120", Some(120)),
        (" 7 ", Some(7)),
        ("0", Some(0)),
        ("Tue, 14 Nov 2023 22:14:20 GMT", Some(60)),
        ("Tue, 14 Nov 2023 22:13:19 GMT", Some(0)),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("99999999999999999999999", None),
    ];
    for (text, expected) in cases {
        assert_eq!(retry_after(text, NOW), expected.map(Duration::from_secs), "{text:?}");
    }
}

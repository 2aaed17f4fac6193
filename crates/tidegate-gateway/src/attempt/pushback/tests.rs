use http::HeaderValue;

use super::*;

/// Sunday, 6 November 1994, 08:49:37 GMT.
const NOW: u64 = 784_111_777_000;

fn of(lines: &[(&'static str, &'static str)]) -> Option<u128> {
    let headers = lines.iter().map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
    pushback(&headers, NOW).map(|wait| wait.as_millis())
}

#[test]
fn every_form_of_retry_after_is_read() {
    for (value, millis) in [
        ("7", 7000),
        ("0", 0),
        (" 7 ", 7000),
        ("1.5", 1500),
        ("0.25", 250),
        ("Sun, 06 Nov 1994 08:50:07 GMT", 30_000),
        ("Sunday, 06-Nov-94 08:50:07 GMT", 30_000),
        ("Sun Nov  6 08:50:07 1994", 30_000),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0),
    ] {
        assert_eq!(of(&[("retry-after", value)]), Some(millis), "{value:?}");
    }
}

#[test]
fn milliseconds_go_before_seconds_unless_they_cannot_be_read() {
    assert_eq!(of(&[("retry-after-ms", "120"), ("retry-after", "7")]), Some(120));
    assert_eq!(of(&[("retry-after-ms", "120.7"), ("retry-after", "7")]), Some(120));
    assert_eq!(of(&[("retry-after-ms", "soon"), ("retry-after", "7")]), Some(7000));
}

#[test]
fn a_pushback_is_an_hour_at_most() {
    for value in ["3601", "99999999999999999999999999", "Mon, 07 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        assert_eq!(of(&[("retry-after", value)]), Some(3_600_000), "{value}");
    }
    assert_eq!(of(&[("retry-after-ms", "9999999999")]), Some(3_600_000));
}

#[test]
fn what_is_no_length_of_time_is_no_pushback() {
    assert_eq!(of(&[]), None);
    for value in ["", "soon", "-1", "+1", "1e3", "inf", "NaN", "1.2.3", ".", "0x10", "1s", "Sun, 99 Nov 1994 08:50:07 GMT"] {
        assert_eq!(of(&[("retry-after", value)]), None, "{value:?}");
    }
}

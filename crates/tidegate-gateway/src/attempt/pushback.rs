//! How long a provider asks to be left alone.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, header};

use crate::header_name;

/// Longest pushback that is believed. Beyond it, asking again teaches more than waiting.
const LONGEST: Duration = Duration::from_secs(3600);

/// The provider's pushback at the wall clock's `unix_millis`, an hour at most. `None` where it names none, or none that can be read.
///
/// `retry-after-ms` is the more exact and goes first. `retry-after` may be a number of seconds, with a fraction although RFC 9110 knows
/// none, or a date in any of the three forms of RFC 9110, section 5.6.7; a date that has passed asks for no wait.
#[must_use]
pub fn pushback(headers: &HeaderMap, unix_millis: u64) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = text(&header_name::RETRY_AFTER_MS).and_then(|text| number_of(text, Duration::from_millis(1)));
    let seconds_or_date = || {
        let text = text(&header::RETRY_AFTER)?;
        number_of(text, Duration::from_secs(1)).or_else(|| until(text, unix_millis))
    };
    millis.or_else(seconds_or_date)
}

fn number_of(text: &str, unit: Duration) -> Option<Duration> {
    // Stricter than the parser of floats, which knows words and exponents.
    let is_decimal = text.starts_with(|first: char| first.is_ascii_digit()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.'));
    let count: f64 = text.parse().ok().filter(|_| is_decimal)?;
    Some(unit.mul_f64(count.min(LONGEST.div_duration_f64(unit))))
}

fn until(date: &str, unix_millis: u64) -> Option<Duration> {
    let date = httpdate::parse_http_date(date).ok()?;
    let now = UNIX_EPOCH.checked_add(Duration::from_millis(unix_millis))?;
    Some(date.duration_since(now).unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests;

//! How long the caller waits for the end of its answer, as its headers say.

use std::time::Duration;

use http::HeaderValue;
use tidegate_core::failure::Failure;

use super::headers::Given;

const REMEDY: &str = "X-Tidegate-Timeout-Ms has to be a whole number of milliseconds, at least 1";

/// The shortest deadline in the headers. Our own header has to be right; those of others on the way are hints, and ignored where they are not.
///
/// # Errors
///
/// `invalid_request`, with the header's name and what it may be.
pub fn of(given: &Given<'_>) -> Result<Option<Duration>, (Failure, &'static str)> {
    let own = match text(given.timeout) {
        None => None,
        Some(given) => Some(millis(given).ok_or((Failure::InvalidRequest, REMEDY))?),
    };
    let others = [text(given.envoy_timeout).and_then(millis), text(given.grpc_timeout).and_then(grpc)];
    Ok(others.into_iter().chain([own]).flatten().min())
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value.map(|value| value.to_str().unwrap_or_default().trim())
}

fn millis(text: &str) -> Option<Duration> {
    text.parse().ok().filter(|millis| *millis > 0).map(Duration::from_millis)
}

/// At most eight digits and a unit (gRPC over HTTP/2).
fn grpc(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u32 = Some(digits).filter(|digits| digits.len() <= 8).and_then(|digits| digits.parse().ok())?;
    let unit = match unit {
        "H" => Duration::from_secs(3600),
        "M" => Duration::from_secs(60),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    unit.checked_mul(amount).filter(|length| !length.is_zero())
}

#[cfg(test)]
mod tests;

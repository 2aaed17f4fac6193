//! Reading a request's body within its limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tidegate_core::failure::Failure;

/// Reads a whole body of at most `most` bytes within `time`.
///
/// # Errors
///
/// `request_too_large` (at once where the length is announced), `request_timeout`, or `invalid_request` where its framing is
/// broken (where the connection is, nobody reads the answer).
///
/// # Cancel safety
///
/// Not safe: what was read is lost.
pub async fn read(body: Incoming, most: usize, time: Duration) -> Result<Bytes, Failure> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > most {
        return Err(Failure::RequestTooLarge);
    }
    tokio::time::timeout(time, gather(body, most, announced)).await.unwrap_or(Err(Failure::RequestTimeout))
}

async fn gather(mut body: Incoming, most: usize, announced: usize) -> Result<Bytes, Failure> {
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Failure::InvalidRequest)?.into_data() else { continue };
        if whole.len() + first.as_ref().map_or(0, Bytes::len) + data.len() > most {
            return Err(Failure::RequestTooLarge);
        }
        // A small body comes in one piece and needs no copy.
        match (first.take(), whole.is_empty()) {
            (None, true) => first = Some(data),
            (Some(before), _) => {
                whole.reserve(announced.max(before.len() + data.len()));
                whole.extend_from_slice(&before);
                whole.extend_from_slice(&data);
            }
            (None, false) => whole.extend_from_slice(&data),
        }
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

//! The event that everything here is counted in: a chat chunk of some 300 bytes with two time stamps in its text.

use memchr::memchr;

/// Starts the stamps inside an event; the byte occurs nowhere else in an answer of the source.
const MARK: u8 = b'@';
const DIGITS: usize = 19;
/// Mark, time of the request's arrival, comma, time of writing.
const STAMP: usize = 1 + DIGITS + 1 + DIGITS;
const BEFORE: &[u8] = concat!(
    r#"data: {"id":"chatcmpl-B7tideGateBenchmark0000000001","object":"chat.completion.chunk","created":1763700000,"#,
    r#""model":"bench","service_tier":"default","system_fingerprint":"fp_b3nchmark00","choices":[{"index":0,"#,
    r#""delta":{"content":""#,
)
.as_bytes();
const AFTER: &[u8] = b"\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";

/// When the source read the request and when it wrote the event, both by [`crate::clock::now_ns`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamps {
    pub(crate) received: u64,
    pub(crate) written: u64,
}

/// An event rendered once, as one HTTP chunk; only the digits of its last stamp change from write to write.
pub(crate) struct EventBytes {
    chunk: Vec<u8>,
    written_at: usize,
}

impl EventBytes {
    /// An event that answers a request read at `received`.
    pub(crate) fn new(received: u64) -> Self {
        let mut payload = BEFORE.to_vec();
        payload.extend_from_slice(format!("@{received:019},{:019}", 0).as_bytes());
        payload.extend_from_slice(AFTER);
        let chunk = chunk(&payload);
        let written_at = chunk.len() - b"\r\n".len() - AFTER.len() - DIGITS;
        Self { chunk, written_at }
    }

    /// The chunk, stamped as written at `now`.
    pub(crate) fn stamped(&mut self, now: u64) -> &[u8] {
        let mut rest = now;
        for digit in self.chunk[self.written_at..self.written_at + DIGITS].iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        &self.chunk
    }
}

/// `payload` framed as one chunk of a chunked body.
pub(crate) fn chunk(payload: &[u8]) -> Vec<u8> {
    let mut framed = format!("{:x}\r\n", payload.len()).into_bytes();
    framed.extend_from_slice(payload);
    framed.extend_from_slice(b"\r\n");
    framed
}

/// Finds the stamps of events in a body that comes in pieces cut anywhere.
#[derive(Default)]
pub(crate) struct StampScanner {
    partial: Vec<u8>,
}

impl StampScanner {
    /// Calls `on_event` for each event whose stamps are now complete.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], on_event: &mut impl FnMut(Stamps)) {
        if !self.partial.is_empty() {
            let (missing, rest) = bytes.split_at(bytes.len().min(STAMP - self.partial.len()));
            self.partial.extend_from_slice(missing);
            bytes = rest;
            if self.partial.len() < STAMP {
                return;
            }
            parse(&self.partial).into_iter().for_each(&mut *on_event);
            self.partial.clear();
        }
        while let Some(at) = memchr(MARK, bytes) {
            let Some((stamp, rest)) = bytes[at..].split_at_checked(STAMP) else {
                self.partial.extend_from_slice(&bytes[at..]);
                return;
            };
            parse(stamp).into_iter().for_each(&mut *on_event);
            bytes = rest;
        }
    }
}

fn parse(stamp: &[u8]) -> Option<Stamps> {
    let (received, written) = std::str::from_utf8(&stamp[1..]).ok()?.split_once(',')?;
    Some(Stamps { received: received.parse().ok()?, written: written.parse().ok()? })
}

#[cfg(test)]
mod tests;

//! Server-sent events (WHATWG HTML, section "Server-sent events").
//!
//! [`Scanner`] cuts a body into [`RawEvent`]s, whose bytes are slices of what the socket gave; [`Run`] joins neighbours again, so that what
//! came in one read goes out in one write. Nothing is copied but an event that arrived in two reads.

mod cursor;
mod event;
mod line;
mod run;
mod scanner;

pub use event::RawEvent;
pub use run::Run;
pub use scanner::{Scanner, TooLong};

/// The keepalive of the OpenAI and Anthropic dialects where no `id:` is sent: a comment, which every SDK ignores.
pub const KEEPALIVE: &[u8] = b": keepalive\n\n";

/// Appends an event to `out`: its type, if it has one, and a `data` line for each line of `data`.
pub fn write_event(out: &mut Vec<u8>, event_type: Option<&str>, data: &[u8]) {
    if let Some(event_type) = event_type {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(event_type.as_bytes());
        out.push(b'\n');
    }
    for line in line::split(data) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests;

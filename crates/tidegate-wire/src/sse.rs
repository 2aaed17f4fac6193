//! Server-sent events (WHATWG HTML, section "Server-sent events").

mod event;
mod scanner;

pub use event::{RawEvent, Run};
pub use scanner::{Scanner, TooLong};

/// The keepalive of the OpenAI and Anthropic dialects where no `id:` is sent: a comment, which every SDK ignores.
pub const KEEPALIVE: &[u8] = b": keepalive\n\n";

/// Appends an event to `out`, one `data:` line for each line of `data`.
pub fn write_event(out: &mut Vec<u8>, event: Option<&str>, data: &[u8]) {
    let _ = (out, event, data);
}

//! Lines and fields of an event stream.

use memchr::memchr2;

/// A field of an event that somebody here asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// A line of the data.
    Data,
    /// The event's type.
    Event,
    /// The stream's position (`id`) or the client's pause before it reconnects (`retry`).
    Position,
    /// A comment, or nothing.
    Comment,
    /// A field that no standard knows.
    Unknown,
}

/// What a line (without its end) says, and where its value begins.
pub(super) fn read(line: &[u8]) -> (Field, usize) {
    // The one line of nearly every event.
    if line.starts_with(b"data: ") {
        return (Field::Data, 6);
    }
    let colon = memchr::memchr(b':', line);
    let name = line.get(..colon.unwrap_or(line.len())).unwrap_or_default();
    let value = match colon {
        Some(colon) if line.get(colon + 1) == Some(&b' ') => colon + 2,
        Some(colon) => colon + 1,
        None => line.len(),
    };
    let field = match name {
        b"data" => Field::Data,
        b"event" => Field::Event,
        b"id" | b"retry" => Field::Position,
        b"" => Field::Comment,
        _ => Field::Unknown,
    };
    (field, value)
}

/// The lines of `text` without their ends: LF, CRLF or CR. A text that ends in a line end has an empty last line.
pub(super) fn split(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = memchr2(b'\n', b'\r', text) else {
            return rest.take();
        };
        let (line, after) = text.split_at(end);
        rest = after.strip_prefix(b"\r\n").or_else(|| after.get(1..));
        Some(line)
    })
}

//! A stream repeats itself: nearly every chunk differs from the one before in one text, and in the random padding of some providers.
//!
//! If a chunk was read, and another is the same but for what stands inside those strings, then it is JSON too and says the same about
//! itself. Comparing costs a tenth of reading.

use serde_json::value::RawValue;

use crate::json;

/// How deep the text of a chunk is looked for. A tool call's arguments lie three levels deep.
const MAX_DEPTH: u8 = 8;
/// Longest chunk that is learned, without its texts. Each open stream keeps one; real ones are a tenth of it.
const MAX_FIXED: usize = 4096;

/// A chunk that was read, without the inside of the strings that the next one may change.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    /// What stays, with the changing texts cut out. Empty while nothing was learned.
    fixed: Vec<u8>,
    /// Where in `fixed` they were cut out, in order.
    gaps: [Option<Gap>; 2],
}

#[derive(Debug, Clone, Copy)]
struct Gap {
    at: usize,
    /// The chunk is output because of it, so it must not be empty.
    is_shown: bool,
}

impl Pattern {
    /// Learns a chunk whose output is `shown`, one of its members.
    pub(super) fn learn(&mut self, chunk: &[u8], shown: &RawValue, padding: Option<&RawValue>) {
        self.fixed.clear();
        self.gaps = [None; 2];
        let place = |text: &str, is_shown| (text.as_ptr().addr() - chunk.as_ptr().addr(), text.len(), is_shown);
        let Some(shown) = last_text(shown, 0) else { return };
        let mut texts = [Some(place(shown, true)), padding.and_then(json::quoted).map(|padding| place(padding, false))];
        // Nothing before something: what is not there comes first and is skipped.
        texts.sort_unstable();
        let fixed = chunk.len() - texts.iter().flatten().map(|(_, len, _)| len).sum::<usize>();
        if fixed > MAX_FIXED {
            return;
        }
        self.fixed.reserve_exact(fixed);
        let mut copied = 0;
        for (gap, (start, len, is_shown)) in self.gaps.iter_mut().zip(texts.into_iter().flatten()) {
            self.fixed.extend_from_slice(chunk.get(copied..start).unwrap_or_default());
            *gap = Some(Gap { at: self.fixed.len(), is_shown });
            copied = start + len;
        }
        self.fixed.extend_from_slice(chunk.get(copied..).unwrap_or_default());
    }

    /// What `chunk` shows, as it stands between its quotes, if it is the one that was learned but for the texts in its strings. Then it is
    /// JSON, and output of the same choice.
    pub(super) fn shown<'a>(&self, chunk: &'a [u8]) -> Option<&'a [u8]> {
        let (mut fixed_from, mut rest, mut shown) = (0, chunk, None);
        for gap in self.gaps.iter().flatten() {
            let after = rest.strip_prefix(self.fixed.get(fixed_from..gap.at)?)?;
            let (text, after) = after.split_at_checked(inside_of_string(after)?)?;
            if gap.is_shown {
                shown = Some(text).filter(|text| !text.is_empty());
            }
            (fixed_from, rest) = (gap.at, after);
        }
        if self.fixed.get(fixed_from..) == Some(rest) { shown } else { None }
    }
}

/// The last text in a value, as it stands between its quotes. Keys are no texts.
fn last_text(value: &RawValue, depth: u8) -> Option<&str> {
    let mut last = json::quoted(value);
    let text = value.get();
    if last.is_some() || depth == MAX_DEPTH {
        return last.filter(|last| !last.is_empty());
    }
    // Neither a list nor an object: it has no text, and both say so.
    let _no_list = json::each_element(text, |element| last = last_text(element, depth + 1).or(last));
    let _no_object = json::each_member(text, |_, member| last = last_text(member, depth + 1).or(last));
    last
}

/// How long the inside of a JSON string is that `text` begins with. `None` if it has no end, is not UTF-8, or breaks a rule of JSON.
fn inside_of_string(text: &[u8]) -> Option<usize> {
    let (mut at, mut is_ascii) = (0, true);
    loop {
        match *text.get(at)? {
            b'"' => break,
            b'\\' => match text.get(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                b'u' if text.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => at += 6,
                _ => return None,
            },
            0..0x20 => return None,
            byte => {
                is_ascii &= byte.is_ascii();
                at += 1;
            }
        }
    }
    let is_utf8 = is_ascii || std::str::from_utf8(text.get(..at)?).is_ok();
    is_utf8.then_some(at)
}

#[cfg(test)]
mod tests;

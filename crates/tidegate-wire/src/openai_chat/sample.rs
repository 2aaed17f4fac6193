//! Pieces of prompts and answers, from which their tokens are estimated where the provider did not count them.
//!
//! What is gathered stays as it stands in the JSON, escapes and all; only the piece that is taken in the end is unescaped.

use memchr::{memchr, memchr2};
use serde_json::value::RawValue;

use crate::json;
use crate::names::chat;

/// How much of an answer is kept, as it stands in the JSON. Long enough that its text is like the rest; each open stream keeps one.
const MAX_OUTPUT: usize = 4 * 1024;
/// How much of a prompt is taken.
const MAX_PROMPT: usize = 16 * 1024;
/// What a picture, a sound or a file weighs in a prompt: as much as a text of some thousand tokens, whatever its size. Models count them
/// between two hundred and two thousand.
const MEDIUM_BYTES: u64 = 3 * 1024;

/// A piece of a text that stands for the whole of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextSample {
    /// The first of it: up to 4 KiB of an answer, 16 KiB of a prompt. Never empty.
    pub text: String,
    /// How many bytes of text there are in all, the piece included: exact if that is all, otherwise in proportion to what stands in the JSON.
    pub total_bytes: u64,
}

/// A piece of an upstream request's prompt; `None` if `body` is no JSON object or has no prompt.
///
/// It holds what the messages say, and for each its role between marks that have about four tokens together, which is what a message weighs
/// beside its text; one more mark stands for the answer that is to begin. Definitions of tools and answer forms are written as lines of
/// `key:value`, which have about the tokens of the forms that providers give them. Pictures, sounds and files weigh like 3 KiB of text each.
///
/// It reads the body three times at most and never recurses. 20 MiB take ten milliseconds as a rule and a quarter of a second at worst, so it
/// is nothing for an event loop.
#[must_use]
pub fn prompt_sample(body: &[u8]) -> Option<TextSample> {
    let mut gathered = Gathered::default();
    let mut add = |inside: &[u8]| gathered.add(inside, MAX_PROMPT);
    let mut media = 0;
    json::each_member(std::str::from_utf8(body).ok()?, |key, value| match json::quoted(key) {
        Some(chat::MESSAGES) => each_string(value.get(), |found| match found {
            Found::Value { key: chat::ROLE, inside } => [b"<|".as_slice(), inside.as_bytes(), b"|>"].into_iter().for_each(&mut add),
            Found::Value { key, inside } if chat::TEXTS.contains(&key) => add(inside.as_bytes()),
            Found::Value { key, .. } if chat::MEDIA.contains(&key) => media += MEDIUM_BYTES,
            Found::Value { .. } | Found::Key(_) => {}
        }),
        Some(key) if chat::DEFINITIONS.contains(&key) => each_string(value.get(), |found| match found {
            Found::Key(key) => [b"\n".as_slice(), key.as_bytes()].into_iter().for_each(&mut add),
            Found::Value { inside, .. } => [b":".as_slice(), inside.as_bytes()].into_iter().for_each(&mut add),
        }),
        _ => {}
    })
    .ok()?;
    if gathered.total > 0 {
        [b"<|".as_slice(), chat::ASSISTANT.as_bytes(), b"|>"].into_iter().for_each(|mark| gathered.add(mark, MAX_PROMPT));
    }
    gathered.total += media;
    gathered.sample()
}

/// A piece of a whole answer's output; `None` if it has none.
#[must_use]
pub fn answer_sample(body: &[u8]) -> Option<TextSample> {
    let mut output = Output::default();
    output.add_texts(std::str::from_utf8(body).ok()?);
    output.sample()
}

/// The output of one answer: its first bytes, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Output(Gathered);

impl Output {
    /// Adds what stands between the quotes of a string.
    pub(super) fn add(&mut self, inside: &[u8]) {
        self.0.add(inside, MAX_OUTPUT);
    }

    /// Adds a member of a delta.
    pub(super) fn add_shown(&mut self, shown: &RawValue) {
        match json::quoted(shown) {
            Some(inside) => self.add(inside.as_bytes()),
            None => self.add_texts(shown.get()),
        }
    }

    fn add_texts(&mut self, json: &str) {
        each_string(json, |found| match found {
            Found::Value { key, inside } if chat::TEXTS.contains(&key) => self.add(inside.as_bytes()),
            Found::Value { .. } | Found::Key(_) => {}
        });
    }

    /// How many bytes there were, as they stand in the JSON.
    pub(super) fn bytes(&self) -> u64 {
        self.0.total
    }

    pub(super) fn sample(&self) -> Option<TextSample> {
        self.0.sample()
    }
}

/// A text in its JSON form, of which only the first is kept. Without any, it owns nothing.
#[derive(Debug, Default)]
struct Gathered {
    first: Vec<u8>,
    total: u64,
}

impl Gathered {
    /// Adds `inside` and keeps what fits into the first `most` bytes.
    fn add(&mut self, inside: &[u8], most: usize) {
        self.total += bytes(inside);
        let room = most.saturating_sub(self.first.len());
        if room > 0 {
            self.first.extend_from_slice(inside.get(..room).unwrap_or(inside));
        }
    }

    fn sample(&self) -> Option<TextSample> {
        let text = unescape(&self.first);
        let (kept, known) = (bytes(&self.first), bytes(text.as_bytes()));
        let beyond = u128::from(self.total.saturating_sub(kept)) * u128::from(known) / u128::from(kept.max(1));
        let total_bytes = known.saturating_add(u64::try_from(beyond).unwrap_or(u64::MAX));
        (!text.is_empty()).then_some(TextSample { text, total_bytes })
    }
}

fn bytes(text: &[u8]) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// What [`each_string`] comes across. Both are as they stand between their quotes.
enum Found<'a> {
    Key(&'a str),
    /// A text that is no key, and the last key before it.
    Value {
        key: &'a str,
        inside: &'a str,
    },
}

/// Calls `f` with each string in `json`, in order, however deep it lies. It only looks for quotes, in one pass.
fn each_string<'a>(json: &'a str, mut f: impl FnMut(Found<'a>)) {
    let (mut last_key, mut rest) = ("", json);
    while let Some((inside, after)) = next_string(rest) {
        if after.trim_ascii_start().starts_with(':') {
            last_key = inside;
            f(Found::Key(inside));
        } else {
            f(Found::Value { key: last_key, inside });
        }
        rest = after;
    }
}

/// The inside of the first string in `json`, and what follows its last quote.
fn next_string(json: &str) -> Option<(&str, &str)> {
    let start = memchr(b'"', json.as_bytes())? + 1;
    let mut end = start;
    loop {
        end += memchr2(b'"', b'\\', json.as_bytes().get(end..)?)?;
        if json.as_bytes().get(end) == Some(&b'"') {
            return Some((json.get(start..end)?, json.get(end + 1..)?));
        }
        end += 2;
    }
}

/// The text that the inside of a JSON string stands for. What a cut has left of an escape or of a character at its end is dropped, and half
/// a surrogate pair becomes a replacement character.
fn unescape(inside: &[u8]) -> String {
    let (mut text, mut rest) = (String::with_capacity(inside.len()), inside);
    while let Some(place) = memchr(b'\\', rest) {
        push_valid(&mut text, rest.get(..place).unwrap_or_default());
        let Some((escaped, len)) = rest.get(place + 1..).and_then(escaped) else { return text };
        text.push(escaped);
        rest = rest.get(place + 1 + len..).unwrap_or_default();
    }
    push_valid(&mut text, rest);
    text
}

fn push_valid(text: &mut String, bytes: &[u8]) {
    bytes.utf8_chunks().for_each(|chunk| text.push_str(chunk.valid()));
}

/// The character that an escape stands for, and how long it is without its backslash.
fn escaped(after: &[u8]) -> Option<(char, usize)> {
    let plain = match after.first()? {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => {
            let first = code_unit(after.get(1..)?)?;
            let second = after.get(5..).and_then(|after| code_unit(after.strip_prefix(br"\u")?));
            let decoded = char::decode_utf16([first].into_iter().chain(second)).next()?;
            let len = if decoded.as_ref().is_ok_and(|char| char.len_utf16() == 2) { 11 } else { 5 };
            return Some((decoded.unwrap_or(char::REPLACEMENT_CHARACTER), len));
        }
        byte => char::from(*byte),
    };
    Some((plain, 1))
}

fn code_unit(hex: &[u8]) -> Option<u16> {
    u16::from_str_radix(std::str::from_utf8(hex.get(..4)?).ok()?, 16).ok()
}

#[cfg(test)]
mod tests;

//! What the gateway has to know of an answer's JSON, be it one chunk of a stream or the whole.
//!
//! One pass, no tree, nothing allocated; yet all of the JSON is checked for being JSON.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json;
use crate::names::chat;

/// Choices are tracked in the bits of a `u128`: as many as OpenAI allows.
const MAX_CHOICES: u32 = u128::BITS;
/// How deep a value is searched for something to show. Deeper is not known, so it counts as something.
const MAX_DEPTH: u8 = 16;

/// The top level of a chunk or a whole answer.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow, default)]
    pub(super) choices: Choices<'a>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    /// A chunk's random padding.
    #[serde(borrow, default)]
    pub(super) obfuscation: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
}

impl<'a> Answer<'a> {
    /// `None` if `json` is not JSON in UTF-8, not an object, or wrong in a member that is read here.
    pub(super) fn read(json: &'a [u8]) -> Option<Self> {
        serde_json::from_str(std::str::from_utf8(json).ok()?).ok()
    }

    /// It is an error in one of its known forms: `{"error":{…}}` or `{"error":"…"}`, also beside choices (OpenRouter); the flat
    /// `{"object":"error",…}` of older vLLM; `{"type":"error",…}`. An empty `error` is none, as for the official SDKs.
    pub(super) fn is_error(&self) -> bool {
        let says_error = |value: Option<&RawValue>| value.and_then(json::quoted) == Some(chat::ERROR);
        self.error.is_some_and(|error| shows(error, 0)) || says_error(self.object) || says_error(self.kind)
    }
}

/// All choices of a chunk or a whole answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Choices<'a> {
    /// The member is there and not null.
    pub(super) listed: bool,
    /// The indices that occur, as bits.
    pub(super) seen: u128,
    /// The indices that have a finish reason, as bits.
    pub(super) finished: u128,
    /// The first member of a delta or message that a reader can see.
    pub(super) shown: Option<&'a RawValue>,
    /// One of them finished because of an error (OpenRouter).
    pub(super) failed: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ChoicesVisitor)
    }
}

struct ChoicesVisitor;

impl<'de> Visitor<'de> for ChoicesVisitor {
    type Value = Choices<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of choices")
    }

    fn visit_unit<E: Error>(self) -> Result<Choices<'de>, E> {
        Ok(Choices::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Choices<'de>, A::Error> {
        let mut choices = Choices { listed: true, ..Choices::default() };
        let mut place = 0;
        while let Some(choice) = list.next_element::<Choice<'de>>()? {
            let index = choice.index.unwrap_or(place);
            let bit = 1u128.checked_shl(index).ok_or_else(|| A::Error::custom("a choice's index is out of range"))?;
            choices.seen |= bit;
            if choice.finish_reason != Finish::NotYet {
                choices.finished |= bit;
            }
            choices.failed |= choice.finish_reason == Finish::Failed;
            choices.shown = choices.shown.or(choice.delta.shown).or(choice.message.shown);
            place = index.saturating_add(1).min(MAX_CHOICES);
        }
        Ok(choices)
    }
}

/// One choice. Some servers leave out the index; then its place in the list counts.
#[derive(serde::Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    delta: Message<'a>,
    #[serde(borrow, default)]
    message: Message<'a>,
    #[serde(default)]
    finish_reason: Finish,
}

/// A delta, or the message of a whole answer.
#[derive(Clone, Copy, Default)]
struct Message<'a> {
    /// The first member beyond the role that is not empty.
    shown: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Message<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MessageVisitor)
    }
}

struct MessageVisitor;

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = Message<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Message<'de>, E> {
        Ok(Message::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message<'de>, A::Error> {
        let mut message = Message::default();
        while let Some(key) = map.next_key::<&RawValue>()? {
            if message.shown.is_some() || json::quoted(key) == Some(chat::ROLE) {
                map.next_value::<IgnoredAny>()?;
            } else {
                message.shown = Some(map.next_value::<&RawValue>()?).filter(|member| shows(member, 0));
            }
        }
        Ok(message)
    }
}

/// A value holds something that a reader can see or a program can act on: not null, false, an empty text, or only such.
fn shows(value: &RawValue, depth: u8) -> bool {
    let text = value.get();
    let mut any = depth == MAX_DEPTH;
    let checked = match text.as_bytes().first() {
        Some(b'n' | b'f') => return false,
        Some(b'{') if !any => json::each_member(text, |_, member| any = any || shows(member, depth + 1)),
        Some(b'[') if !any => json::each_element(text, |element| any = any || shows(element, depth + 1)),
        Some(b'"') => return text.len() > 2,
        _ => return true,
    };
    // It was read as JSON before, so it can be read again.
    any || checked.is_err()
}

/// A choice's finish reason.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Finish {
    /// Null, left out, or the empty text that some servers write instead.
    #[default]
    NotYet,
    /// Any reason: the list grows, and each server has its own.
    Ended,
    /// `error`.
    Failed,
}

impl<'de> Deserialize<'de> for Finish {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FinishVisitor)
    }
}

struct FinishVisitor;

impl Visitor<'_> for FinishVisitor {
    type Value = Finish;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a finish reason or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Finish, E> {
        Ok(Finish::NotYet)
    }

    fn visit_str<E: Error>(self, reason: &str) -> Result<Finish, E> {
        Ok(match reason {
            "" => Finish::NotYet,
            chat::ERROR => Finish::Failed,
            _ => Finish::Ended,
        })
    }
}

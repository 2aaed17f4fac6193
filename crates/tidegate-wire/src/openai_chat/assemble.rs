//! One whole answer from the chunks of a stream.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::answer::Answer;
use super::merge::{Node, Object};
use crate::json;
use crate::names::chat;
use crate::sse::RawEvent;

/// Assembles the chunks of a streamed answer into the body that the provider would have sent without streaming.
///
/// Deltas are merged by their form, not by a list of known members, so that a server's own members survive; values that are not merged stay
/// the bytes that came. Its memory is that of the answer: whoever feeds it bounds it.
#[derive(Debug, Default)]
pub struct Assembler {
    /// The top level without its choices.
    top: Object,
    choices: BTreeMap<u64, Choice>,
}

#[derive(Debug, Default)]
struct Choice {
    message: Object,
    logprobs: Option<Node>,
    /// Everything else, the finish reason among it.
    rest: Object,
}

impl Assembler {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one event. What is no chunk, such as a comment, an error or the end marker, adds nothing.
    pub fn add(&mut self, event: &RawEvent) {
        let data = event.data();
        let (Ok(chunk), Some(answer)) = (std::str::from_utf8(&data), Answer::read(&data)) else { return };
        if answer.is_error() || !(answer.choices.listed || answer.usage.is_some()) {
            return;
        }
        let (top, choices) = (&mut self.top, &mut self.choices);
        let _read_before = json::each_member(chunk, |key, value| match json::quoted(key) {
            Some(chat::CHOICES) => {
                let mut place = 0;
                let _null_has_none = json::each_element(value.get(), |choice| {
                    place = add_choice(choices, choice.get(), place) + 1;
                });
            }
            // What names the answer is the first chunk's word. A stream's random padding is nobody's, and an error is empty here.
            Some(key @ (chat::ID | chat::CREATED | chat::MODEL)) => top.keep_first(key, Node::read(value)),
            Some(chat::OBFUSCATION | chat::OBJECT | chat::ERROR) | None => {}
            Some(key) => top.keep_last(key, Node::read(value)),
        });
    }

    /// The whole answer, as JSON.
    #[must_use]
    pub fn finish(self) -> Bytes {
        let (mut answer, rest) = self.top.split(&[chat::ID]);
        let (named, rest) = rest.split(&[chat::CREATED, chat::MODEL]);
        answer.keep_last(chat::OBJECT, Node::text(chat::COMPLETION));
        answer.extend(named);
        answer.keep_last(chat::CHOICES, Node::List(self.choices.into_iter().map(|(index, choice)| choice.finish(index)).collect()));
        answer.extend(rest);
        let mut out = Vec::new();
        Node::Object(answer).write(&mut out);
        out.into()
    }
}

/// Adds a choice's news and returns its index, which is its `place` in the list where the server does not say.
fn add_choice(choices: &mut BTreeMap<u64, Choice>, choice: &str, place: u64) -> u64 {
    let mut index = place;
    let _read_before = json::each_member(choice, |key, value| {
        if json::quoted(key) == Some(chat::INDEX) {
            index = value.get().parse().unwrap_or(place);
        }
    });
    let slot = choices.entry(index).or_default();
    let _read_before = json::each_member(choice, |key, value| match json::quoted(key) {
        Some(chat::INDEX) | None => {}
        Some(chat::DELTA) => {
            if let Node::Object(delta) = Node::read(value) {
                slot.message.merge(delta);
            }
        }
        Some(chat::LOGPROBS) => match &mut slot.logprobs {
            Some(logprobs) => logprobs.merge(Node::read(value), chat::LOGPROBS),
            none => *none = Some(Node::read(value)),
        },
        Some(key) => slot.rest.keep_last(key, Node::read(value)),
    });
    index
}

impl Choice {
    fn finish(mut self, index: u64) -> Node {
        self.message.keep_first(chat::ROLE, Node::text(chat::ASSISTANT));
        self.message.keep_last(chat::CONTENT, Node::null());
        // A whole answer's tool calls have no index: it served to merge them.
        if let Some(Node::List(calls)) = self.message.get_mut(chat::TOOL_CALLS) {
            for call in calls {
                if let Node::Object(call) = call {
                    call.remove(chat::INDEX);
                }
            }
        }
        let mut choice = Object::default();
        choice.keep_last(chat::INDEX, Node::Scalar(index.to_string()));
        choice.keep_last(chat::MESSAGE, Node::Object(self.message));
        if let Some(logprobs) = self.logprobs {
            choice.keep_last(chat::LOGPROBS, logprobs);
        }
        choice.extend(self.rest);
        Node::Object(choice)
    }
}

#[cfg(test)]
mod tests;

//! Answers and events of the gateway's own making: a fixed text, a stored answer as a stream, notices, a restart.
//!
//! Each carries a member `tidegate` that says so: a reader can tell it from a model's answer, and an SDK ignores it.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::names::{DONE, chat, event};
use crate::sse::write_event;

/// What names an answer, in each of its chunks.
const ENVELOPE: &[&str] = &[chat::ID, chat::CREATED, chat::MODEL, "system_fingerprint", "service_tier", chat::TIDEGATE];
/// Most bytes of text in one chunk of a replayed answer: about what a model sends at a time.
const MAX_PIECE: usize = 32;

/// What a user may be told while an answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice<'a> {
    /// A word for programs, such as `degraded`.
    pub code: &'a str,
    /// A sentence for people, without line ends.
    pub message: &'a str,
}

/// A whole answer whose one choice says `text`. `mark` says what it is: `static`, `deferred`.
#[must_use]
pub fn text_answer(id: &str, model: &str, created: u64, text: &str, mark: &str) -> Bytes {
    json!({
        chat::ID: id, chat::OBJECT: chat::COMPLETION, chat::CREATED: created, chat::MODEL: model,
        chat::CHOICES: [{
            chat::INDEX: 0,
            chat::MESSAGE: {chat::ROLE: chat::ASSISTANT, chat::CONTENT: text},
            chat::FINISH_REASON: "stop",
        }],
        chat::TIDEGATE: {"answer": mark},
    })
    .to_string()
    .into()
}

/// The same whole answer with a mark of what it is: `cached`. What is not a JSON object comes back as it is.
#[must_use]
pub fn marked(answer: &[u8], mark: &str) -> Bytes {
    match serde_json::from_slice(answer) {
        Ok(Value::Object(mut members)) => {
            members.insert(chat::TIDEGATE.to_owned(), json!({"answer": mark}));
            Value::Object(members).to_string().into()
        }
        _ => Bytes::copy_from_slice(answer),
    }
}

/// Whether a whole answer is one that may serve again: every choice came to its own end, by itself.
#[must_use]
pub fn may_serve_again(answer: &[u8]) -> bool {
    let ends =
        |choice: &Value| matches!(choice.get(chat::FINISH_REASON).and_then(Value::as_str), Some("stop" | "tool_calls" | "function_call"));
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    answer.get(chat::CHOICES).and_then(Value::as_array).is_some_and(|choices| !choices.is_empty() && choices.iter().all(ends))
}

/// A whole answer as the event stream that it would have been, with its usage chunk and its end marker. `None` if it is no whole answer.
#[must_use]
pub fn replay(answer: &[u8]) -> Option<Bytes> {
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(answer) else { return None };
    let Some(Value::Array(choices)) = answer.remove(chat::CHOICES) else { return None };
    let usage = answer.remove(chat::USAGE);
    let mut envelope = Map::new();
    for name in ENVELOPE {
        envelope.extend(answer.remove(*name).map(|value| ((*name).to_owned(), value)));
    }
    envelope.insert(chat::OBJECT.to_owned(), chat::COMPLETION_CHUNK.into());
    answer.remove(chat::OBJECT);
    let mut stream = Replay { envelope, once: answer, out: Vec::new() };
    for choice in choices {
        stream.choice(choice)?;
    }
    if let Some(usage) = usage.filter(|usage| !usage.is_null()) {
        stream.chunk(json!([]), Some(usage));
    }
    write_event(&mut stream.out, None, DONE.as_bytes());
    Some(stream.out.into())
}

struct Replay {
    /// Members of every chunk.
    envelope: Map<String, Value>,
    /// Members of the first chunk alone: whatever else a provider says of the whole answer, which may be long.
    once: Map<String, Value>,
    out: Vec<u8>,
}

impl Replay {
    fn choice(&mut self, mut choice: Value) -> Option<()> {
        let index = choice.get(chat::INDEX).cloned().unwrap_or_else(|| 0.into());
        let Value::Object(mut message) = choice.get_mut(chat::MESSAGE)?.take() else { return None };
        let role = message.remove(chat::ROLE).unwrap_or_else(|| chat::ASSISTANT.into());
        self.delta(&index, json!({chat::ROLE: role, chat::CONTENT: ""}), Value::Null);
        for (name, value) in message {
            match value {
                Value::Null => {}
                Value::String(text) => pieces(&text).for_each(|piece| self.delta(&index, json!({&name: piece}), Value::Null)),
                Value::Array(calls) if name == chat::TOOL_CALLS => self.delta(&index, json!({&name: numbered(calls)}), Value::Null),
                other => self.delta(&index, json!({&name: other}), Value::Null),
            }
        }
        let reason = choice.get_mut(chat::FINISH_REASON).map_or(Value::Null, Value::take);
        self.delta(&index, json!({}), reason);
        Some(())
    }

    #[expect(clippy::needless_pass_by_value, reason = "each is made for this call")]
    fn delta(&mut self, index: &Value, delta: Value, reason: Value) {
        self.chunk(json!([{chat::INDEX: index, chat::DELTA: delta, chat::FINISH_REASON: reason}]), None);
    }

    fn chunk(&mut self, choices: Value, usage: Option<Value>) {
        let mut chunk = self.envelope.clone();
        chunk.append(&mut self.once);
        chunk.insert(chat::CHOICES.to_owned(), choices);
        chunk.extend(usage.map(|usage| (chat::USAGE.to_owned(), usage)));
        write_event(&mut self.out, None, Value::Object(chunk).to_string().as_bytes());
    }
}

/// A stream's tool calls have an index each.
fn numbered(calls: Vec<Value>) -> Vec<Value> {
    let number = |(index, mut call): (usize, Value)| {
        if let Some(call) = call.as_object_mut() {
            call.insert(chat::INDEX.to_owned(), index.into());
        }
        call
    };
    calls.into_iter().enumerate().map(number).collect()
}

/// `text` in short pieces, cut before white space where there is any.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let most = rest.floor_char_boundary(MAX_PIECE.min(rest.len()));
        let at = if most == rest.len() { most } else { rest[..most].rfind(char::is_whitespace).filter(|at| *at > 0).unwrap_or(most) };
        let (piece, left) = rest.split_at(at);
        rest = left;
        Some(piece)
    })
}

/// The body of a 202: the answer is made in the background, and can be fetched at `url`.
#[must_use]
pub fn acknowledgement(id: &str, url: &str) -> Bytes {
    json!({chat::ID: id, chat::OBJECT: "tidegate.job", "status": "in_progress", "url": url}).to_string().into()
}

/// A notice inside a stream: a comment, which every SDK ignores, or a named event for a client that asked for events.
#[must_use]
pub fn notice(notice: Notice<'_>, as_event: bool) -> Bytes {
    if !as_event {
        return format!(": {}: {}\n\n", notice.code, notice.message).into();
    }
    let mut out = Vec::new();
    let data = json!({chat::CHOICES: [], chat::TIDEGATE: {"notice": {"code": notice.code, "message": notice.message}}});
    write_event(&mut out, Some(event::NOTICE), data.to_string().as_bytes());
    out.into()
}

/// Tells a client that agreed to it that everything so far is void and the answer begins again, as the stream `to`.
#[must_use]
pub fn restart_event(from: &str, to: &str, code: &str) -> Bytes {
    let mut out = Vec::new();
    let data = json!({
        chat::ID: to, chat::OBJECT: chat::COMPLETION_CHUNK, chat::CHOICES: [],
        chat::TIDEGATE: {"restart": {"restarted_from": from, "restarted_as": to, "code": code}},
    });
    write_event(&mut out, Some(event::RESTART), data.to_string().as_bytes());
    out.into()
}

#[cfg(test)]
mod tests;

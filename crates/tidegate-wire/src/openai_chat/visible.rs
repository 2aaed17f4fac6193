//! What a reader sees of an answer: its text, chunk by chunk, and at the end the message as a whole.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tidegate_core::session::ToolCalls;

use crate::names::{self, chat};
use crate::sse::RawEvent;

/// The text that a chunk's first choice adds, or the words of its refusal. `None` where it shows none.
#[must_use]
pub fn visible_text(chunk: &[u8]) -> Option<Arc<str>> {
    let chunk: Chunk<'_> = serde_json::from_slice(chunk).ok()?;
    chunk.choices.into_iter().find(|choice| choice.index == 0)?.delta?.text()
}

/// What a user is told by an event that is a notice of the gateway's own. `None` for every other event.
#[must_use]
pub fn notice_text(event: &RawEvent) -> Option<Arc<str>> {
    if event.event_type() != Some(names::event::NOTICE.as_bytes()) {
        return None;
    }
    let told: Value = serde_json::from_slice(&event.data()).ok()?;
    told[chat::TIDEGATE]["notice"]["message"].as_str().map(Arc::from)
}

/// A whole answer's first message: its text, empty if there is none, and the tools that it calls.
#[must_use]
pub fn whole_message(answer: &[u8]) -> (Arc<str>, Option<ToolCalls>) {
    let answer: Whole<'_> = serde_json::from_slice(answer).unwrap_or_default();
    let Some(message) = answer.choices.into_iter().find(|choice| choice.index == 0).and_then(|choice| choice.message) else {
        return (Arc::from(""), None);
    };
    (message.text().unwrap_or_else(|| Arc::from("")), message.tool_calls.and_then(tool_calls))
}

fn tool_calls(list: &RawValue) -> Option<ToolCalls> {
    let calls: Vec<Call<'_>> = serde_json::from_str(list.get()).ok()?;
    let ids: Arc<[Arc<str>]> = calls.into_iter().map(|call| Arc::from(call.id)).collect();
    (!ids.is_empty()).then(|| ToolCalls { ids, json: Arc::from(list.get()) })
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Vec<ChunkChoice<'a>>,
}

#[derive(Deserialize)]
struct ChunkChoice<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow)]
    delta: Option<Words<'a>>,
}

#[derive(Deserialize, Default)]
struct Whole<'a> {
    #[serde(borrow)]
    choices: Vec<WholeChoice<'a>>,
}

#[derive(Deserialize)]
struct WholeChoice<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow)]
    message: Option<Words<'a>>,
}

/// A message, or what a chunk adds to it.
#[derive(Deserialize)]
struct Words<'a> {
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    refusal: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

impl Words<'_> {
    fn text(&self) -> Option<Arc<str>> {
        [&self.content, &self.refusal].into_iter().flatten().find(|text| !text.is_empty()).map(|text| Arc::from(&**text))
    }
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[cfg(test)]
mod tests;

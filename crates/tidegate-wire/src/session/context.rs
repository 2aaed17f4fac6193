//! A session's conversation as a provider reads it.

use tidegate_core::session::{Context, Entry, Said};

use super::object::Object;
use crate::names::chat;

/// The `messages` of an OpenAI chat request: a JSON list, the system prompt first.
#[must_use]
pub fn messages(context: &Context<'_>) -> Vec<u8> {
    let mut out = vec![b'['];
    if let Some(system) = context.system {
        let mut message = Object::begin(&mut out, chat::ROLE, chat::SYSTEM);
        message.text(chat::CONTENT, system);
        message.end();
    }
    for entry in context.past.iter().chain(context.said) {
        if out.len() > 1 {
            out.push(b',');
        }
        write_entry(entry, &mut out);
    }
    out.push(b']');
    out
}

fn write_entry(entry: &Entry, out: &mut Vec<u8>) {
    let mut message = Object::begin(out, chat::ROLE, role(&entry.said));
    match &entry.said {
        Said::User(text) => {
            message.text(chat::CONTENT, text);
        }
        // A message that only calls tools has no content: some servers refuse an empty one.
        Said::Assistant { text, calls: Some(calls) } if text.is_empty() => message.raw(chat::TOOL_CALLS, &calls.json),
        Said::Assistant { text, calls } => {
            message.text(chat::CONTENT, text);
            if let Some(calls) = calls {
                message.raw(chat::TOOL_CALLS, &calls.json);
            }
        }
        Said::Tool { call, text } => {
            message.text(chat::TOOL_CALL_ID, call).text(chat::CONTENT, text);
        }
    }
    message.end();
}

fn role(said: &Said) -> &'static str {
    match said {
        Said::User(_) => chat::USER,
        Said::Assistant { .. } => chat::ASSISTANT,
        Said::Tool { .. } => chat::TOOL,
    }
}

#[cfg(test)]
mod tests;

//! What a client says.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde_json::value::RawValue;
use tidegate_core::id::{SessionId, TaskId};
use tidegate_core::session::{ClientMessage, Code, Prompt};

use crate::json;
use crate::names::session as names;

/// Longest own id of a prompt, in characters: a UUID takes 36.
const MAX_ID_CHARS: usize = 128;
/// Longest model name in characters, as in a request over HTTP.
const MAX_MODEL_CHARS: usize = 256;

/// What is wrong with a frame, for its sender. It never repeats what the frame said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, and what to send instead.
    pub message: Arc<str>,
}

impl Fault {
    /// Its code on the wire.
    pub const CODE: Code = Code::InvalidMessage;
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// Reads a message from the payload of a text or binary frame.
///
/// Members that the message's type does not have are ignored. Of a member that stands twice, the last counts; an optional one that is null
/// is left out.
///
/// # Errors
///
/// [`Fault`] where the payload is not a JSON object of a known type, or one of that type's members is missing or wrong.
pub fn read(payload: &[u8]) -> Result<ClientMessage, Fault> {
    let text = std::str::from_utf8(payload).map_err(|_| fault("the message is not UTF-8; send JSON in UTF-8"))?;
    let members = Members::read(text)?;
    let kind = members.kind.and_then(json::string);
    match kind.as_deref() {
        Some(names::PROMPT) => members.prompt().map(ClientMessage::Prompt),
        Some(names::CANCEL) => {
            let task = text_of(names::TASK_ID, members.task_id, "the id of a task, as its ACK told it")?;
            Ok(ClientMessage::Cancel(TaskId::parse(&task)))
        }
        Some(names::RESUME) => {
            let session = text_of(names::SESSION_ID, members.session_id, "the id of a session, as its ACK or SESSION told it")?;
            Ok(ClientMessage::Resume { session: SessionId::parse(&session), last_seq: last_seq(members.last_seq)? })
        }
        Some(names::RESET) => Ok(ClientMessage::Reset),
        Some(names::PING) => Ok(ClientMessage::Ping),
        _ => Err(fault(format!(
            "`{}` must be one of \"{}\", \"{}\", \"{}\", \"{}\" and \"{}\"",
            names::TYPE,
            names::PROMPT,
            names::CANCEL,
            names::RESUME,
            names::RESET,
            names::PING
        ))),
    }
}

/// The members of any message, each as it came.
#[derive(Default)]
struct Members<'a> {
    kind: Option<&'a RawValue>,
    content: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    model: Option<&'a RawValue>,
    system: Option<&'a RawValue>,
    max_tokens: Option<&'a RawValue>,
    task_id: Option<&'a RawValue>,
    session_id: Option<&'a RawValue>,
    last_seq: Option<&'a RawValue>,
}

impl<'a> Members<'a> {
    fn read(text: &'a str) -> Result<Self, Fault> {
        let mut members = Self::default();
        json::each_member(text, |key, value| {
            let Some(member) = json::string(key).and_then(|key| members.member(&key)) else { return };
            *member = (value.get() != "null").then_some(value);
        })
        .map_err(|error| not_an_object(&error))?;
        Ok(members)
    }

    fn member(&mut self, key: &str) -> Option<&mut Option<&'a RawValue>> {
        Some(match key {
            names::TYPE => &mut self.kind,
            names::CONTENT => &mut self.content,
            names::ID => &mut self.id,
            names::MODEL => &mut self.model,
            names::SYSTEM => &mut self.system,
            names::MAX_TOKENS => &mut self.max_tokens,
            names::TASK_ID => &mut self.task_id,
            names::SESSION_ID => &mut self.session_id,
            names::LAST_SEQ => &mut self.last_seq,
            _ => return None,
        })
    }

    fn prompt(&self) -> Result<Prompt, Fault> {
        let content = text_of(names::CONTENT, self.content, "what the user says, as text")?;
        if content.is_empty() {
            return Err(fault(format!("`{}` is empty; send what the user says", names::CONTENT)));
        }
        Ok(Prompt {
            content,
            id: name_of(names::ID, self.id, MAX_ID_CHARS)?,
            model: name_of(names::MODEL, self.model, MAX_MODEL_CHARS)?,
            system: self.system.map(|system| text_of(names::SYSTEM, Some(system), "the system prompt, as text")).transpose()?,
            max_tokens: max_tokens(self.max_tokens)?,
        })
    }
}

fn text_of(name: &str, value: Option<&RawValue>, what: &str) -> Result<Arc<str>, Fault> {
    let text = value.and_then(json::string).ok_or_else(|| fault(format!("`{name}` must be {what}")))?;
    Ok(Arc::from(&*text))
}

/// A name that may be left out.
fn name_of(name: &str, value: Option<&RawValue>, most: usize) -> Result<Option<Arc<str>>, Fault> {
    let Some(value) = value else { return Ok(None) };
    let is_name = |text: &str| !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control);
    match json::string(value).filter(|text| is_name(text)) {
        Some(text) => Ok(Some(Arc::from(&*text))),
        None => Err(fault(format!("`{name}` must be text of 1 to {most} printable characters; shorten it or leave it out"))),
    }
}

fn max_tokens(value: Option<&RawValue>) -> Result<Option<NonZeroU32>, Fault> {
    let Some(value) = value else { return Ok(None) };
    let most = value
        .get()
        .parse()
        .map_err(|_| fault(format!("`{}` must be a whole number from 1 to {}; leave it out for no bound", names::MAX_TOKENS, u32::MAX)))?;
    Ok(Some(most))
}

fn last_seq(value: Option<&RawValue>) -> Result<u64, Fault> {
    let wrong = || fault(format!("`{}` must be the `{}` of the last message that was seen, 0 for none", names::LAST_SEQ, names::SEQ));
    value.and_then(|value| value.get().parse().ok()).ok_or_else(wrong)
}

fn not_an_object(error: &serde_json::Error) -> Fault {
    if error.is_data() {
        return fault(format!("the message must be a JSON object with a `{}`", names::TYPE));
    }
    fault(format!("the message is not valid JSON: see line {}, column {}", error.line(), error.column()))
}

fn fault(message: impl Into<Arc<str>>) -> Fault {
    Fault { message: message.into() }
}

#[cfg(test)]
mod tests;

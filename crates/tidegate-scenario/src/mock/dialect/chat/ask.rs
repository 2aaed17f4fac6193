//! Reads a chat request the way a strict provider does.

use serde_json::{Map, Value};

/// What the mock understands of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    /// Each event carries a random-looking text that hides its length, as OpenAI's do by default.
    pub(crate) obfuscates: bool,
    pub(crate) choices: u32,
    /// Words in the messages: near enough to tokens, and easy to check.
    pub(crate) prompt_tokens: u64,
}

/// Why a request is refused with 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) message: String,
    /// The field at fault.
    pub(crate) param: Option<&'static str>,
}

/// Most answers to one request.
const MAX_CHOICES: u64 = 128;

const ROLES: [&str; 6] = ["developer", "system", "user", "assistant", "tool", "function"];

impl Ask {
    /// Reads the body of a request.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Refused> {
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else { return Err(refused(None, "the body is not a JSON object")) };
        let model = match body.get("model") {
            Some(Value::String(model)) if !model.is_empty() => model.clone(),
            None => return Err(refused(Some("model"), "you must provide a model parameter")),
            Some(_) => return Err(refused(Some("model"), "model must be a text that is not empty")),
        };
        let stream = optional_flag(&body, "stream")?.unwrap_or(false);
        let options = match body.get("stream_options") {
            None | Some(Value::Null) => &Map::new(),
            Some(Value::Object(options)) if stream => options,
            Some(_) => return Err(refused(Some("stream_options"), "stream_options must be an object, and is only allowed with stream")),
        };
        Ok(Self {
            model,
            stream,
            include_usage: optional_flag(options, "include_usage")?.unwrap_or(false),
            obfuscates: optional_flag(options, "include_obfuscation")?.unwrap_or(true),
            choices: choices(&body)?,
            prompt_tokens: prompt_words(&body)?,
        })
    }
}

fn optional_flag(object: &Map<String, Value>, name: &'static str) -> Result<Option<bool>, Refused> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(refused(Some(name), "it must be true or false")),
    }
}

fn choices(body: &Map<String, Value>) -> Result<u32, Refused> {
    let n = body.get("n").filter(|n| !n.is_null()).map_or(Some(1), Value::as_u64);
    let n = n.filter(|n| (1..=MAX_CHOICES).contains(n)).and_then(|n| u32::try_from(n).ok());
    n.ok_or_else(|| refused(Some("n"), "n must be a number from 1 to 128"))
}

fn prompt_words(body: &Map<String, Value>) -> Result<u64, Refused> {
    let messages = body.get("messages").and_then(Value::as_array).filter(|messages| !messages.is_empty());
    let messages = messages.ok_or_else(|| refused(Some("messages"), "messages must be a list with at least one message"))?;
    if !messages.iter().all(|message| message["role"].as_str().is_some_and(|role| ROLES.contains(&role))) {
        return Err(refused(Some("messages"), "each message needs a role: developer, system, user, assistant, tool or function"));
    }
    let words = |text: &Value| text.as_str().map_or(0, |text| text.split_whitespace().count());
    let count = |message: &Value| match &message["content"] {
        Value::Array(parts) => parts.iter().map(|part| words(&part["text"])).sum(),
        content => words(content),
    };
    Ok(messages.iter().map(count).sum::<usize>() as u64)
}

fn refused(param: Option<&'static str>, message: &str) -> Refused {
    Refused { message: message.to_owned(), param }
}

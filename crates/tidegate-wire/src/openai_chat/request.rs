//! A chat request: read once, and written again for each attempt with every value as it came.
//!
//! The file is long because reading and writing have to agree on every member that the gateway understands.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json;
use crate::names::chat;

/// Most choices that one request may ask for: OpenAI's bound.
const MAX_CHOICES: u32 = 128;
/// Longest model name in characters. No provider has one of half this length.
const MAX_MODEL_CHARS: usize = 256;
/// Largest body that is normalised, in bytes: it is read into a tree, on the way of a request.
const MAX_NORMALISED: usize = 1024 * 1024;
/// Most members of the request's object. OpenAI knows fewer than forty.
const MAX_MEMBERS: usize = 1024;

/// What is wrong with a request, for its sender. It never repeats what the request said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFault {
    /// The member that it is about; `None` if it is about the body as a whole.
    pub param: Option<&'static str>,
    /// What is wrong, and what to send instead.
    pub message: String,
}

impl fmt::Display for RequestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RequestFault {}

/// A chat request. Clones share the body's memory.
///
/// Of a member that stands twice, the last counts, as everywhere in JSON; where the gateway understands the member, the provider sees only
/// that one, so that both have read the same request.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    body: Bytes,
    members: Vec<Member>,
    model: Box<str>,
    stream: bool,
    wants_usage: bool,
    choices: u32,
    max_output_tokens: Option<u64>,
    /// The gateway's own bound: no member of the body says it.
    imposed_bound: Option<u64>,
    asks_for_thinking: bool,
}

/// A member of the request as it came, the key in its quotes.
#[derive(Debug, Clone)]
struct Member {
    field: Field,
    key: Bytes,
    value: Bytes,
}

/// The members that the gateway understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Model,
    Messages,
    Stream,
    StreamOptions,
    N,
    MaxCompletionTokens,
    MaxTokens,
    ReasoningEffort,
    Reasoning,
    Thinking,
    ServiceTier,
    Other,
}

impl Field {
    fn of(key: &str) -> Self {
        match key {
            chat::MODEL => Self::Model,
            chat::MESSAGES => Self::Messages,
            chat::STREAM => Self::Stream,
            chat::STREAM_OPTIONS => Self::StreamOptions,
            chat::N => Self::N,
            chat::MAX_COMPLETION_TOKENS => Self::MaxCompletionTokens,
            chat::MAX_TOKENS => Self::MaxTokens,
            chat::REASONING_EFFORT => Self::ReasoningEffort,
            chat::REASONING => Self::Reasoning,
            chat::THINKING => Self::Thinking,
            chat::SERVICE_TIER => Self::ServiceTier,
            _ => Self::Other,
        }
    }
}

impl ChatRequest {
    /// Reads a request's body.
    ///
    /// # Errors
    ///
    /// Where the body is not a JSON object, or a member that the gateway must understand is missing or wrong. Everything else is the
    /// provider's to judge.
    pub fn parse(body: Bytes) -> Result<Self, RequestFault> {
        let text = std::str::from_utf8(&body).map_err(|_| fault(None, "the body is not UTF-8; send JSON in UTF-8"))?;
        let mut members: Vec<(Field, &RawValue, &RawValue)> = Vec::new();
        let mut too_many = false;
        json::each_member(text, |key, value| {
            too_many |= members.len() == MAX_MEMBERS;
            if !too_many {
                members.push((json::string(key).map_or(Field::Other, |key| Field::of(&key)), key, value));
            }
        })
        .map_err(|error| not_json(&error))?;
        if too_many {
            return Err(fault(None, format!("the body has more than {MAX_MEMBERS} members; no chat request needs that many")));
        }
        keep_last_of_each(&mut members);

        let find = |field| members.iter().find(|(other, ..)| *other == field).map(|(_, _, value)| *value);
        if !find(Field::Messages).is_some_and(|messages| messages.get().starts_with('[')) {
            return Err(fault(Some(chat::MESSAGES), "`messages` must be a list of messages"));
        }
        let bound = find(Field::MaxCompletionTokens).and_then(number).or_else(|| find(Field::MaxTokens).and_then(number));
        Ok(Self {
            model: model(find(Field::Model))?,
            stream: flag(chat::STREAM, find(Field::Stream))?,
            wants_usage: includes_usage(find(Field::StreamOptions))?,
            choices: choices(find(Field::N))?,
            max_output_tokens: bound,
            imposed_bound: None,
            asks_for_thinking: takes_long(find(Field::ReasoningEffort), find(Field::ServiceTier))
                || find(Field::Reasoning).is_some_and(thinks)
                || find(Field::Thinking).is_some_and(thinks),
            members: members.into_iter().map(|(field, key, value)| Member::new(field, &body, key, value)).collect(),
            body,
        })
    }

    /// The gateway's own request for a streamed answer to `messages`, a JSON list.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`]: the model's name may be nobody's.
    pub fn streamed(model: &str, messages: &[u8]) -> Result<Self, RequestFault> {
        let mut body = Vec::with_capacity(messages.len() + model.len() + 64);
        body.push(b'{');
        write_key(&mut body, quoted(chat::MODEL).as_bytes());
        json::write_string(&mut body, model);
        write_key(&mut body, quoted(chat::MESSAGES).as_bytes());
        body.extend_from_slice(messages);
        write_key(&mut body, quoted(chat::STREAM).as_bytes());
        body.extend_from_slice(b"true}");
        Self::parse(body.into())
    }

    /// The same request for an answer of at most `most` tokens. Each provider reads the bound under the name that its model knows.
    #[must_use]
    pub fn bounded(mut self, most: u64) -> Self {
        self.imposed_bound = Some(most);
        self
    }

    /// The model as the client names it: 1 to 256 characters, none of them a control character.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// It asks for a streamed answer.
    #[must_use]
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// It asks for the chunk with usage at the end of the stream.
    #[must_use]
    pub fn wants_usage(&self) -> bool {
        self.wants_usage
    }

    /// How many choices it asks for: 1 to 128.
    #[must_use]
    pub fn choices(&self) -> u32 {
        self.choices
    }

    /// The longest answer that it asks for, in tokens, reasoning included; `None` if it sets no bound.
    #[must_use]
    pub fn max_output_tokens(&self) -> Option<u64> {
        self.max_output_tokens.into_iter().chain(self.imposed_bound).min()
    }

    /// It asks for a slow answer, whatever the model: reasoning of at least medium effort in one of the dialect's forms, or the flex tier.
    #[must_use]
    pub fn asks_for_thinking(&self) -> bool {
        self.asks_for_thinking
    }

    /// What tells this request from another, whichever way its answer is handed over: its members in the order of their names, without
    /// those that only say how to stream. Equal requests with other spacing or order give the same bytes.
    ///
    /// `None` for what is larger than 1 MiB, and for the odd body that is JSON and yet no text or number that could be compared (half a
    /// surrogate, `1e999`, lists in lists without end): two of them are never taken for the same.
    #[must_use]
    pub fn normalised(&self) -> Option<Vec<u8>> {
        if self.body.len() > MAX_NORMALISED {
            return None;
        }
        // serde_json's map sorts its keys, on every level.
        let mut members: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&self.body).ok()?;
        members.remove(chat::STREAM);
        members.remove(chat::STREAM_OPTIONS);
        serde_json::to_vec(&members).ok()
    }

    /// The body for a provider: its `model`, and streamed or not. A streamed one always asks for usage. With `max_tokens`, the answer is no
    /// longer than that, whatever the client asked for.
    ///
    /// All other members keep their order and every value its bytes; space between members goes.
    #[must_use]
    pub fn upstream_body(&self, model: &str, stream: bool, max_tokens: Option<u64>) -> Bytes {
        let imposed = max_tokens.into_iter().chain(self.imposed_bound).min();
        let bound = imposed.map(|most| self.max_output_tokens.map_or(most, |asked| asked.min(most)));
        let mut missing_bound = bound;
        let mut out = Vec::with_capacity(self.body.len() + model.len() + 64);
        let mut missing_options = stream;
        let mut missing_stream = stream;
        out.push(b'{');
        for member in &self.members {
            // A client that asked for a stream may send its options; with a whole answer they would be refused.
            if member.field == Field::StreamOptions && self.stream && !stream {
                continue;
            }
            write_key(&mut out, &member.key);
            match member.field {
                Field::MaxCompletionTokens | Field::MaxTokens if bound.is_some() => {
                    missing_bound = None;
                    out.extend_from_slice(bound.unwrap_or_default().to_string().as_bytes());
                }
                Field::Model => json::write_string(&mut out, model),
                Field::Stream => {
                    missing_stream = false;
                    out.extend_from_slice(if stream { b"true" } else { b"false" });
                }
                Field::StreamOptions if stream => {
                    missing_options = false;
                    write_options(&mut out, &member.value);
                }
                _ => out.extend_from_slice(&member.value),
            }
        }
        if let Some(bound) = missing_bound {
            write_key(&mut out, quoted(bound_name(model)).as_bytes());
            out.extend_from_slice(bound.to_string().as_bytes());
        }
        if missing_stream {
            write_key(&mut out, quoted(chat::STREAM).as_bytes());
            out.extend_from_slice(b"true");
        }
        if missing_options {
            write_key(&mut out, quoted(chat::STREAM_OPTIONS).as_bytes());
            write_options(&mut out, b"{}");
        }
        out.push(b'}');
        out.into()
    }
}

impl Member {
    fn new(field: Field, body: &Bytes, key: &RawValue, value: &RawValue) -> Self {
        Self { field, key: body.slice_ref(key.get().as_bytes()), value: body.slice_ref(value.get().as_bytes()) }
    }
}

/// Drops all but the last of each member that the gateway understands.
fn keep_last_of_each(members: &mut Vec<(Field, &RawValue, &RawValue)>) {
    let mut seen = Vec::new();
    members.reverse();
    members.retain(|(field, ..)| {
        let is_new = *field == Field::Other || !seen.contains(field);
        seen.extend((is_new && *field != Field::Other).then_some(*field));
        is_new
    });
    members.reverse();
}

fn model(value: Option<&RawValue>) -> Result<Box<str>, RequestFault> {
    let name = value.and_then(json::string).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| fault(Some(chat::MODEL), "`model` must be the name of a model, as text"))?;
    if name.chars().count() > MAX_MODEL_CHARS || name.chars().any(char::is_control) {
        return Err(fault(Some(chat::MODEL), format!("`model` must have at most {MAX_MODEL_CHARS} printable characters")));
    }
    Ok(name.into())
}

/// A switch that may be left out or null, which is off.
fn flag(name: &'static str, value: Option<&RawValue>) -> Result<bool, RequestFault> {
    match value.map(RawValue::get) {
        None | Some("null" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(fault(Some(name), format!("`{name}` must be true or false"))),
    }
}

fn includes_usage(options: Option<&RawValue>) -> Result<bool, RequestFault> {
    let Some(options) = options.filter(|options| options.get() != "null") else {
        return Ok(false);
    };
    let mut include = None;
    json::each_member(options.get(), |key, value| {
        if json::string(key).as_deref() == Some(chat::INCLUDE_USAGE) {
            include = Some(value);
        }
    })
    .map_err(|_| fault(Some(chat::STREAM_OPTIONS), format!("`{}` must be an object", chat::STREAM_OPTIONS)))?;
    flag(chat::INCLUDE_USAGE, include)
}

fn choices(value: Option<&RawValue>) -> Result<u32, RequestFault> {
    let Some(value) = value.filter(|value| value.get() != "null") else {
        return Ok(1);
    };
    let count = value.get().parse().ok().filter(|count| (1..=MAX_CHOICES).contains(count));
    count.ok_or_else(|| fault(Some(chat::N), format!("`n` must be a whole number from 1 to {MAX_CHOICES}")))
}

fn number(value: &RawValue) -> Option<u64> {
    value.get().parse().ok()
}

fn takes_long(effort: Option<&RawValue>, tier: Option<&RawValue>) -> bool {
    effort.is_some_and(is_effort) || tier.is_some_and(|tier| tier.get() == r#""flex""#)
}

/// Medium or more, of `none minimal low medium high xhigh max`.
fn is_effort(value: &RawValue) -> bool {
    matches!(value.get(), r#""medium""# | r#""high""# | r#""xhigh""# | r#""max""#)
}

/// The forms in which other servers take the wish to think: OpenRouter's `reasoning`, and `thinking` with a type or a budget.
fn thinks(value: &RawValue) -> bool {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Wish<'a> {
        #[serde(borrow)]
        effort: Option<&'a RawValue>,
        #[serde(borrow)]
        enabled: Option<&'a RawValue>,
        #[serde(borrow)]
        max_tokens: Option<&'a RawValue>,
        #[serde(borrow, rename = "type")]
        kind: Option<&'a RawValue>,
    }
    let is_set = |value: Option<&RawValue>, wanted: &[&str]| value.is_some_and(|value| wanted.contains(&value.get()));
    match value.get() {
        "true" => true,
        object => serde_json::from_str::<Wish<'_>>(object).is_ok_and(|wish| {
            wish.effort.is_some_and(is_effort)
                || is_set(wish.enabled, &["true"])
                || wish.max_tokens.and_then(number).is_some_and(|tokens| tokens > 0)
                || is_set(wish.kind, &[r#""enabled""#, r#""adaptive""#])
        }),
    }
}

/// What bounds the answer of this model: OpenAI's reasoning models refuse the old name, and most other servers know no other.
fn bound_name(model: &str) -> &'static str {
    let name = model.rsplit('/').next().unwrap_or(model);
    let is_new = ["o1", "o3", "o4", "gpt-5"].iter().any(|family| name.starts_with(family));
    if is_new { chat::MAX_COMPLETION_TOKENS } else { chat::MAX_TOKENS }
}

fn write_key(out: &mut Vec<u8>, key: &[u8]) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.extend_from_slice(key);
    out.push(b':');
}

/// The client's stream options, with usage asked for.
fn write_options(out: &mut Vec<u8>, options: &[u8]) {
    out.push(b'{');
    // Reading has shown that they are an object, or null, which has no members either.
    let text = std::str::from_utf8(options).unwrap_or_default();
    let _null_has_none = json::each_member(text, |key, value| {
        if json::string(key).as_deref() != Some(chat::INCLUDE_USAGE) {
            write_key(out, key.get().as_bytes());
            out.extend_from_slice(value.get().as_bytes());
        }
    });
    write_key(out, quoted(chat::INCLUDE_USAGE).as_bytes());
    out.extend_from_slice(b"true}");
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn not_json(error: &serde_json::Error) -> RequestFault {
    if error.is_data() {
        return fault(None, "the body must be a JSON object");
    }
    fault(None, format!("the body is not valid JSON: see line {}, column {}", error.line(), error.column()))
}

fn fault(param: Option<&'static str>, message: impl Into<String>) -> RequestFault {
    RequestFault { param, message: message.into() }
}

#[cfg(test)]
mod tests;

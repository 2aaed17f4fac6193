//! What a provider's error means: an answer with an error status, or an error inside a stream.

use serde_json::Value;
use tidegate_core::failure::{Blame, Failure};

use crate::names::{chat, chat_errors};

/// How much of a provider's reason is passed on, in characters.
const MAX_MESSAGE_CHARS: usize = 500;
/// How much of a provider's code or parameter is kept, in characters.
const MAX_WORD_CHARS: usize = 64;

/// What a provider's error means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// Its row in the table.
    pub failure: Failure,
    /// The provider's reason, at most 500 characters in one line. Kept only where the client is to blame and has to read it; elsewhere it may
    /// tell of the gateway's own account.
    pub message: Option<String>,
    /// The provider's code, or else its type, at most 64 characters: a word such as `context_length_exceeded`, or a number as text.
    pub code: Option<String>,
    /// The member of the request that the provider blames, at most 64 characters. Kept where the reason is.
    pub param: Option<String>,
}

/// Reads an answer with an error status (or any that is no success). The body may be anything, also cut short.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> ProviderError {
    let report = Report::read(body);
    let reason = report.reason();
    let failure = match (status, reason) {
        // The code knows better than the status: a 429 may be an unpaid bill, which no waiting helps.
        (400..=499, Some(Failure::ContextTooLong(_))) => Failure::ContextTooLong(status),
        (400..=499, Some(reason @ (Failure::ContentBlocked | Failure::UpstreamCredentials | Failure::UpstreamRateLimited))) => reason,
        _ => by_status(status),
    };
    report.with(failure)
}

/// Reads an error that came with a status of success: inside a stream, or as a whole answer.
#[must_use]
pub fn read_event(json: &[u8]) -> ProviderError {
    let report = Report::read(json);
    let failure = report.reason().unwrap_or(Failure::UpstreamError);
    report.with(failure)
}

fn by_status(status: u16) -> Failure {
    match status {
        401..=403 => Failure::UpstreamCredentials,
        429 => Failure::UpstreamRateLimited,
        408 | 500..=599 => Failure::UpstreamError,
        400..=499 => Failure::UpstreamRejected(status),
        // Also a redirect: following it would carry the key elsewhere.
        _ => Failure::UpstreamMalformed,
    }
}

/// An error's members, wherever the server put them.
#[derive(Debug, Default)]
struct Report {
    message: Option<String>,
    code: Option<String>,
    kind: Option<String>,
    param: Option<String>,
    /// A moderation's reasons are given (OpenRouter answers 403 then).
    is_flagged: bool,
    /// The message says that the request is too long for the model.
    is_too_long: bool,
}

impl Report {
    /// Knows `{"error":{…}}`, `{"error":"…"}`, the flat form, FastAPI's `{"detail":…}`, and Gemini's list of one. Empty for anything else.
    fn read(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return Self::default();
        };
        let value = value.get(0).unwrap_or(&value);
        let error = value.get(chat::ERROR).filter(|error| !error.is_null()).unwrap_or(value);
        let detail = value.get(chat_errors::DETAIL);
        let message = [error.get(chat::MESSAGE), Some(error), detail, detail.and_then(|detail| detail.pointer(chat_errors::FIRST_DETAIL))];
        let message = message.into_iter().flatten().find_map(Value::as_str).and_then(|text| clean(text, MAX_MESSAGE_CHARS));
        Self {
            is_too_long: message.as_ref().is_some_and(|text| text.to_lowercase().contains(chat_errors::CONTEXT_MESSAGE)),
            message,
            code: word(error.get(chat::CODE)),
            kind: word(error.get(chat::TYPE)),
            param: word(error.get(chat::PARAM)),
            is_flagged: error.pointer(chat_errors::MODERATION_REASONS).is_some_and(Value::is_array),
        }
    }

    /// What the code says, or else the type.
    fn reason(&self) -> Option<Failure> {
        if self.is_flagged {
            return Some(Failure::ContentBlocked);
        }
        if self.is_too_long {
            return Some(Failure::ContextTooLong(400));
        }
        [&self.code, &self.kind].into_iter().flatten().find_map(|word| by_word(word))
    }

    fn with(self, failure: Failure) -> ProviderError {
        let for_client = failure.facts().blame == Blame::Client;
        let (message, param) = if for_client { (self.message, self.param) } else { (None, None) };
        ProviderError { failure, message, code: self.code.or(self.kind), param }
    }
}

fn by_word(word: &str) -> Option<Failure> {
    let is_in = |list: &[&str]| list.iter().any(|known| word.eq_ignore_ascii_case(known));
    if let Ok(status) = word.parse::<u16>() {
        return Some(by_status(status)).filter(|failure| *failure != Failure::UpstreamMalformed);
    }
    if is_in(chat_errors::CONTENT) {
        Some(Failure::ContentBlocked)
    } else if is_in(chat_errors::CREDENTIALS) {
        Some(Failure::UpstreamCredentials)
    } else if is_in(chat_errors::RATE) {
        Some(Failure::UpstreamRateLimited)
    } else if is_in(chat_errors::CONTEXT) {
        Some(Failure::ContextTooLong(400))
    } else if is_in(chat_errors::REQUEST) || word.starts_with(chat_errors::REQUEST_PREFIX) {
        Some(Failure::UpstreamRejected(400))
    } else {
        None
    }
}

/// A short text or a number, as text.
fn word(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => clean(text, MAX_WORD_CHARS),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `text` in one line without control characters, cut at `max` characters; `None` if nothing is left.
fn clean(text: &str, max: usize) -> Option<String> {
    let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let text: String = spaced.filter(|c| !c.is_control()).take(max).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;

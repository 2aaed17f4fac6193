//! The conversation of a session, and what of it fits into a model's context.
//!
//! A conversation is a row of *turns*, each what was said to the model and what it answered. Only whole answers enter it. A tool call and
//! its result are never parted: a message that answers calls belongs to the turn that made them, and turns go as a whole, oldest first.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What every message costs beside its text: who speaks, and where it begins and ends (OpenAI's cookbook counts 3 or 4).
const FRAME: u64 = 4;
/// Room for the answer where the prompt sets no bound, in tokens: as much as most answers need, but no more than a quarter of the context.
const ANSWER: u64 = 4096;

/// A text and its length in tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The text.
    pub text: Arc<str>,
    /// Its tokens, without the message's frame.
    pub tokens: u64,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What was said, and by whom.
    pub said: Said,
    /// Its tokens, without the message's frame.
    pub tokens: u64,
}

/// What was said, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// By the user.
    User(Arc<str>),
    /// By the model.
    Assistant {
        /// Its words; empty if it only called tools.
        text: Arc<str>,
        /// The tools that it called.
        calls: Option<ToolCalls>,
    },
    /// By a tool: the result of one call.
    Tool {
        /// The call's id.
        call: Arc<str>,
        /// The result.
        text: Arc<str>,
    },
}

/// The tools that a model called in one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCalls {
    /// Each call's id.
    pub ids: Arc<[Arc<str>]>,
    /// The calls as the model made them: a JSON list in the form of OpenAI Chat Completions.
    pub json: Arc<str>,
}

/// What is said to the model next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    system: Option<Counted>,
    said: Vec<Entry>,
}

/// What was said to the model, and its whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    system: Option<Counted>,
    entries: Vec<Entry>,
}

impl Ask {
    /// The turn that this became by the model's whole answer.
    #[must_use]
    pub fn answered(self, text: Counted, calls: Option<ToolCalls>) -> Turn {
        let mut entries = self.said;
        entries.push(Entry { said: Said::Assistant { text: text.text, calls }, tokens: text.tokens });
        Turn { system: self.system, entries }
    }
}

impl Turn {
    /// What a history of `most_bytes` can do with it. Of one that is too large by itself, only the system prompt is left, and that there was
    /// one.
    #[must_use]
    pub fn bounded(mut self, most_bytes: usize) -> Self {
        if self.bytes() > most_bytes {
            self.entries = Vec::new();
        }
        self
    }

    fn bytes(&self) -> usize {
        self.entries.iter().map(Entry::bytes).sum()
    }
}

/// How much a model can read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The model's context, in tokens: all it reads and writes. `None`: not known, so nothing is left out.
    pub window: Option<u64>,
    /// The longest answer, as the prompt sets it.
    pub max_tokens: Option<NonZeroU32>,
}

/// What is sent to the model: the system prompt, then what is left of the past, then what is said now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The system prompt.
    pub system: Option<&'a str>,
    /// What was said before, without the oldest turns where the model's context is too small for them.
    pub past: &'a [Entry],
    /// What is said now.
    pub said: &'a [Entry],
    /// How many messages of the past were left out.
    pub left_out: usize,
    /// Tokens of all of it, frames included.
    pub tokens: u64,
}

/// What is said now does not fit into the model's context, even without the past: the end of its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    /// The member of the prompt that is to blame.
    pub member: Member,
    /// How many tokens there are for it.
    pub room: u64,
}

/// A member of a prompt that can be too much for a model's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// What the user says.
    Content,
    /// The system prompt.
    System,
    /// The longest answer.
    MaxTokens,
}

/// The conversation of one session.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct History {
    system: Option<Counted>,
    entries: Vec<Entry>,
    bytes: usize,
}

impl History {
    /// Every message that is kept, oldest first, without the system prompt.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What a prompt says to the model: a message of the user's or, where the model's last word was to call tools, the result of each of
    /// those calls, without which no provider takes the conversation back.
    ///
    /// `system` replaces the system prompt from this turn on; an empty one takes it away.
    #[must_use]
    pub fn ask(&self, content: &Counted, system: Option<Counted>) -> Ask {
        let entry = |said| Entry { said, tokens: content.tokens };
        let said = match self.entries.last() {
            Some(Entry { said: Said::Assistant { calls: Some(calls), .. }, .. }) if !calls.ids.is_empty() => {
                let result = |call: &Arc<str>| entry(Said::Tool { call: Arc::clone(call), text: Arc::clone(&content.text) });
                calls.ids.iter().map(result).collect()
            }
            _ => vec![entry(Said::User(Arc::clone(&content.text)))],
        };
        Ask { system, said }
    }

    /// What of the conversation is sent with `ask`, so that the answer has room too.
    ///
    /// The counts are taken as they are: where they are another tokenizer's estimates, `room` has to leave a margin.
    ///
    /// # Errors
    ///
    /// [`TooLong`] where the prompt, the system prompt and the answer do not fit even without the past.
    pub fn fit<'a>(&'a self, ask: &'a Ask, room: Room) -> Result<Context<'a>, TooLong> {
        let system = ask.system.as_ref().or(self.system.as_ref()).filter(|system| !system.text.is_empty());
        let for_system = system.map_or(0, |system| framed(system.tokens));
        // What answers a tool call stays with the turn that made it.
        let last_start = if ask.begins_a_turn() { self.entries.len() } else { self.starts().next_back().unwrap_or(0) };
        let (answered, said) = (size(&self.entries[last_start..]), size(&ask.said));
        let left = match room.window {
            None => u64::MAX,
            Some(window) => room.for_past(window, for_system, answered, said)?,
        };
        let start = self.first_that_fits(last_start, left);
        let past = &self.entries[start..];
        Ok(Context {
            system: system.map(|system| &*system.text),
            past,
            said: &ask.said,
            left_out: start,
            tokens: for_system.saturating_add(size(&ask.said)).saturating_add(size(past)),
        })
    }

    /// A turn came to its end. What is kept of the conversation stays within `most_bytes`.
    pub(super) fn push(&mut self, turn: Turn, most_bytes: usize) {
        let turn = turn.bounded(most_bytes);
        if turn.entries.is_empty() {
            // What was said before it goes with it, as with any that is forgotten.
            (self.entries, self.bytes) = (Vec::new(), 0);
        }
        self.bytes += turn.bytes();
        if turn.system.is_some() {
            self.system = turn.system;
        }
        self.entries.extend(turn.entries);
        while self.bytes > most_bytes {
            let end = self.starts().find(|start| *start > 0).unwrap_or(self.entries.len());
            self.bytes -= self.entries.drain(..end).map(|entry| entry.bytes()).sum::<usize>();
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Where the longest row of whole turns before `end` begins that is no longer than `left` tokens.
    fn first_that_fits(&self, end: usize, left: u64) -> usize {
        let (mut start, mut tokens) = (end, 0_u64);
        for (at, entry) in self.entries[..end].iter().enumerate().rev() {
            tokens = tokens.saturating_add(framed(entry.tokens));
            if tokens > left {
                break;
            }
            if entry.begins_a_turn() {
                start = at;
            }
        }
        start
    }

    /// Where turns begin that can be parted from those before them.
    fn starts(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.entries.iter().enumerate().filter_map(|(at, entry)| entry.begins_a_turn().then_some(at))
    }
}

impl Ask {
    fn begins_a_turn(&self) -> bool {
        self.said.first().is_some_and(Entry::begins_a_turn)
    }
}

impl Room {
    /// What is left for the past when the answer, the system prompt, what is said and what goes with it have their room.
    fn for_past(self, window: u64, system: u64, answered: u64, said: u64) -> Result<u64, TooLong> {
        let answer = self.max_tokens.map_or(ANSWER.min(window / 4), |most| u64::from(most.get()));
        let for_prompt = window.saturating_sub(answer);
        let left_by = |others: &[u64]| others.iter().fold(for_prompt, |left, other| left.saturating_sub(*other));
        if for_prompt == 0 {
            Err(TooLong { member: Member::MaxTokens, room: window })
        } else if system.saturating_add(answered).saturating_add(said) <= for_prompt {
            Ok(left_by(&[system, answered, said]))
        } else if system > said {
            Err(TooLong { member: Member::System, room: left_by(&[said, answered, FRAME]) })
        } else {
            Err(TooLong { member: Member::Content, room: left_by(&[system, answered, FRAME]) })
        }
    }
}

impl Entry {
    /// What answers a tool call belongs to the turn that made it.
    fn begins_a_turn(&self) -> bool {
        matches!(self.said, Said::User(_))
    }

    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        let text = match &self.said {
            Said::User(text) => text.len(),
            Said::Assistant { text, calls } => text.len() + calls.as_ref().map_or(0, |calls| 2 * calls.json.len()),
            Said::Tool { call, text } => call.len() + text.len(),
        };
        size_of::<Self>() + text
    }
}

fn framed(tokens: u64) -> u64 {
    tokens.saturating_add(FRAME)
}

fn size(entries: &[Entry]) -> u64 {
    entries.iter().fold(0, |sum, entry| sum.saturating_add(framed(entry.tokens)))
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let room = self.room;
        match self.member {
            Member::Content => {
                write!(f, "`content` is too long: with all that goes with it, the model's context has room for {room} tokens of it")
            }
            Member::System => {
                write!(f, "`system` is too long: with all that goes with it, the model's context has room for {room} tokens of it")
            }
            Member::MaxTokens => {
                write!(f, "`max_tokens` is too large: the model's context holds {room} tokens, prompt and answer together")
            }
        }
    }
}

impl std::error::Error for TooLong {}

#[cfg(test)]
mod tests;

//! The scenario language.
//!
//! ```text
//! scenario := target (";" target)*
//! target   := name ":" script ("|" script)*          the n-th request takes the n-th script; the last one repeats
//! script   := step* ending?                          at least one of both; without an ending: `eof`
//!
//! step     := 20ms | 1s | 2m                         wait (us, ms, s, m, h)
//!           | 'text'                                 one event with this text
//!           | words N [every 20ms]                   N events with one word each, this far apart
//!           | reasoning 'text' | refusal 'text'      one event of hidden thinking; of a refusal
//!           | role | norole                          the role-only first event, now; never by itself before the first text
//!           | head                                   the answer's head now, instead of with the first event
//!           | comment | blank                        a comment line (`: ka`); an empty line
//!           | error 'text' | error-flat 'text' | error-openrouter 'text'    an error event inside the 200
//!           | malformed                              an event that is no JSON
//!           | finish ['reason'] | usage | done       the finishing event (`stop`), the usage event, `[DONE]`
//!           | chunk 'members' | data 'text' | raw 'bytes'    an event of your own: JSON members, data line, bare bytes
//!           | repeat N ( step* ) | N x ( step* ) | N x 'text'
//!           | bytes N | burst [N] | lines lf|crlf|cr | stamp    how everything after it is written
//!
//! ending   := end                                    finish, usage if it was asked for, `[DONE]`, end of body
//!           | eof                                    end of body here, well framed: nothing proves that the answer is whole
//!           | half                                   half an event, then the end of body, well framed
//!           | cut                                    the connection is reset
//!           | stall                                  silence until the peer leaves
//!           | refuse                                 the connection is closed before any byte of an answer
//!           | status N [code 'text'] [message 'text'] [retry-after 2s]    an HTTP error instead of a stream
//!           | answer N 'content/type' 'body'         any other HTTP answer instead of a stream
//!           | fixture name                           a recorded oddity; see [`fixtures`]
//! ```
//!
//! Quoted text knows `\'`, `\"`, `\\`, `\n`, `\r`, `\t`, `\0`, `\xHH` and `\u{HEX}`.

pub(crate) mod display;
pub mod fixtures;
mod parse;
pub mod walk;

use std::num::NonZeroU32;
use std::time::Duration;

pub use fixtures::Fixture;
pub use parse::ParseError;
pub(crate) use parse::parse_time;
pub use walk::{Beat, Walk};

/// What every target does. Parse one with [`str::parse`]; `Display` writes it back in its canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// The targets in the order written; names are unique.
    pub targets: Vec<Target>,
}

/// One target and what it does with each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The model name that selects it.
    pub name: String,
    /// One script for each request in turn, at least one. The last one serves all further requests.
    pub scripts: Vec<Script>,
}

/// What happens to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// How it ends.
    pub ending: Ending,
}

/// One thing that a provider does before the end of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Does nothing for this long.
    Wait(Duration),
    /// Sends the answer's head now, instead of with the first event.
    Head,
    /// Sends the role-only event now.
    Role,
    /// Does not send a role-only event by itself before the first text.
    NoRole,
    /// One event with this text.
    Text(String),
    /// `count` events with one word each and `gap` between two of them.
    Words {
        /// How many.
        count: u32,
        /// The silence between two words.
        gap: Duration,
    },
    /// One event of hidden thinking.
    Reasoning(String),
    /// One event of a refusal.
    Refusal(String),
    /// One event in the dialect's envelope with these JSON members, for example `"choices":[]`.
    Chunk(String),
    /// One event with exactly this data.
    Data(String),
    /// These bytes of the body, as they are.
    Raw(Vec<u8>),
    /// A comment line (`: ka`) and the blank line after it.
    Comment,
    /// An empty line: between events of a stream, before the JSON of a whole answer.
    Blank,
    /// An event whose data is no JSON.
    Malformed,
    /// The provider's error inside a 200.
    Error {
        /// How it is written.
        form: ErrorForm,
        /// Its message.
        text: String,
    },
    /// The finishing event with this reason.
    Finish(String),
    /// The usage event, asked for or not.
    Usage,
    /// The end marker of the dialect (`[DONE]`).
    Done,
    /// `steps`, `times` over.
    Repeat {
        /// How often, at least once.
        times: NonZeroU32,
        /// What is repeated.
        steps: Vec<Step>,
    },
    /// How bytes are grouped into writes from here on.
    Write(Write),
    /// How lines end from here on.
    Lines(LineEnd),
    /// From here on each event carries the time of its writing: `"t":` and [`crate::mock::monotonic_nanos`].
    Stamp,
}

/// How a script ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// A whole answer: finishing event, usage if it was asked for, end marker, end of body.
    End,
    /// The body ends here, well framed, whatever was said so far.
    Eof,
    /// Half an event, then a well framed end of body.
    Half,
    /// The connection is reset.
    Cut,
    /// Silence until the peer leaves.
    Stall,
    /// The connection is closed before any byte of an answer.
    Refuse,
    /// An HTTP error instead of a stream.
    Status(Status),
    /// Any other HTTP answer instead of a stream.
    Answer {
        /// Its status.
        status: u16,
        /// Its `content-type`.
        content_type: String,
        /// Its body.
        body: Vec<u8>,
    },
    /// A recorded oddity, with an ending of its own.
    Fixture(Fixture),
}

/// An HTTP error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// 300 to 599.
    pub status: u16,
    /// The error's `code`; the status's usual one when `None`.
    pub code: Option<String>,
    /// The error's `message`; a sentence with the status when `None`.
    pub message: Option<String>,
    /// Sent as `retry-after` in whole seconds, and as `retry-after-ms` when it is not whole.
    pub retry_after: Option<Duration>,
}

/// How an error inside a 200 is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{"error":{"message":…,"type":…,"param":null,"code":…}}`
    Nested,
    /// `{"object":"error","message":…,"code":…}`, as older vLLM writes it.
    Flat,
    /// A chunk with a top-level `error` and `finish_reason: "error"`, as OpenRouter writes it.
    OpenRouter,
}

/// How bytes are grouped into writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// So many events in one write; one is how every script starts. A wait sends what is gathered.
    Events(NonZeroU32),
    /// Everything up to the next wait in one write (of at most 64 KiB).
    Everything,
    /// Pieces of so many bytes, framing included.
    Bytes(NonZeroU32),
}

/// How lines of the event stream end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// `\n`
    Lf,
    /// `\r\n`
    CrLf,
    /// `\r`
    Cr,
}

impl Scenario {
    /// What the target `name` does with its `nth` request, counted from zero; `None` when there is no such target.
    #[must_use]
    pub fn script(&self, name: &str, nth: usize) -> Option<&Script> {
        let target = self.targets.iter().find(|target| target.name == name)?;
        target.scripts.get(nth).or(target.scripts.last())
    }
}

impl Step {
    /// A stream sends something by it.
    pub(crate) fn sends(&self) -> bool {
        match self {
            Self::Wait(_) | Self::NoRole | Self::Write(_) | Self::Lines(_) | Self::Stamp => false,
            Self::Repeat { steps, .. } => steps.iter().any(Self::sends),
            _ => true,
        }
    }
}

impl Script {
    /// Its steps one by one, repetitions, words and fixtures unrolled, the ending last.
    #[must_use]
    pub fn walk(&self) -> Walk<'_> {
        Walk::new(self)
    }

    /// All text that it shows, in order.
    #[must_use]
    pub fn text(&self) -> String {
        self.walk()
            .filter_map(|beat| match beat {
                Beat::Do(Step::Text(text)) => Some(text.as_str()),
                Beat::Word(n) => Some(crate::words::word(n)),
                _ => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;

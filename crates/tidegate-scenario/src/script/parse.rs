//! From text to a [`Scenario`], by recursive descent over the characters.

mod steps;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Ending, Scenario, Script, Step, Target};

/// Why a text is no scenario: where, what was expected, what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The place in the text, in characters, counted from zero.
    pub position: usize,
    /// What would have been right.
    pub expected: String,
    /// What is there instead.
    pub found: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {}: expected {}, found {}", self.position + 1, self.expected, self.found)
    }
}

impl std::error::Error for ParseError {}

impl FromStr for Scenario {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::new(text);
        let mut targets: Vec<Target> = Vec::new();
        loop {
            let start = parser.skip_space();
            let name = parser.target_name()?;
            if targets.iter().any(|target| target.name == name) {
                return Err(parser.error_at(start, "a new target; `|` adds a script to an old one"));
            }
            targets.push(Target { name, scripts: parser.scripts()? });
            if !parser.take(';') || parser.at_end() {
                break;
            }
        }
        parser.end()?;
        Ok(Self { targets })
    }
}

impl FromStr for Script {
    type Err = ParseError;

    /// Reads one script, without a target's name.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::new(text);
        let script = parser.script()?;
        parser.end()?;
        Ok(script)
    }
}

/// A time as scripts write it (`20ms`, `3s`); a bare number is seconds.
pub(crate) fn parse_time(text: &str) -> Option<Duration> {
    let mut parser = Parser::new(text);
    let time = parser.seconds_or_duration().ok()?;
    parser.end().ok().map(|()| time)
}

/// A place in a text. The `impl` here knows characters and numbers, the one in [`steps`] knows steps.
struct Parser<'t> {
    text: &'t str,
    at: usize,
    /// How many repetitions are open, so that hostile text cannot exhaust the stack.
    depth: usize,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    fn target_name(&mut self) -> Result<String, ParseError> {
        let start = self.skip_space();
        let rest = self.rest();
        let length = rest.find(|c: char| c.is_whitespace() || ":;|()'".contains(c)).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.error_at(start, "the name of a target"));
        }
        self.at += length;
        let name = rest[..length].to_owned();
        if self.take(':') { Ok(name) } else { Err(self.error("`:` after the target's name")) }
    }

    fn scripts(&mut self) -> Result<Vec<Script>, ParseError> {
        let mut scripts = vec![self.script()?];
        while self.take('|') {
            scripts.push(self.script()?);
        }
        Ok(scripts)
    }

    fn script(&mut self) -> Result<Script, ParseError> {
        let start = self.skip_space();
        let steps = self.steps()?;
        let before_ending = self.skip_space();
        let ending = self.ending()?;
        if steps.is_empty() && ending.is_none() {
            return Err(self.error_at(start, "a step such as `1s`, `'text'` or `end`"));
        }
        let ending = ending.unwrap_or(Ending::Eof);
        if ending.needs_unsent_head() && steps.iter().any(Step::sends) {
            return Err(self.error_at(before_ending, "nothing sent before an ending that is an HTTP answer of its own"));
        }
        Ok(Script { steps, ending })
    }

    /// The keyword that starts here; empty when none does.
    fn peek_word(&self) -> &'t str {
        let rest = self.rest();
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).unwrap_or(rest.len());
        &rest[..length]
    }

    /// Takes `word` if it is the next keyword.
    fn take_word(&mut self, word: &str) -> bool {
        self.skip_space();
        let found = self.peek_word() == word;
        if found {
            self.at += word.len();
        }
        found
    }

    fn take(&mut self, wanted: char) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn skip_space(&mut self) -> usize {
        self.at += self.rest().len() - self.rest().trim_start().len();
        self.at
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn at_end(&mut self) -> bool {
        self.skip_space() == self.text.len()
    }

    fn end(&mut self) -> Result<(), ParseError> {
        if self.at_end() { Ok(()) } else { Err(self.error("a step, `|`, `;` or the end of the text; an ending is the last step")) }
    }

    fn error(&mut self, expected: impl Into<String>) -> ParseError {
        let here = self.skip_space();
        self.error_at(here, expected)
    }

    fn error_at(&mut self, at: usize, expected: impl Into<String>) -> ParseError {
        self.at = at;
        let found = match (self.peek_word(), self.rest().chars().next()) {
            (_, None) => "the end of the text".to_owned(),
            ("", Some(other)) => format!("`{other}`"),
            (word, _) => format!("`{word}`"),
        };
        ParseError { position: self.text[..at].chars().count(), expected: expected.into(), found }
    }
}

impl Ending {
    /// It is an HTTP answer of its own, or none at all: nothing may have been sent before it.
    fn needs_unsent_head(&self) -> bool {
        matches!(self, Self::Refuse | Self::Status(_) | Self::Answer { .. })
    }
}

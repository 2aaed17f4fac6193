//! Steps, endings, and the words, numbers and quoted texts in them.

use std::num::NonZeroU32;
use std::time::Duration;

use super::super::{Ending, ErrorForm, Fixture, LineEnd, Status, Step, Write, fixtures};
use super::{ParseError, Parser};

/// Deepest nesting of repetitions.
const MAX_DEPTH: usize = 8;

/// Longest wait: a day, so that a slip of units shows.
const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

impl Parser<'_> {
    pub(super) fn steps(&mut self) -> Result<Vec<Step>, ParseError> {
        let mut steps = Vec::new();
        while let Some(step) = self.step()? {
            steps.push(step);
        }
        Ok(steps)
    }

    /// The next step; `None` when something else stands here, an ending for example.
    fn step(&mut self) -> Result<Option<Step>, ParseError> {
        self.skip_space();
        match self.rest().chars().next() {
            Some('\'') => return Ok(Some(Step::Text(self.text()?))),
            Some('0'..='9') => return self.wait_or_times().map(Some),
            _ => {}
        }
        let start = self.at;
        let word = self.peek_word();
        self.at += word.len();
        let step = match word {
            "words" => self.words()?,
            "reasoning" => Step::Reasoning(self.text()?),
            "refusal" => Step::Refusal(self.text()?),
            "role" => Step::Role,
            "norole" => Step::NoRole,
            "head" => Step::Head,
            "comment" => Step::Comment,
            "blank" => Step::Blank,
            "error" => Step::Error { form: ErrorForm::Nested, text: self.text()? },
            "error-flat" => Step::Error { form: ErrorForm::Flat, text: self.text()? },
            "error-openrouter" => Step::Error { form: ErrorForm::OpenRouter, text: self.text()? },
            "malformed" => Step::Malformed,
            "finish" => Step::Finish(self.finish_reason()?),
            "usage" => Step::Usage,
            "done" => Step::Done,
            "chunk" => Step::Chunk(self.text()?),
            "data" => Step::Data(self.text()?),
            "raw" => Step::Raw(self.quoted()?),
            "repeat" => {
                let times = self.count()?;
                Step::Repeat { times, steps: self.group()? }
            }
            "bytes" => Step::Write(Write::Bytes(self.count()?)),
            "burst" => Step::Write(if self.at_number() { Write::Events(self.count()?) } else { Write::Everything }),
            "lines" => Step::Lines(self.line_end()?),
            "stamp" => Step::Stamp,
            _ => {
                self.at = start;
                return Ok(None);
            }
        };
        Ok(Some(step))
    }

    /// The ending that stands here; `None` when nothing that looks like a word does.
    pub(super) fn ending(&mut self) -> Result<Option<Ending>, ParseError> {
        self.skip_space();
        let start = self.at;
        let word = self.peek_word();
        self.at += word.len();
        let ending = match word {
            "end" => Ending::End,
            "eof" => Ending::Eof,
            "half" => Ending::Half,
            "cut" => Ending::Cut,
            "stall" => Ending::Stall,
            "refuse" => Ending::Refuse,
            "status" => Ending::Status(self.status()?),
            "answer" => Ending::Answer { status: self.status_code(200)?, content_type: self.text()?, body: self.quoted()? },
            "fixture" => Ending::Fixture(self.fixture()?),
            "" => return Ok(None),
            _ => return Err(self.error_at(start, "a step such as `1s`, `'text'`, `words 10`, `end`, `cut`, `stall` or `status 503`")),
        };
        Ok(Some(ending))
    }

    /// `20ms` is a wait; `20 x 'text'` and `20 x (…)` are repetitions.
    fn wait_or_times(&mut self) -> Result<Step, ParseError> {
        let start = self.at;
        let number = self.number()?;
        if !self.take_word("x") {
            return self.duration_of(number, start).map(Step::Wait);
        }
        let times = self.count_of(number, start)?;
        self.skip_space();
        let steps = if self.rest().starts_with('\'') { vec![Step::Text(self.text()?)] } else { self.group()? };
        Ok(Step::Repeat { times, steps })
    }

    fn words(&mut self) -> Result<Step, ParseError> {
        let count = self.count()?.get();
        let gap = if self.take_word("every") { self.duration()? } else { Duration::ZERO };
        Ok(Step::Words { count, gap })
    }

    fn group(&mut self) -> Result<Vec<Step>, ParseError> {
        if !self.take('(') {
            return Err(self.error("`(` and the steps to repeat"));
        }
        if self.depth == MAX_DEPTH {
            return Err(self.error(format!("at most {MAX_DEPTH} repetitions inside each other")));
        }
        self.depth += 1;
        let steps = self.steps()?;
        self.depth -= 1;
        if steps.is_empty() || !self.take(')') {
            return Err(self.error("a step or `)`; endings cannot be repeated"));
        }
        Ok(steps)
    }

    fn status(&mut self) -> Result<Status, ParseError> {
        let mut status = Status { status: self.status_code(300)?, code: None, message: None, retry_after: None };
        loop {
            if self.take_word("code") {
                status.code = Some(self.text()?);
            } else if self.take_word("message") {
                status.message = Some(self.text()?);
            } else if self.take_word("retry-after") {
                status.retry_after = Some(self.seconds_or_duration()?);
            } else {
                return Ok(status);
            }
        }
    }

    fn status_code(&mut self, least: u16) -> Result<u16, ParseError> {
        let start = self.skip_space();
        let number = self.number()?;
        u16::try_from(number)
            .ok()
            .filter(|code| (least..=599).contains(code))
            .ok_or_else(|| self.error_at(start, format!("an HTTP status from {least} to 599")))
    }

    fn fixture(&mut self) -> Result<Fixture, ParseError> {
        let start = self.skip_space();
        let name = self.peek_word();
        self.at += name.len();
        Fixture::named(name).ok_or_else(|| self.error_at(start, format!("the name of a fixture, one of {}", fixtures::names().join(", "))))
    }

    fn finish_reason(&mut self) -> Result<String, ParseError> {
        self.skip_space();
        if self.rest().starts_with('\'') { self.text() } else { Ok("stop".to_owned()) }
    }

    fn line_end(&mut self) -> Result<LineEnd, ParseError> {
        [("lf", LineEnd::Lf), ("crlf", LineEnd::CrLf), ("cr", LineEnd::Cr)]
            .into_iter()
            .find(|(word, _)| self.take_word(word))
            .map(|(_, end)| end)
            .ok_or_else(|| self.error("`lf`, `crlf` or `cr`"))
    }

    fn at_number(&mut self) -> bool {
        self.skip_space();
        let digits = self.rest().len() - self.rest().trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let after = &self.rest()[digits..];
        digits > 0 && !after.starts_with(|c: char| c.is_ascii_alphabetic()) && !after.trim_start().starts_with('x')
    }

    fn count(&mut self) -> Result<NonZeroU32, ParseError> {
        let start = self.skip_space();
        let number = self.number()?;
        self.count_of(number, start)
    }

    fn count_of(&mut self, number: u64, start: usize) -> Result<NonZeroU32, ParseError> {
        let count = u32::try_from(number).ok().and_then(NonZeroU32::new);
        count.ok_or_else(|| self.error_at(start, format!("a number from 1 to {}", u32::MAX)))
    }

    pub(super) fn seconds_or_duration(&mut self) -> Result<Duration, ParseError> {
        if self.at_number() { self.number().map(Duration::from_secs) } else { self.duration() }
    }

    fn duration(&mut self) -> Result<Duration, ParseError> {
        let start = self.skip_space();
        let number = self.number()?;
        self.duration_of(number, start)
    }

    /// The time that `number`, read at `start`, and the unit that stands here make.
    fn duration_of(&mut self, number: u64, start: usize) -> Result<Duration, ParseError> {
        let unit = self.peek_word();
        self.at += unit.len();
        let micros_each = match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            _ => return Err(self.error_at(start, "a time such as `20ms`, `1s` or `2m`")),
        };
        number
            .checked_mul(micros_each)
            .map(Duration::from_micros)
            .filter(|wait| *wait <= MAX_WAIT)
            .ok_or_else(|| self.error_at(start, "a time of at most a day"))
    }

    fn number(&mut self) -> Result<u64, ParseError> {
        let start = self.skip_space();
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        self.at += length;
        rest[..length].parse().map_err(|_| self.error_at(start, "a number"))
    }

    fn text(&mut self) -> Result<String, ParseError> {
        let start = self.skip_space();
        String::from_utf8(self.quoted()?).map_err(|_| self.error_at(start, "text in UTF-8; only `raw` takes any bytes"))
    }

    /// The bytes between two quotes, escapes resolved.
    fn quoted(&mut self) -> Result<Vec<u8>, ParseError> {
        if !self.take('\'') {
            return Err(self.error("a text in single quotes"));
        }
        let mut bytes = Vec::new();
        loop {
            let start = self.at;
            let Some(next) = self.rest().chars().next() else { return Err(self.error_at(start, "`'` to end the text")) };
            self.at += next.len_utf8();
            match next {
                '\'' => return Ok(bytes),
                '\\' => self.escape(start, &mut bytes)?,
                other => push(&mut bytes, other),
            }
        }
    }

    fn escape(&mut self, start: usize, bytes: &mut Vec<u8>) -> Result<(), ParseError> {
        let kind = self.rest().chars().next();
        self.at += kind.map_or(0, char::len_utf8);
        match kind {
            Some(same @ ('\'' | '"' | '\\')) => push(bytes, same),
            Some('n') => bytes.push(b'\n'),
            Some('r') => bytes.push(b'\r'),
            Some('t') => bytes.push(b'\t'),
            Some('0') => bytes.push(0),
            Some('x') => {
                let digits = self.rest().get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                bytes.push(byte.ok_or_else(|| self.error_at(start, "two hexadecimal digits after `\\x`"))?);
                self.at += 2;
            }
            Some('u') => push(bytes, self.code_point().ok_or_else(|| self.error_at(start, "a character such as `\\u{e9}`"))?),
            _ => return Err(self.error_at(start, "an escape: \\' \\\" \\\\ \\n \\r \\t \\0 \\xHH \\u{HEX}")),
        }
        Ok(())
    }

    fn code_point(&mut self) -> Option<char> {
        let (digits, _) = self.rest().strip_prefix('{')?.split_once('}')?;
        self.at += digits.len() + 2;
        u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)
    }
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

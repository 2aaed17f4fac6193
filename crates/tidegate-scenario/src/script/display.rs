//! From a [`Scenario`] back to its text, in the one form that parses to the same value.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::{Ending, ErrorForm, LineEnd, Scenario, Script, Status, Step, Target, Write};

impl Display for Scenario {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        join(f, &self.targets, "; ")
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        join(f, &self.scripts, " | ")
    }
}

impl Display for Script {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        join(f, &self.steps, " ")?;
        let space = if self.steps.is_empty() { "" } else { " " };
        write!(f, "{space}{}", self.ending)
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(time) => write!(f, "{}", Time(*time)),
            Self::Head => f.write_str("head"),
            Self::Role => f.write_str("role"),
            Self::NoRole => f.write_str("norole"),
            Self::Text(text) => write!(f, "{}", Text(text)),
            Self::Words { count, gap } if gap.is_zero() => write!(f, "words {count}"),
            Self::Words { count, gap } => write!(f, "words {count} every {}", Time(*gap)),
            Self::Reasoning(text) => write!(f, "reasoning {}", Text(text)),
            Self::Refusal(text) => write!(f, "refusal {}", Text(text)),
            Self::Chunk(members) => write!(f, "chunk {}", Text(members)),
            Self::Data(data) => write!(f, "data {}", Text(data)),
            Self::Raw(bytes) => write!(f, "raw '{}'", bytes.escape_ascii()),
            Self::Comment => f.write_str("comment"),
            Self::Blank => f.write_str("blank"),
            Self::Malformed => f.write_str("malformed"),
            Self::Error { form, text } => write!(f, "{form} {}", Text(text)),
            Self::Finish(reason) => write!(f, "finish {}", Text(reason)),
            Self::Usage => f.write_str("usage"),
            Self::Done => f.write_str("done"),
            Self::Repeat { times, steps } => {
                write!(f, "repeat {times} (")?;
                join(f, steps, " ")?;
                f.write_str(")")
            }
            Self::Write(how) => write!(f, "{how}"),
            Self::Lines(end) => write!(f, "lines {end}"),
            Self::Stamp => f.write_str("stamp"),
        }
    }
}

impl Display for Ending {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("end"),
            Self::Eof => f.write_str("eof"),
            Self::Half => f.write_str("half"),
            Self::Cut => f.write_str("cut"),
            Self::Stall => f.write_str("stall"),
            Self::Refuse => f.write_str("refuse"),
            Self::Status(status) => write!(f, "{status}"),
            Self::Answer { status, content_type, body } => write!(f, "answer {status} {} '{}'", Text(content_type), body.escape_ascii()),
            Self::Fixture(fixture) => write!(f, "fixture {}", fixture.name()),
        }
    }
}

impl Display for Status {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " code {}", Text(code))?;
        }
        if let Some(message) = &self.message {
            write!(f, " message {}", Text(message))?;
        }
        self.retry_after.map_or(Ok(()), |after| write!(f, " retry-after {}", Time(after)))
    }
}

impl Display for ErrorForm {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nested => "error",
            Self::Flat => "error-flat",
            Self::OpenRouter => "error-openrouter",
        })
    }
}

impl Display for Write {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events(count) => write!(f, "burst {count}"),
            Self::Everything => f.write_str("burst"),
            Self::Bytes(count) => write!(f, "bytes {count}"),
        }
    }
}

impl Display for LineEnd {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lf => "lf",
            Self::CrLf => "crlf",
            Self::Cr => "cr",
        })
    }
}

/// A length of time in the largest unit that says it exactly.
pub(crate) struct Time(pub(crate) Duration);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        let units = [(3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1_000, "ms"), (1, "us")];
        let fits = |(each, _): &(u128, &str)| micros > 0 && micros.is_multiple_of(*each);
        match units.into_iter().find(fits) {
            Some((each, unit)) => write!(f, "{}{unit}", micros / each),
            None => f.write_str("0s"),
        }
    }
}

/// A text in quotes. Only what would end it or not print is escaped.
pub(crate) struct Text<'t>(pub(crate) &'t str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        for c in self.0.chars() {
            match c {
                '\'' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("'")
    }
}

fn join<T: Display>(f: &mut Formatter<'_>, items: &[T], between: &str) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(between)?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

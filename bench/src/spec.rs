//! What the source shall do for a request, said by the request's model name: `paced,gap=20,events=750`.

use std::{fmt, str::FromStr, time::Duration};

use anyhow::{Context, Error, Result, bail};

/// How the source answers one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) mode: Mode,
    /// Time between the request and the first byte of the answer, in whole milliseconds.
    pub(crate) think: Duration,
    /// Events of the answer; 0 is without end.
    pub(crate) events: u64,
}

/// The shape of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One small JSON body.
    Whole,
    /// An event, then one more each `gap` (whole milliseconds), by the clock and not by the last write.
    Paced { gap: Duration },
    /// Events as fast as the connection takes them, each in a write of its own.
    Flat,
    /// One event, then silence with the connection open.
    Silent,
}

impl Spec {
    /// An answer of this shape that begins at once and has no end of its own.
    pub(crate) fn endless(mode: Mode) -> Self {
        Self { mode, think: Duration::ZERO, events: 0 }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            Mode::Whole => f.write_str("whole")?,
            Mode::Paced { gap } => write!(f, "paced,gap={}", gap.as_millis())?,
            Mode::Flat => f.write_str("flat")?,
            Mode::Silent => f.write_str("silent")?,
        }
        write!(f, ",think={},events={}", self.think.as_millis(), self.events)
    }
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (mode, settings) = text.split_once(',').unwrap_or((text, ""));
        let mut gap = Duration::ZERO;
        let mut spec = Self::endless(Mode::Whole);
        for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').with_context(|| format!("`{setting}` is not name=value"))?;
            let number = value.parse().with_context(|| format!("`{value}` is no whole number"))?;
            match name {
                "gap" => gap = Duration::from_millis(number),
                "think" => spec.think = Duration::from_millis(number),
                "events" => spec.events = number,
                _ => bail!("`{name}` is not known: gap, think, events"),
            }
        }
        spec.mode = match mode {
            "whole" => Mode::Whole,
            "paced" => Mode::Paced { gap },
            "flat" => Mode::Flat,
            "silent" => Mode::Silent,
            _ => bail!("`{mode}` is not known: whole, paced, flat, silent"),
        };
        Ok(spec)
    }
}

#[cfg(test)]
mod tests;

//! What each event of a streamed answer is.

use tidegate_core::event::{EventFacts, EventKind};
use tidegate_core::failure::Failure;

use super::answer::{Answer, Choices};
use super::pattern::Pattern;
use super::sample::{Output, TextSample};
use super::{provider_error, usage};
use crate::names::{DONE, chat};
use crate::sse::RawEvent;

/// Reads the events of one attempt, in order, and knows when the answer's end is proved.
#[derive(Debug)]
pub struct ChatReader {
    choices: u32,
    client_wants_usage: bool,
    /// The indices of choices that occurred, as bits.
    seen: u128,
    /// Those that have a finish reason.
    finished: u128,
    done: bool,
    /// The last chunk that was nothing but output.
    pattern: Pattern,
    output: Output,
}

impl ChatReader {
    /// A reader of an answer with `choices` choices. What the gateway asked for and the client did not, the usage chunk, is marked as for
    /// the gateway alone.
    #[must_use]
    pub fn new(choices: u32, client_wants_usage: bool) -> Self {
        Self { choices, client_wants_usage, seen: 0, finished: 0, done: false, pattern: Pattern::default(), output: Output::default() }
    }

    /// Says what `event` is, and checks that its data is JSON of the dialect's shape.
    pub fn read(&mut self, event: &RawEvent) -> EventFacts {
        if !event.has_data() {
            // SDKs take fields without data for an event and fail on its empty data (protocols.md, rule 4).
            return EventFacts { for_gateway_only: !event.is_comment(), ..EventFacts::of(EventKind::Other) };
        }
        let data = event.data();
        if *data == *DONE.as_bytes() {
            self.done = true;
            return EventFacts { proves_end: true, is_last: true, ..EventFacts::of(EventKind::Sentinel) };
        }
        match data.trim_ascii() {
            // An empty event: some use it as a keepalive, and SDKs fail on it.
            [] => for_nobody(),
            // A sentinel that not every SDK can read. It proves the end; the gateway writes its own.
            odd if odd.starts_with(DONE.as_bytes()) => {
                self.done = true;
                EventFacts { proves_end: true, ..for_nobody() }
            }
            // Whoever read its like has read it: nearly every event of a stream ends here.
            json if event.event_type().is_none()
                && let Some(shown) = self.pattern.shown(json) =>
            {
                self.output.add(shown);
                EventFacts::of(EventKind::Output)
            }
            json => self.read_json(event, json),
        }
    }

    /// The answer is whole: its end marker came, or every choice that occurred, and as many as were asked for, has its finish reason.
    #[must_use]
    pub fn end_is_proved(&self) -> bool {
        self.done || (self.seen != 0 && self.seen == self.finished && self.finished.count_ones() >= self.choices)
    }

    /// How many bytes of output text came so far: text, refusals, reasoning, and the names and arguments of tool calls, as they stand in
    /// the JSON. Of a chunk that shows several of them at once, only the first is counted.
    #[must_use]
    pub fn output_bytes(&self) -> u64 {
        self.output.bytes()
    }

    /// A piece of what [`Self::output_bytes`] counts; `None` if there is none yet.
    #[must_use]
    pub fn output_sample(&self) -> Option<TextSample> {
        self.output.sample()
    }

    fn read_json(&mut self, event: &RawEvent, json: &[u8]) -> EventFacts {
        let answer = Answer::read(json);
        if event.event_type() == Some(chat::ERROR.as_bytes()) || answer.as_ref().is_some_and(Answer::is_error) {
            return failed(provider_error::read_event(json).failure);
        }
        match answer {
            Some(answer) if answer.choices.failed => failed(Failure::UpstreamError),
            Some(answer) => self.read_chunk(&answer, json),
            // Half an event and then the end of the body: it was cut.
            None if event.is_unfinished() => failed(Failure::UpstreamCut),
            None => failed(Failure::UpstreamMalformed),
        }
    }

    fn read_chunk(&mut self, answer: &Answer<'_>, json: &[u8]) -> EventFacts {
        let Choices { listed, seen, finished, shown, .. } = answer.choices;
        self.seen |= seen;
        self.finished |= finished;
        let kind = if finished != 0 {
            EventKind::Completion
        } else if shown.is_some() {
            EventKind::Output
        } else if seen == 0 && answer.usage.is_some() {
            EventKind::Usage
        } else if listed {
            // A role, an empty delta, or no choice at all, as in Azure's chunk about its prompt filter.
            EventKind::Lifecycle
        } else {
            EventKind::Other
        };
        let facts = EventFacts {
            has_output: shown.is_some(),
            proves_end: finished != 0 && self.end_is_proved(),
            for_gateway_only: kind == EventKind::Usage && !self.client_wants_usage,
            usage: answer.usage.and_then(usage::read),
            ..EventFacts::of(kind)
        };
        if let Some(shown) = shown {
            self.output.add_shown(shown);
            if facts == EventFacts::of(EventKind::Output) {
                self.pattern.learn(json, shown, answer.obfuscation);
            }
        }
        facts
    }
}

fn for_nobody() -> EventFacts {
    EventFacts { for_gateway_only: true, ..EventFacts::of(EventKind::Other) }
}

fn failed(failure: Failure) -> EventFacts {
    EventFacts { failure: Some(failure), ..EventFacts::of(EventKind::Error) }
}

#[cfg(test)]
mod tests;

//! What a script sends and when: the mock's words without its sockets.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::Moment;
use tidegate_core::exchange::BodyEnd;

use crate::mock::dialect::chat::{Ask, Chat};
use crate::mock::dialect::{Event, EventMoment, Voice, error_body};
use crate::script::{Beat, Ending, LineEnd, Script, Step, Walk, Write};
use crate::words::word;

/// Something that reaches the gateway.
#[derive(Debug)]
pub(super) enum Act<'s> {
    /// The head of an event stream.
    Head,
    /// Bytes of its body, read at once.
    Body(Bytes),
    /// The end of its body.
    End(BodyEnd),
    /// An HTTP answer of another kind.
    Answer { status: u16, content_type: &'s str, body: Bytes, retry_after: Option<Duration> },
    /// The connection broke before any answer.
    Refuse,
}

/// Iterator over all that a provider sends, in order. After the last act it is silent for ever.
pub(super) struct Provider<'s> {
    walk: Walk<'s>,
    voice: Chat,
    now: Moment,
    acts: VecDeque<(Moment, Act<'s>)>,
    head_sent: bool,
    /// The role-only event goes before the first output.
    role_due: bool,
    write: Write,
    lines: LineEnd,
    stamps: bool,
    tokens: u64,
    /// Said and not yet sent, in how many events.
    out: Vec<u8>,
    gathered: u32,
}

impl<'s> Provider<'s> {
    /// Who plays `script` to a request that came at `now`. It is asked as the gateway asks: for one answer and its usage.
    pub(super) fn new(model: &str, script: &'s Script, now: Moment) -> Self {
        let ask = Ask { model: model.to_owned(), stream: true, include_usage: true, obfuscates: false, choices: 1, prompt_tokens: 1 };
        Self {
            walk: script.walk(),
            voice: Chat::new(ask, 0, 0),
            now,
            acts: VecDeque::new(),
            head_sent: false,
            role_due: true,
            write: Write::Events(NonZeroU32::MIN),
            lines: LineEnd::Lf,
            stamps: false,
            tokens: 0,
            out: Vec::new(),
            gathered: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Text(text) => self.output(&Event::Text(text)),
            Step::Reasoning(text) => self.output(&Event::Reasoning(text)),
            Step::Refusal(text) => self.output(&Event::Refusal(text)),
            Step::Role => self.role(),
            Step::NoRole => self.role_due = false,
            Step::Head => self.head(),
            Step::Chunk(members) => self.say(&Event::Members(members)),
            Step::Data(data) => self.gather(&format!("data: {}\n\n", data.replace('\n', "\ndata: "))),
            Step::Comment => self.gather(": ka\n\n"),
            Step::Blank => self.gather("\n"),
            Step::Raw(bytes) => self.gather_bytes(bytes),
            Step::Malformed => {
                let mut half = self.half();
                half.extend_from_slice(b"\n\n");
                self.gather_bytes(&half);
            }
            Step::Error { form, text } => self.say(&Event::Error(*form, text)),
            Step::Finish(reason) => self.say(&Event::Finish(reason)),
            Step::Usage => self.say(&Event::Usage),
            Step::Done => self.say(&Event::Done),
            Step::Write(write) => {
                self.flush();
                self.write = *write;
            }
            Step::Lines(lines) => self.lines = *lines,
            Step::Stamp => self.stamps = true,
            // The walk has unrolled them.
            Step::Wait(_) | Step::Words { .. } | Step::Repeat { .. } => {}
        }
    }

    fn end(&mut self, ending: &'s Ending) {
        match ending {
            Ending::End => {
                self.say(&Event::Finish("stop"));
                self.say(&Event::Usage);
                self.say(&Event::Done);
                self.close(BodyEnd::Clean);
            }
            Ending::Eof => self.close(BodyEnd::Clean),
            Ending::Half => {
                let half = self.half();
                self.gather_bytes(&half);
                self.close(BodyEnd::Clean);
            }
            Ending::Stall => self.flush(),
            // Nothing that replaces an answer can follow a head: the connection breaks.
            _ if self.head_sent => self.close(BodyEnd::Broken),
            Ending::Status(status) => {
                self.answer(status.status, "application/json", error_body(status, None).into(), status.retry_after);
            }
            Ending::Answer { status, content_type, body } => self.answer(*status, content_type, body.clone().into(), None),
            Ending::Cut | Ending::Refuse | Ending::Fixture(_) => self.acts.push_back((self.now, Act::Refuse)),
        }
    }

    /// Says something that a reader sees, the role before it.
    fn output(&mut self, event: &Event<'_>) {
        if self.role_due {
            self.role();
        }
        self.tokens += 1;
        self.say(event);
    }

    fn role(&mut self) {
        self.role_due = false;
        self.say(&Event::Role);
    }

    fn say(&mut self, event: &Event<'_>) {
        let rendered = self.render(event);
        self.gather_bytes(&rendered);
    }

    fn render(&self, event: &Event<'_>) -> Vec<u8> {
        let nanos = u64::try_from(self.now.since(Moment::ORIGIN).as_nanos()).unwrap_or(u64::MAX);
        let moment = EventMoment { choice: 0, tokens: self.tokens, stamp: self.stamps.then_some(nanos) };
        let mut out = Vec::new();
        self.voice.event(event, &moment, &mut out);
        self.with_line_ends(&out)
    }

    /// The first half of an event, which ends in the middle of its JSON.
    fn half(&self) -> Vec<u8> {
        let mut half = self.render(&Event::Text("half"));
        half.truncate(half.len() / 2);
        half
    }

    /// JSON has no bare line ends, so each one in a rendered event ends a line of the stream.
    fn with_line_ends(&self, rendered: &[u8]) -> Vec<u8> {
        let end: &[u8] = match self.lines {
            LineEnd::Lf => b"\n",
            LineEnd::CrLf => b"\r\n",
            LineEnd::Cr => b"\r",
        };
        rendered.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(end)
    }

    /// Gathers lines that no dialect has a word for.
    fn gather(&mut self, lines: &str) {
        self.gather_bytes(&self.with_line_ends(lines.as_bytes()));
    }

    /// Gathers bytes as they are, and sends what is gathered when that makes a write.
    fn gather_bytes(&mut self, bytes: &[u8]) {
        self.head();
        self.out.extend_from_slice(bytes);
        self.gathered += 1;
        match self.write {
            Write::Events(count) if self.gathered < count.get() => {}
            Write::Everything => {}
            Write::Events(_) | Write::Bytes(_) => self.flush(),
        }
    }

    fn head(&mut self) {
        if !std::mem::replace(&mut self.head_sent, true) {
            self.acts.push_back((self.now, Act::Head));
        }
    }

    fn answer(&mut self, status: u16, content_type: &'s str, body: Bytes, retry_after: Option<Duration>) {
        self.acts.push_back((self.now, Act::Answer { status, content_type, body, retry_after }));
    }

    fn close(&mut self, end: BodyEnd) {
        self.head();
        self.flush();
        self.acts.push_back((self.now, Act::End(end)));
    }

    fn flush(&mut self) {
        self.gathered = 0;
        let mut out = Bytes::from(std::mem::take(&mut self.out));
        let most = match self.write {
            Write::Bytes(size) => usize::try_from(size.get()).unwrap_or(usize::MAX),
            Write::Events(_) | Write::Everything => usize::MAX,
        };
        while !out.is_empty() {
            let piece = out.split_to(most.min(out.len()));
            self.acts.push_back((self.now, Act::Body(piece)));
        }
    }
}

impl<'s> Iterator for Provider<'s> {
    type Item = (Moment, Act<'s>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(act) = self.acts.pop_front() {
                return Some(act);
            }
            match self.walk.next()? {
                Beat::Wait(time) => {
                    self.flush();
                    self.now = self.now + time;
                }
                Beat::Word(n) => self.output(&Event::Text(word(n))),
                Beat::Do(step) => self.step(step),
                Beat::End(ending) => self.end(ending),
            }
        }
    }
}

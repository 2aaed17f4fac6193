//! What the client sees of an answer, read from its very bytes.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tidegate_wire::sse::{KEEPALIVE, RawEvent, Scanner};

use crate::script::display::{Text, Time};

/// An answer as its client saw it; all times count from the request's arrival.
///
/// `Display` writes it as the scenario language would, waits between two things included:
/// `200 at 1s: 'hel' 15s | error idle_timeout partial`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientView {
    /// When the status line came, and the status.
    pub head: Option<(Duration, u16)>,
    /// Everything of the body that means something to a reader, in order.
    pub pieces: Vec<Piece>,
    /// How the answer ended.
    pub ending: Ending,
    /// When it ended.
    pub ended: Duration,
    /// Longest time without a byte from the status line to the end; events that show nothing have bytes too.
    pub longest_silence: Duration,
}

/// Something that the client saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// When.
    pub at: Duration,
    /// What.
    pub what: Seen,
}

/// What the client saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Text of the answer.
    Text(String),
    /// Hidden thinking.
    Reasoning(String),
    /// Text of a refusal.
    Refusal(String),
    /// Something else of the answer, by its name in the delta: tool calls, for example.
    Other(String),
    /// The text of an answer that came as one body.
    Whole(String),
    /// What came before is void, and the answer begins again.
    Restart,
    /// The gateway's sign of life.
    Keepalive,
    /// The provider's.
    Comment,
}

/// How the client saw the answer end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With the end marker, or as one whole body.
    Completed,
    /// With a typed error event.
    Error {
        /// Its code.
        code: String,
        /// It says that the output before it is not all.
        partial: bool,
    },
    /// As an HTTP error, whose status is the head's.
    Http {
        /// Its code.
        code: String,
    },
    /// The transport broke off.
    Broken,
    /// The client left.
    Left,
    /// The body ended well framed, and with no ending of the protocol or more than one: a fault of the gateway.
    Unexplained,
}

impl ClientView {
    /// All text of the answer, without what a restart made void.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.valid().iter().filter_map(|piece| match &piece.what {
            Seen::Text(text) | Seen::Whole(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// When keepalives came.
    #[must_use]
    pub fn keepalives(&self) -> Vec<Duration> {
        self.pieces.iter().filter(|piece| piece.what == Seen::Keepalive).map(|piece| piece.at).collect()
    }

    /// It saw something of the model's answer that a restart has not made void.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.valid().iter().any(|piece| !matches!(piece.what, Seen::Keepalive | Seen::Comment))
    }

    /// The pieces since the last restart.
    fn valid(&self) -> &[Piece] {
        let void = self.pieces.iter().rposition(|piece| piece.what == Seen::Restart).map_or(0, |restart| restart + 1);
        &self.pieces[void..]
    }
}

impl Display for ClientView {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some((mut last, status)) = self.head else { return write!(f, "{} at {}", self.ending, Time(self.ended)) };
        if let Ending::Http { .. } = self.ending {
            return write!(f, "{status} {} at {}", self.ending, Time(last));
        }
        write!(f, "{status} at {}:", Time(last))?;
        for Piece { at, what } in &self.pieces {
            write_wait(f, *at - last)?;
            write!(f, " {what}")?;
            last = *at;
        }
        write_wait(f, self.ended - last)?;
        write!(f, " | {}", self.ending)
    }
}

fn write_wait(f: &mut Formatter<'_>, wait: Duration) -> fmt::Result {
    if wait.is_zero() { Ok(()) } else { write!(f, " {}", Time(wait)) }
}

impl Display for Seen {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{}", Text(text)),
            Self::Reasoning(text) => write!(f, "reasoning {}", Text(text)),
            Self::Refusal(text) => write!(f, "refusal {}", Text(text)),
            Self::Other(name) => f.write_str(name),
            Self::Whole(text) => write!(f, "whole {}", Text(text)),
            Self::Restart => f.write_str("restart"),
            Self::Keepalive => f.write_str("keepalive"),
            Self::Comment => f.write_str("comment"),
        }
    }
}

impl Display for Ending {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("completed"),
            Self::Error { code, partial } => write!(f, "error {code}{}", if *partial { " partial" } else { "" }),
            Self::Http { code } => f.write_str(code),
            Self::Broken => f.write_str("broken off"),
            Self::Left => f.write_str("left"),
            Self::Unexplained => f.write_str("unexplained"),
        }
    }
}

/// A client that reads what it gets, the way an SDK does.
pub(super) struct Client {
    view: ClientView,
    /// When the last byte came, once the head has.
    last_byte: Option<Duration>,
    scanner: Scanner,
    /// It asked for one body instead of a stream.
    wants_whole: bool,
}

impl Client {
    pub(super) fn new(wants_whole: bool) -> Self {
        let (ending, never) = (Ending::Unexplained, Duration::ZERO);
        let view = ClientView { head: None, pieces: Vec::new(), ending, ended: never, longest_silence: never };
        Self { view, last_byte: None, scanner: Scanner::new(usize::MAX), wants_whole }
    }

    /// The status line comes; a second one is none.
    pub(super) fn head(&mut self, at: Duration, status: u16) {
        self.view.head.get_or_insert((at, status));
        self.hear(at);
    }

    /// Bytes of a body with status 200 come, the head before them.
    pub(super) fn take(&mut self, at: Duration, bytes: Bytes) {
        self.head(at, 200);
        if self.wants_whole {
            return self.take_whole(at, &bytes);
        }
        self.scanner.push(bytes);
        while let Ok(Some(event)) = self.scanner.next() {
            self.read(at, &event);
        }
    }

    /// An HTTP error comes instead of an answer.
    pub(super) fn refuse(&mut self, at: Duration, status: u16, body: &[u8]) {
        self.head(at, status);
        let error = parse(body);
        self.settle(Ending::Http { code: text(&error["error"]["code"]) });
    }

    /// The transport breaks off, or the client does.
    pub(super) fn stop(&mut self, why: Ending) {
        self.settle(why);
    }

    /// What it saw when the answer ended at `at`.
    pub(super) fn end(mut self, at: Duration) -> ClientView {
        if self.last_byte.is_some() {
            self.hear(at);
        }
        self.view.ended = at;
        self.view
    }

    /// The silence that was is over.
    fn hear(&mut self, at: Duration) {
        let silence = at - self.last_byte.replace(at).unwrap_or(at);
        self.view.longest_silence = self.view.longest_silence.max(silence);
    }

    fn take_whole(&mut self, at: Duration, bytes: &[u8]) {
        if bytes.trim_ascii().is_empty() {
            return self.see(at, Seen::Keepalive);
        }
        let answer = parse(bytes);
        self.see(at, Seen::Whole(text(&answer["choices"][0]["message"]["content"])));
        self.settle(if answer["choices"].is_array() { Ending::Completed } else { Ending::Unexplained });
    }

    fn read(&mut self, at: Duration, event: &RawEvent) {
        match &*event.data() {
            _ if event.bytes() == KEEPALIVE => self.see(at, Seen::Keepalive),
            b"" => self.see(at, Seen::Comment),
            b"[DONE]" => self.settle(Ending::Completed),
            json => self.read_json(at, &parse(json)),
        }
    }

    fn read_json(&mut self, at: Duration, event: &Value) {
        let error = &event["error"];
        if error.is_object() {
            return self.settle(Ending::Error { code: text(&error["code"]), partial: error["tidegate"]["partial"] == true });
        }
        if event["tidegate"]["restart"].is_object() {
            return self.see(at, Seen::Restart);
        }
        for choice in event["choices"].as_array().into_iter().flatten() {
            for (member, value) in choice["delta"].as_object().into_iter().flatten() {
                match (member.as_str(), text(value)) {
                    ("role", _) => {}
                    (_, text) if text.is_empty() && (value.is_null() || value.is_string()) => {}
                    ("content", text) => self.see(at, Seen::Text(text)),
                    ("reasoning_content", text) => self.see(at, Seen::Reasoning(text)),
                    ("refusal", text) => self.see(at, Seen::Refusal(text)),
                    (other, _) => self.see(at, Seen::Other(other.to_owned())),
                }
            }
        }
    }

    fn see(&mut self, at: Duration, what: Seen) {
        self.view.pieces.push(Piece { at, what });
    }

    /// An answer ends once: whatever says so a second time makes the ending unexplained.
    fn settle(&mut self, ending: Ending) {
        self.view.ending = if self.view.ending == Ending::Unexplained { ending } else { Ending::Unexplained };
    }
}

fn parse(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

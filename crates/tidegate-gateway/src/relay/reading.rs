//! How the provider's answer is read: as events, as one whole body, or as a refusal.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use tidegate_core::event::EventFacts;
use tidegate_core::failure::Failure;
use tidegate_wire::names::value;
use tidegate_wire::openai_chat::{self, ChatReader, ProviderError, TextSample};
use tidegate_wire::sse::{RawEvent, Scanner, TooLong};

use crate::attempt::h1::AnswerHead;

/// Largest event of a provider. An image in a delta is the largest in use.
const MAX_EVENT: usize = 8 * 1024 * 1024;
/// Largest whole answer.
const MAX_WHOLE: usize = 64 * 1024 * 1024;
/// How much of a refusal's body is read.
const MAX_REFUSAL: usize = 64 * 1024;

/// What a client's request means for reading its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation {
    /// The provider was asked to stream.
    pub streamed: bool,
    /// How many choices were asked for.
    pub choices: u32,
    /// The client asked for the usage chunk itself.
    pub client_wants_usage: bool,
}

/// The state of reading one answer.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each stream, and nearly all of a stream's life it is the large one")]
pub enum Reading {
    /// Server-sent events.
    Events(Events),
    /// One JSON body.
    Whole(BytesMut),
    /// An error answer.
    Refusal {
        /// Its HTTP status.
        status: u16,
        /// Its body so far, cut at a bound.
        body: BytesMut,
    },
}

/// Events of one answer.
#[derive(Debug)]
pub struct Events {
    scanner: Scanner,
    reader: ChatReader,
}

impl Reading {
    /// How an answer with this head is read.
    #[must_use]
    pub fn of(head: &AnswerHead, expectation: Expectation) -> Self {
        match head.status {
            200..=299 if expectation.streamed && is_event_stream(&head.headers) => Self::of_own(expectation),
            200..=299 => Self::Whole(BytesMut::new()),
            status => Self::Refusal { status, body: BytesMut::new() },
        }
    }

    /// How an answer that is as expected is read, such as one of the gateway's own.
    #[must_use]
    pub fn of_own(expectation: Expectation) -> Self {
        if !expectation.streamed {
            return Self::Whole(BytesMut::new());
        }
        let reader = ChatReader::new(expectation.choices, expectation.client_wants_usage);
        Self::Events(Events { scanner: Scanner::new(MAX_EVENT), reader })
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    let start = kind.and_then(|kind| kind.get(..value::EVENT_STREAM.len()));
    start.is_some_and(|start| start.eq_ignore_ascii_case(value::EVENT_STREAM.as_bytes()))
}

impl Events {
    /// Takes bytes of the body.
    pub fn push(&mut self, data: Bytes) {
        self.scanner.push(data);
    }

    /// The next whole event and what it says.
    ///
    /// # Errors
    ///
    /// [`TooLong`] when an event passes its bound.
    pub fn take_next(&mut self) -> Result<Option<(RawEvent, EventFacts)>, TooLong> {
        let event = self.scanner.next()?;
        Ok(event.map(|event| self.read(event)))
    }

    /// Bytes of text that the answer has shown so far.
    #[must_use]
    pub fn output_bytes(&self) -> u64 {
        self.reader.output_bytes()
    }

    /// A piece of that text.
    #[must_use]
    pub fn output_sample(&self) -> Option<TextSample> {
        self.reader.output_sample()
    }

    /// The event that the body's end left unfinished.
    pub fn last(&mut self) -> Option<(RawEvent, EventFacts)> {
        let event = self.scanner.finish()?;
        Some(self.read(event))
    }

    fn read(&mut self, event: RawEvent) -> (RawEvent, EventFacts) {
        let facts = self.reader.read(&event);
        (event, facts)
    }
}

/// Adds `data` to a whole answer's body.
///
/// # Errors
///
/// `upstream_malformed` when it passes its bound.
pub fn gather(body: &mut BytesMut, data: &[u8]) -> Result<(), Failure> {
    if body.len() + data.len() > MAX_WHOLE {
        return Err(Failure::UpstreamMalformed);
    }
    body.extend_from_slice(data);
    Ok(())
}

/// Adds `data` to a refusal's body; what passes the bound is left out. Whether that is enough of it.
#[must_use]
pub fn gather_refusal(body: &mut BytesMut, data: &[u8]) -> bool {
    let room = MAX_REFUSAL.saturating_sub(body.len());
    body.extend_from_slice(&data[..data.len().min(room)]);
    body.len() >= MAX_REFUSAL
}

/// What a refusal means. A status in the 300s is not followed: the key would travel with it.
#[must_use]
pub fn refusal(status: u16, body: &[u8]) -> ProviderError {
    openai_chat::read_error(status, body)
}

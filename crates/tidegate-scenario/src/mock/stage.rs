//! What streams and whole answers are played on: the connection, the time, and the entry in the journal.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::dialect::error_body;
use super::http::{self, Framing};
use super::journal::Running;
use super::peer::{Peer, PeerLeft};
use crate::script::{Ending, Status};

/// A wait that is late by more than this counts from now; within it, it counts from when the one before was due, so that a paced stream
/// keeps its pace and never catches up in a burst.
const LATENESS: Duration = Duration::from_millis(10);

/// Sent with every answer, as the provider sends them: some of it is for clients, some of it must stop at a gateway.
const PROVIDER_HEADERS: &str = "openai-version: 2020-10-01\r\nopenai-processing-ms: 1\r\nx-ratelimit-limit-requests: 10000\r\n\
    x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-reset-requests: 6ms\r\nset-cookie: __cf_bm=mock; HttpOnly\r\n";

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The next request may come.
    KeepAlive,
    Close,
    Reset,
}

/// One answer's place in the world.
pub(crate) struct Stage<'p> {
    peer: &'p mut Peer,
    running: &'p Running,
    sleep: Pin<Box<Sleep>>,
    due: Instant,
}

impl<'p> Stage<'p> {
    pub(crate) fn new(peer: &'p mut Peer, running: &'p Running) -> Self {
        let now = Instant::now();
        Self { peer, running, sleep: Box::pin(tokio::time::sleep_until(now)), due: now }
    }

    pub(crate) fn framing(&self) -> Framing {
        self.running.request().framing()
    }

    /// What becomes of the connection after an answer in good order.
    pub(crate) fn after(&self) -> After {
        if self.running.request().keeps_alive() { After::KeepAlive } else { After::Close }
    }

    pub(crate) async fn wait(&mut self, time: Duration) -> Result<(), PeerLeft> {
        let now = Instant::now();
        let from = if now.saturating_duration_since(self.due) > LATENESS { now } else { self.due };
        self.due = from + time;
        self.sleep.as_mut().reset(self.due);
        self.peer.wait(self.sleep.as_mut()).await
    }

    /// Sends `bytes`, which hold so many events and so many that show output.
    pub(crate) async fn send(&mut self, bytes: &[u8], events: u64, outputs: u64) -> Result<(), PeerLeft> {
        self.peer.send(bytes).await?;
        self.running.sent(bytes.len(), events, outputs);
        Ok(())
    }

    /// As [`Stage::send`], in pieces of `size` bytes.
    pub(crate) async fn send_in_pieces(&mut self, bytes: &[u8], size: NonZeroU32, events: u64, outputs: u64) -> Result<(), PeerLeft> {
        self.peer.send_in_pieces(bytes, size).await?;
        self.running.sent(bytes.len(), events, outputs);
        Ok(())
    }

    /// Says nothing until the peer leaves.
    pub(crate) async fn stall(&mut self) -> PeerLeft {
        self.peer.stall().await
    }

    /// Appends the head of a 200 whose length is not known, and notes it.
    pub(crate) fn open_head(&self, out: &mut Vec<u8>, content_type: &str) {
        let framing = http::framing_headers(self.framing());
        let headers = format!("cache-control: no-cache\r\nx-request-id: {}\r\n{PROVIDER_HEADERS}{framing}", self.request_id());
        self.running.status(200);
        http::write_head(out, 200, content_type, &headers);
    }

    /// Appends the head of an answer of `length` bytes, and notes it.
    pub(crate) fn whole_head(&self, out: &mut Vec<u8>, status: u16, content_type: &str, length: usize, headers: &str) {
        let connection = if self.after() == After::KeepAlive { "" } else { "connection: close\r\n" };
        let headers = format!("content-length: {length}\r\nx-request-id: {}\r\n{PROVIDER_HEADERS}{connection}{headers}", self.request_id());
        self.running.status(status);
        http::write_head(out, status, content_type, &headers);
    }

    /// Sends a whole answer.
    pub(crate) async fn whole(&mut self, status: u16, content_type: &str, body: &[u8], headers: &str) -> Result<After, PeerLeft> {
        let mut out = Vec::with_capacity(body.len() + 256);
        self.whole_head(&mut out, status, content_type, body.len(), headers);
        out.extend_from_slice(body);
        self.send(&out, 0, 0).await?;
        Ok(self.after())
    }

    /// Sends an HTTP error.
    pub(crate) async fn error(&mut self, status: &Status, param: Option<&str>) -> Result<After, PeerLeft> {
        let mut headers = String::new();
        if let Some(after) = status.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers += &format!("retry-after: {seconds}\r\n");
            if after.subsec_nanos() > 0 {
                headers += &format!("retry-after-ms: {}\r\n", after.as_millis());
            }
        }
        if (300..400).contains(&status.status) {
            headers += "location: /mock/elsewhere\r\n";
        }
        self.whole(status.status, "application/json", &error_body(status, param), &headers).await
    }

    /// Plays an ending that is an HTTP answer of its own, or none at all; `None` when `ending` is another one.
    pub(crate) async fn answer_instead(&mut self, ending: &Ending) -> Option<Result<After, PeerLeft>> {
        match ending {
            Ending::Status(status) => Some(self.error(status, None).await),
            Ending::Answer { status, content_type, body } => Some(self.whole(*status, content_type, body, "").await),
            Ending::Refuse => Some(Ok(After::Close)),
            _ => None,
        }
    }

    fn request_id(&self) -> String {
        format!("req_mock_{}", self.running.n())
    }
}

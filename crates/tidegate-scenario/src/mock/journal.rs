//! What the mock was asked, what it sent, and when its peer left.

use std::time::{Duration, Instant};

use bytes::Bytes;

/// A shared, bounded list of requests.
#[derive(Clone, Default)]
pub struct Journal;

/// One request, as it stands now.
#[derive(Debug, Clone)]
pub struct JournalEntry {
    /// Counts requests from 1.
    pub n: u64,
    /// The requested model; empty when the request named none.
    pub model: String,
    /// When the request was read to its end.
    pub received_at: Instant,
    /// Method and path.
    pub target: String,
    /// Request headers as they came, names in lower case, authorization included.
    pub headers: Vec<(String, String)>,
    /// The request's body.
    pub body: Bytes,
    /// Events given to the socket.
    pub events_sent: u64,
    /// Those of them that show model output.
    pub output_events_sent: u64,
    /// Bytes given to the socket, head and framing included.
    pub bytes_sent: u64,
    /// The script was played to its end, however it ends.
    pub finished: bool,
    /// How long after `received_at` the peer was seen to have left, if it left before the end.
    pub peer_left_at: Option<Duration>,
    /// Counts connections from 1.
    pub connection: u64,
}

impl Journal {
    /// All remembered requests, the oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<JournalEntry> {
        Vec::new()
    }

    /// How many requests are being answered.
    #[must_use]
    pub fn open(&self) -> usize {
        0
    }
}

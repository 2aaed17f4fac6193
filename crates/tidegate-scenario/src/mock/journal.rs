//! What the mock was asked, what it sent, and when its peer left.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::http::Request;

/// How often [`Journal::wait_until`] looks. It looks, rather than being told, so that an event costs its sender nothing.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Headers that the published form leaves out.
const SECRET_HEADERS: [&str; 4] = ["authorization", "x-api-key", "api-key", "cookie"];

/// The value of `peer_left` while the peer is there.
const STILL_HERE: u64 = u64::MAX;

/// A shared, bounded list of requests; the oldest are forgotten first. A clone is the same list.
#[derive(Clone)]
pub struct Journal(Arc<Shared>);

/// One request, as it stands now.
#[derive(Debug, Clone)]
pub struct JournalEntry {
    /// Counts requests from 1.
    pub n: u64,
    /// Counts connections from 1.
    pub connection: u64,
    /// When the request was read to its end.
    pub received_at: Instant,
    /// The request's path.
    pub path: String,
    /// The requested model; empty when the request named none.
    pub model: String,
    /// Request headers as they came, names in lower case, authorization included.
    pub headers: Vec<(String, String)>,
    /// The request's body.
    pub body: Bytes,
    /// The HTTP status that was sent; 0 while there is none.
    pub status: u16,
    /// Events given to the socket, comments not counted. A whole answer has none.
    pub events_sent: u64,
    /// Those of them that show model output.
    pub output_events_sent: u64,
    /// Bytes given to the socket, head and framing included.
    pub bytes_sent: u64,
    /// The script was played to its end, whatever that was.
    pub finished: bool,
    /// How long after `received_at` the peer was seen to have left, if it left before the end.
    pub peer_left_at: Option<Duration>,
}

struct Shared {
    started: Instant,
    max_entries: usize,
    max_body_bytes: usize,
    ring: Mutex<Ring>,
    open: AtomicUsize,
}

#[derive(Default)]
struct Ring {
    records: VecDeque<Arc<Record>>,
    body_bytes: usize,
    requests: u64,
}

/// A request that is remembered; its counters move while it is answered.
struct Record {
    n: u64,
    connection: u64,
    received_at: Instant,
    model: String,
    request: Request,
    status: AtomicU16,
    events: AtomicU64,
    outputs: AtomicU64,
    bytes: AtomicU64,
    finished: AtomicBool,
    /// Microseconds after `received_at`.
    peer_left: AtomicU64,
}

/// A request that is being answered. It counts as open until this is dropped.
pub(crate) struct Running {
    journal: Journal,
    record: Arc<Record>,
}

impl Journal {
    /// A journal that remembers at most so many requests, and so many bytes of their bodies.
    #[must_use]
    pub fn new(max_entries: usize, max_body_bytes: usize) -> Self {
        Self(Arc::new(Shared { started: Instant::now(), max_entries, max_body_bytes, ring: Mutex::default(), open: AtomicUsize::new(0) }))
    }

    /// All remembered requests, the oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.ring().records.iter().map(|record| record.entry()).collect()
    }

    /// How many requests are being answered.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Waits until the entries are as `wanted`, and returns them.
    ///
    /// # Errors
    ///
    /// The entries as they are when `timeout` has passed.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only looks.
    pub async fn wait_until(
        &self,
        wanted: impl Fn(&[JournalEntry]) -> bool,
        timeout: Duration,
    ) -> Result<Vec<JournalEntry>, Vec<JournalEntry>> {
        let deadline = Instant::now() + timeout;
        loop {
            let entries = self.entries();
            if wanted(&entries) {
                return Ok(entries);
            }
            if Instant::now() >= deadline {
                return Err(entries);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The entries for other programs: without bodies and credentials, times in milliseconds.
    pub(crate) fn published(&self) -> Value {
        let since_start = |at: Instant| millis(at.saturating_duration_since(self.0.started));
        let publish = |entry: JournalEntry| {
            let headers: Vec<_> = entry.headers.iter().filter(|(name, _)| !SECRET_HEADERS.contains(&name.as_str())).collect();
            json!({
                "n": entry.n, "connection": entry.connection, "received_ms": since_start(entry.received_at),
                "path": entry.path, "model": entry.model, "headers": headers, "body_bytes": entry.body.len(), "status": entry.status,
                "events_sent": entry.events_sent, "output_events_sent": entry.output_events_sent, "bytes_sent": entry.bytes_sent,
                "finished": entry.finished, "peer_left_ms": entry.peer_left_at.map(millis),
            })
        };
        json!({"open": self.open(), "entries": self.entries().into_iter().map(publish).collect::<Vec<_>>()})
    }

    /// Remembers a request and counts it as open.
    pub(crate) fn open_entry(&self, connection: u64, model: String, request: Request) -> Running {
        let mut ring = self.ring();
        ring.requests += 1;
        let record = Arc::new(Record {
            n: ring.requests,
            connection,
            received_at: Instant::now(),
            model,
            request,
            status: AtomicU16::new(0),
            events: AtomicU64::new(0),
            outputs: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            finished: AtomicBool::new(false),
            peer_left: AtomicU64::new(STILL_HERE),
        });
        ring.push(Arc::clone(&record), self.0.max_entries, self.0.max_body_bytes);
        drop(ring);
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Running { journal: self.clone(), record }
    }

    /// A panic elsewhere cannot leave the ring half changed, so a poisoned lock is as good as any.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, record: Arc<Record>, max_entries: usize, max_body_bytes: usize) {
        self.body_bytes += record.request.body.len();
        self.records.push_back(record);
        while self.records.len() > max_entries || self.body_bytes > max_body_bytes {
            let Some(oldest) = self.records.pop_front() else { break };
            self.body_bytes -= oldest.request.body.len();
        }
    }
}

impl Record {
    fn entry(&self) -> JournalEntry {
        let left = self.peer_left.load(Ordering::Relaxed);
        JournalEntry {
            n: self.n,
            connection: self.connection,
            received_at: self.received_at,
            path: self.request.path.clone(),
            model: self.model.clone(),
            headers: self.request.headers.clone(),
            body: self.request.body.clone(),
            status: self.status.load(Ordering::Relaxed),
            events_sent: self.events.load(Ordering::Relaxed),
            output_events_sent: self.outputs.load(Ordering::Relaxed),
            bytes_sent: self.bytes.load(Ordering::Relaxed),
            finished: self.finished.load(Ordering::Relaxed),
            peer_left_at: (left != STILL_HERE).then(|| Duration::from_micros(left)),
        }
    }
}

impl Running {
    /// Counts requests from 1.
    pub(crate) fn n(&self) -> u64 {
        self.record.n
    }

    pub(crate) fn request(&self) -> &Request {
        &self.record.request
    }

    pub(crate) fn model(&self) -> &str {
        &self.record.model
    }

    pub(crate) fn status(&self, status: u16) {
        self.record.status.store(status, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize, events: u64, outputs: u64) {
        self.record.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.record.events.fetch_add(events, Ordering::Relaxed);
        self.record.outputs.fetch_add(outputs, Ordering::Relaxed);
    }

    pub(crate) fn finished(&self) {
        self.record.finished.store(true, Ordering::Relaxed);
    }

    pub(crate) fn peer_left(&self) {
        let after = self.record.received_at.elapsed().as_micros();
        self.record.peer_left.store(u64::try_from(after).unwrap_or(STILL_HERE), Ordering::Relaxed);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.journal.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Milliseconds with their fraction.
fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

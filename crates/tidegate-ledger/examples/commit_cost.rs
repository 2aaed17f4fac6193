//! What the ledger costs a stream: processor time of its threads and latency of `begin`, on the disk of the temporary folder.
//!
//! `cargo run --release -p tidegate-ledger --example commit_cost`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a part of the gateway")]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tidegate_core::id::StreamId;
use tidegate_core::record::{Status, StreamRecord};
use tidegate_ledger::{Ledger, LedgerSettings, Opening};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time;

/// A record as a completed stream of one attempt has it.
const RECORD: &str = r#"{"id":"","parent_request_id":"req_01jd6d9k8zr2m4n6p8q0s2t4v6","client_request_id":"app-1234567","session_id":null,"task_id":null,
"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","status":"completed","code":null,"partial":false,"disconnect_source":null,"disconnect_hint":null,
"endpoint_family":"chat_completions","delivery":"stream","requested_model":"gpt-4o","selected_model":"gpt-4o","provider":"openai",
"key_id":"key_01jd6d9k8zr2m4n6p8q0s2t4v6","team":"search","environment":"staging","created_at":"2026-11-21T10:00:00.000Z","deadline_ms":90000,
"time_to_head_ms":210,"time_to_first_event_ms":210,"time_to_first_output_ms":230,"time_to_last_output_ms":4100,"completed_ms":4120,"max_gap_ms":95,
"events":{"lifecycle":1,"output":200,"usage":1,"completion":1,"error":0,"other":0,"keepalive":0},"delivered":{"output_events":200,"bytes":48211},
"usage":{"input_tokens":12,"output_tokens":200,"cached_input_tokens":0,"reasoning_tokens":0,"source":"provider"},"cost_usd":0.00213,
"attempts":[{"n":1,"provider":"openai","model":"gpt-4o","outcome":"used","code":null,"http_status":200,"upstream_request_id":"req_abcdef0123456789",
"started_ms":2,"connect_ms":40,"first_event_ms":209,"first_output_ms":229,"ended_ms":4119,"decision":"deliver","decision_reason":"first output",
"usage":{"input_tokens":12,"output_tokens":200,"cached_input_tokens":0,"reasoning_tokens":0,"source":"provider"},"cost_usd":0.00213}],
"restarted_from":null,"restarted_as":null,"resumes":0}"#;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (ledger, _) = Ledger::open(LedgerSettings::new(folder.path().join("ledger.db"))).unwrap();
    runtime.block_on(async {
        lone(&ledger, 500).await;
        one_after_the_other(&ledger, 10_000).await;
        for (rate, stay) in [(500, 200), (5_000, 5), (5_000, 200), (10_000, 200)] {
            paced(&ledger, rate, Duration::from_secs(4), Duration::from_millis(stay)).await;
        }
        flat_out(&ledger, 64, 100_000).await;
        ledger.close().await.unwrap();
    });
}

/// Streams that come alone, after a quiet moment.
async fn lone(ledger: &Ledger, streams: usize) {
    let run = Run::new();
    let mut latencies = Vec::new();
    for _ in 0..streams {
        time::sleep(Duration::from_millis(8)).await;
        latencies.push(stream(ledger.clone(), Duration::ZERO).await);
    }
    run.print("alone, every 8 ms", latencies);
}

/// One client that asks again as soon as it has its answer.
async fn one_after_the_other(ledger: &Ledger, streams: usize) {
    let run = Run::new();
    let mut latencies = Vec::new();
    for _ in 0..streams {
        latencies.push(stream(ledger.clone(), Duration::ZERO).await);
    }
    run.print("one after the other", latencies);
}

/// Streams that come at a rate and stay for a while.
async fn paced(ledger: &Ledger, per_second: u32, length: Duration, stay: Duration) {
    let run = Run::new();
    let mut streams = JoinSet::new();
    let (began, mut sent) = (Instant::now(), 0.0);
    let mut tick = time::interval(Duration::from_millis(1));
    while began.elapsed() < length {
        tick.tick().await;
        while sent < began.elapsed().as_secs_f64() * f64::from(per_second) {
            streams.spawn(stream(ledger.clone(), stay));
            sent += 1.0;
        }
    }
    run.print(&format!("{per_second} a second, open for {stay:?}"), streams.join_all().await);
}

/// As many as there are places for.
async fn flat_out(ledger: &Ledger, at_once: usize, streams: usize) {
    let run = Run::new();
    let places = Arc::new(Semaphore::new(at_once));
    let mut running = JoinSet::new();
    for _ in 0..streams {
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let ledger = ledger.clone();
        running.spawn(async move {
            let latency = stream(ledger, Duration::ZERO).await;
            drop(place);
            latency
        });
    }
    run.print(&format!("{at_once} at once, flat out"), running.join_all().await);
}

/// One stream's life; returns how long `begin` took.
async fn stream(ledger: Ledger, stay: Duration) -> Duration {
    let now = u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let id = StreamId::new(now, rand::random());
    let mut record: StreamRecord = serde_json::from_str(RECORD).unwrap();
    record.id = id.to_string();
    let open = StreamRecord { status: None, usage: None, attempts: Vec::new(), completed_ms: None, ..record.clone() };
    let began = Instant::now();
    let entry = ledger.begin(&Opening { id, created_unix_ms: now, record: Box::new(open) }).await.unwrap();
    let latency = began.elapsed();
    if !stay.is_zero() {
        time::sleep(stay).await;
    }
    record.status = Some(Status::Completed);
    entry.settle(record);
    latency
}

/// Processor time by thread and wall time since it began.
struct Run {
    began: Instant,
    threads: [Duration; 3],
}

impl Run {
    fn new() -> Self {
        println!();
        Self { began: Instant::now(), threads: processor_time() }
    }

    fn print(&self, what: &str, mut latencies: Vec<Duration>) {
        latencies.sort();
        let count = latencies.len();
        let per_stream = |index: usize| (processor_time()[index] - self.threads[index]).as_secs_f64() * 1e6 / count as f64;
        let wall = self.began.elapsed();
        println!("{what}: {count} streams in {wall:.2?}, {:.0} a second", count as f64 / wall.as_secs_f64());
        println!("  begin: p50 {:?}, p99 {:?}, worst {:?}", latencies[count / 2], latencies[count * 99 / 100], latencies[count - 1]);
        println!(
            "  processor time a stream: writer {:.1} µs, keeper {:.1} µs, rest {:.1} µs (with making the records)",
            per_stream(0),
            per_stream(1),
            per_stream(2)
        );
    }
}

/// Processor time of the writer, the keeper and the rest.
fn processor_time() -> [Duration; 3] {
    let mut times = [Duration::ZERO; 3];
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let spent = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let nanos = spent.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
        let index = match name.trim() {
            "ledger" => 0,
            "ledger-keeper" => 1,
            _ => 2,
        };
        times[index] += Duration::from_nanos(nanos);
    }
    times
}

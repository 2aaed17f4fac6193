//! Every default with its reason.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU32;
use std::time::Duration;

/// Loopback: without a key the gateway is open, so it must not be reachable from elsewhere (contract.md).
pub const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));
/// Long enough for most failures to still get their own HTTP status, short enough for every proxy on the way (R9).
pub const HEAD_AFTER: Duration = Duration::from_secs(5);
/// A sixth of the shortest common idle limit of proxies, 60 s.
pub const KEEPALIVE: Duration = Duration::from_secs(10);
/// About 200 MB of stream state, and what one process with 20,000 file descriptors can serve (two each).
pub const MAX_STREAMS: NonZeroU32 = positive(10_000);
/// Connections for each stream of `max_streams`, where `max_connections` is left out: clients keep idle ones open.
pub const CONNECTIONS_PER_STREAM: usize = 2;
/// A long conversation with a few pictures in base64.
pub const MAX_BODY: usize = 20 * 1024 * 1024;
/// A head is a few hundred bytes: who takes longer holds a place for nothing.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// 20 MiB over a 6 Mbit/s uplink.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A phone's dead spot is shorter; a client that takes nothing for longer is gone or broken.
pub const SLOW_CLIENT: Duration = Duration::from_secs(60);
/// A few hundred events: enough to ride over a hiccup, little enough that no text lies in the gateway for long (R7).
pub const WRITE_BUFFER: usize = 64 * 1024;
/// As long as the longest standard profile, so that every running stream can finish.
pub const DRAIN: Duration = Duration::from_secs(300);

/// Beside the process: nothing to install, and seen by the one who starts it.
pub const LEDGER_PATH: &str = "tidegate.db";
/// A month: what a bill or an incident review looks back on.
pub const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// OpenAI's public address.
pub const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";
/// Stands in for the address of the mock inside the process; `.invalid` never resolves (RFC 2606).
pub const MOCK_BASE_URL: &str = "http://mock.invalid/v1";
/// One HTTP/1.1 connection per stream, so as many as `max_streams`.
pub const MAX_CONNECTIONS: NonZeroU32 = positive(10_000);
/// Covers the arrivals of a busy second; more would only age unused.
pub const IDLE_CONNECTIONS: NonZeroU32 = positive(256);
/// Below the 60 s after which common servers and balancers close an idle connection.
pub const CONNECTION_MAX_IDLE: Duration = Duration::from_secs(50);

/// What providers commonly allow as a whole answer.
pub const DRAIN_MAX_TOKENS: NonZeroU32 = positive(4096);
/// Most answers end within a minute.
pub const DRAIN_MAX_TIME: Duration = Duration::from_secs(60);

/// A few dozen events: enough to tell a slow answer from a slow start, little enough that a reader does not notice the wait.
pub const SLOW_WINDOW: Duration = Duration::from_secs(2);

/// The header in which Tidegate itself reads a caller's deadline, so that a gateway behind this one understands it.
pub const DEADLINE_HEADER: &str = "x-tidegate-timeout-ms";

/// More than a person has patience for, and enough for a program that sends a batch (contract.md).
pub const MAX_QUEUE_SIZE: NonZeroU32 = positive(16);
/// Some hundred bytes each, mostly the prompt: a bound for memory, not for the work (contract.md).
pub const GLOBAL_MAX_SIZE: NonZeroU32 = positive(100_000);
/// Whose they are can be seen in the cluster's list.
pub const KAFKA_TOPICS: &str = "tidegate";
/// Several for each worker of the 10,000 sessions that Kafka is for, and few enough for a small cluster.
pub const KAFKA_PARTITIONS: u16 = 32;
/// Longer than any pause of a healthy process, short enough that a user still waits for the task of a dead one (contract.md).
pub const LEASE: Duration = Duration::from_secs(30);
/// A burst of prompts starts at once; tasks that do not run cost nothing.
pub const MIN_WORKERS: NonZeroU32 = positive(8);
/// A task waits for its provider most of the time, so a processor can serve some hundreds.
pub const MAX_WORKERS: NonZeroU32 = positive(1024);
/// A prompt of a few hundred pages; documents larger than this are no messages of a conversation (contract.md).
pub const MAX_MESSAGE: usize = 1024 * 1024;
/// As `max_streams`: what one process with 20,000 file descriptors can serve.
pub const MAX_SESSIONS: NonZeroU32 = positive(10_000);

/// A caller that polls once a day still finds its answer.
pub const NOTIFY_RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Three of the longest standard profile: nobody waits at the other end, and what took longer is stuck.
pub const NOTIFY_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// `NonZeroU32` of a literal.
const fn positive(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("a default is never zero")
}

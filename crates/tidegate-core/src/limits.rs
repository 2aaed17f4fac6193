//! The lengths of time that a stream is allowed, and the standard profiles.

use std::time::Duration;

use crate::deadline::DeadlinePolicy;

/// The four timeout layers and the waits around them, for one attempt of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutProfile {
    /// Longest wait for TCP and TLS to the provider. Default 5 s.
    pub connect: Duration,
    /// Longest wait for the provider's first event, counted from the moment the request was sent. Default 30 s.
    pub first_byte: Duration,
    /// Longest silence between two provider events. Comments and pings prove that the connection lives and do not count. Default 15 s.
    pub idle: Duration,
    /// Longest time from arrival to the end, over all attempts. Default 180 s.
    pub total: Duration,
}

/// Default longest wait for a free connection to a provider whose `max_connections` are all in use (R8).
pub const POOL_WAIT: Duration = Duration::from_secs(5);
/// Default longest time for sending the request's body to a provider (R8).
pub const SEND_BODY: Duration = Duration::from_secs(10);
/// After the end is proved, how long the rest (usage, `[DONE]`) may take before the gateway ends the stream by itself.
/// Providers send it in the same packet or within milliseconds; the client already has its whole answer.
pub const TAIL: Duration = Duration::from_secs(2);

impl TimeoutProfile {
    /// Fast, cheap models: the Haiku and GPT-4o mini class (R10).
    pub const SMALL: Self = Self::of(5, 10, 15, 30);
    /// The Sonnet and GPT-4o class (R10).
    pub const MID: Self = Self::of(5, 20, 15, 90);
    /// The Opus and GPT-4.5 class (R10).
    pub const LARGE: Self = Self::of(5, 45, 15, 180);
    /// Any model that thinks before it answers (R10); its silence between events may be long (R8).
    pub const THINKING: Self = Self::of(5, 90, 120, 300);
    /// Where no pattern says anything about the model (R8).
    pub const STANDARD: Self = Self::of(5, 30, 15, 180);

    const fn of(connect: u64, first_byte: u64, idle: u64, total: u64) -> Self {
        Self {
            connect: Duration::from_secs(connect),
            first_byte: Duration::from_secs(first_byte),
            idle: Duration::from_secs(idle),
            total: Duration::from_secs(total),
        }
    }
}

/// Everything that bounds one stream in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The model's profile.
    pub profile: TimeoutProfile,
    /// See [`POOL_WAIT`].
    pub pool_wait: Duration,
    /// See [`SEND_BODY`].
    pub send_body: Duration,
    /// See [`TAIL`].
    pub tail: Duration,
    /// After this the head goes out and keepalives start, answer or not (R9). Default 5 s.
    pub head_after: Duration,
    /// Longest time without a byte to the client once the head is out. Default 10 s.
    pub keepalive: Duration,
    /// An attempt with less time than this left is not started, unless it is the stream's first. Default 1 s.
    pub least: Duration,
    /// Below this rate another target takes over. Default: none.
    pub rate_guard: Option<RateGuard>,
}

/// How slowly an answer may begin before another target takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateGuard {
    /// Bytes of text in a second, about one for each character of English.
    pub bytes_per_second: u32,
    /// How long the answer is held back and measured, from its first output.
    pub window: Duration,
}

impl RateGuard {
    /// Whether `bytes` in a window is too little.
    #[must_use]
    pub fn is_too_slow(self, bytes: u64) -> bool {
        u128::from(bytes) * 1_000 < u128::from(self.bytes_per_second) * self.window.as_millis()
    }
}

impl Limits {
    /// The defaults of contract.md around `profile`.
    #[must_use]
    pub fn with_profile(profile: TimeoutProfile) -> Self {
        Self {
            profile,
            pool_wait: POOL_WAIT,
            send_body: SEND_BODY,
            tail: TAIL,
            head_after: Duration::from_secs(5),
            keepalive: Duration::from_secs(10),
            least: DeadlinePolicy::STANDARD.least,
            rate_guard: None,
        }
    }
}

/// How an answer is handed to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryMode {
    /// Events go out as they come; commit at the first output.
    Stream,
    /// Events are held until the end is proved, then streamed at once; commit there.
    Coherent,
    /// The provider streams, the client gets one complete JSON body; commit when it is complete.
    Buffered,
}

impl DeliveryMode {
    /// Its name in headers, configuration and records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Coherent => "coherent",
            Self::Buffered => "buffered",
        }
    }
}

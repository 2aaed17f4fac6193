//! The stream record: what happened to one stream, in the exact form of contract.md.

use serde::{Deserialize, Serialize};

use crate::event::{EventCounts, Usage};

/// One stream's record. Field names and order are contract.md's; times are milliseconds after `created_at`;
/// what did not happen or is not known is `None`, never zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// `strm_…`.
    pub id: String,
    /// The gateway's own request id, `req_…`, also in the `X-Request-Id` answer header where the client sent none.
    pub parent_request_id: String,
    /// The id that the client sent.
    pub client_request_id: Option<String>,
    /// The WebSocket session, if any.
    pub session_id: Option<String>,
    /// The session's task, if any.
    pub task_id: Option<String>,
    /// W3C trace id, 32 hex digits.
    pub trace_id: Option<String>,
    /// How it ended; `None` while it runs.
    pub status: Option<Status>,
    /// The failure's code.
    pub code: Option<String>,
    /// The client saw output and not its end.
    pub partial: bool,
    /// Who cut it short.
    pub disconnect_source: Option<DisconnectSource>,
    /// Why we think so.
    pub disconnect_hint: Option<String>,
    /// `chat_completions`, `responses`, `messages`, `prompt`, `session`.
    pub endpoint_family: String,
    /// `stream`, `coherent`, `buffered`, `background`.
    pub delivery: String,
    /// The model as the client named it.
    pub requested_model: String,
    /// The provider's model that answered, or was tried last.
    pub selected_model: Option<String>,
    /// The provider that answered, or was tried last.
    pub provider: Option<String>,
    /// The client key; `None` on an open gateway.
    pub key_id: Option<String>,
    /// The key's team.
    pub team: Option<String>,
    /// The key's environment.
    pub environment: Option<String>,
    /// Arrival, RFC 3339 in UTC with milliseconds.
    pub created_at: String,
    /// The time that the stream was given.
    pub deadline_ms: Option<u64>,
    /// The status line went out.
    pub time_to_head_ms: Option<u64>,
    /// The provider's first event came.
    pub time_to_first_event_ms: Option<u64>,
    /// The first output went to the client.
    pub time_to_first_output_ms: Option<u64>,
    /// The last output went to the client.
    pub time_to_last_output_ms: Option<u64>,
    /// The stream ended.
    pub completed_ms: Option<u64>,
    /// Longest silence of the provider between two events.
    pub max_gap_ms: Option<u64>,
    /// Provider events by type, and the gateway's keepalives.
    pub events: EventCounts,
    /// What the client's socket took.
    pub delivered: Delivered,
    /// Usage of the answer that the client got.
    pub usage: Option<Usage>,
    /// What was paid over all attempts, in US dollars.
    pub cost_usd: Option<f64>,
    /// Every attempt, in order.
    pub attempts: Vec<AttemptRecord>,
    /// The stream that this one repeats.
    pub restarted_from: Option<String>,
    /// The stream that repeats this one.
    pub restarted_as: Option<String>,
    /// How often a reader came back.
    pub resumes: u64,
    /// How often the client's SDK had sent the same request before, as it says: its repetitions, not ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_retry_count: Option<u32>,
    /// Whom the stream might ask, in order, as `provider/model`: made before the first attempt. Left out where there was no choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<String>,
}

impl StreamRecord {
    /// A record that says nothing but its id.
    #[must_use]
    pub fn blank(id: String) -> Self {
        Self {
            id,
            parent_request_id: String::new(),
            client_request_id: None,
            session_id: None,
            task_id: None,
            trace_id: None,
            status: None,
            code: None,
            partial: false,
            disconnect_source: None,
            disconnect_hint: None,
            endpoint_family: String::new(),
            delivery: String::new(),
            requested_model: String::new(),
            selected_model: None,
            provider: None,
            key_id: None,
            team: None,
            environment: None,
            created_at: String::new(),
            deadline_ms: None,
            time_to_head_ms: None,
            time_to_first_event_ms: None,
            time_to_first_output_ms: None,
            time_to_last_output_ms: None,
            completed_ms: None,
            max_gap_ms: None,
            events: EventCounts::default(),
            delivered: Delivered::default(),
            usage: None,
            cost_usd: None,
            attempts: Vec::new(),
            restarted_from: None,
            restarted_as: None,
            resumes: 0,
            client_retry_count: None,
            plan: Vec::new(),
        }
    }
}

/// What the client's socket took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delivered {
    /// Events that show output.
    pub output_events: u64,
    /// Bytes of the body, without HTTP framing.
    pub bytes: u64,
}

/// One request to a provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// 1, 2, …
    pub n: u32,
    /// The provider's name in the configuration.
    pub provider: String,
    /// The model as the provider names it.
    pub model: String,
    /// What became of it.
    pub outcome: AttemptOutcome,
    /// The failure's code.
    pub code: Option<String>,
    /// The provider's HTTP status.
    pub http_status: Option<u16>,
    /// The provider's request id.
    pub upstream_request_id: Option<String>,
    /// It began.
    pub started_ms: u64,
    /// The connection was there (0 extra for one from the pool).
    pub connect_ms: Option<u64>,
    /// Its first event came.
    pub first_event_ms: Option<u64>,
    /// Its first output came.
    pub first_output_ms: Option<u64>,
    /// It was over.
    pub ended_ms: Option<u64>,
    /// What the gateway did next.
    pub decision: Decision,
    /// Why, in a few words.
    pub decision_reason: String,
    /// Its usage.
    pub usage: Option<Usage>,
    /// Its cost in US dollars.
    pub cost_usd: Option<f64>,
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in records and metrics.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

named! {
    /// How a stream ended (contract.md, "How a stream ends").
    Status {
        /// The client got the protocol's terminal event.
        Completed = "completed",
        /// It got an error and no output.
        FailedBeforeOutput = "failed_before_output",
        /// It got output and then a typed error.
        FailedAfterOutput = "failed_after_output",
        /// It left, or asked to stop, before any output.
        CancelledBeforeOutput = "cancelled_before_output",
        /// It left, or asked to stop, after output.
        CancelledAfterOutput = "cancelled_after_output",
        /// The gateway died; set when it starts again.
        Interrupted = "interrupted",
    }
}

named! {
    /// Who cut a stream short.
    DisconnectSource {
        /// The client itself.
        Client = "client",
        /// A hop in front of the gateway, as far as can be told.
        ClientProxy = "client_proxy",
        /// One of the gateway's limits.
        GatewayTimeout = "gateway_timeout",
        /// The gateway's end.
        GatewayShutdown = "gateway_shutdown",
        /// The provider.
        Provider = "provider",
    }
}

named! {
    /// What became of an attempt.
    AttemptOutcome {
        /// Its answer is the client's.
        Used = "used",
        /// It failed.
        Failed = "failed",
        /// It was never sent.
        Skipped = "skipped",
        /// It was given up because nobody waited any longer.
        Cancelled = "cancelled",
    }
}

named! {
    /// What the gateway did after an attempt.
    Decision {
        /// Hand its answer to the client.
        Deliver = "deliver",
        /// Ask the same target again.
        RetrySame = "retry_same",
        /// Ask the next target.
        NextTarget = "next_target",
        /// Take the next step of the degradation chain.
        Degrade = "degrade",
        /// End the stream with the failure.
        Fail = "fail",
    }
}

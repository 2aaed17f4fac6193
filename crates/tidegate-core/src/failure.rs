//! The failure table: what can go wrong, who is to blame, what the client reads, and what may be tried next.
//!
//! Everything else asks this table. Adding a failure is adding a variant and its row; the compiler asks for every column, and
//! `docs/failures.md` is generated from it. Codes are contract.md's and never change.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What went wrong. The name of a variant says what happened; [`Failure::facts`] says what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Failure {
    /// The request does not say what its protocol asks for.
    InvalidRequest,
    /// The body, or the head, is larger than the limit.
    RequestTooLarge,
    /// The request came too slowly to be read to its end.
    RequestTimeout,
    /// No key, an unknown one, or a revoked one.
    InvalidApiKey,
    /// The key may not use this model.
    ModelNotAllowed,
    /// No model of this name is configured.
    ModelNotFound,
    /// No resource at this path, or not with this method.
    NotFound,
    /// Moderation or the provider's content filter refused.
    ContentBlocked,
    /// The key's money is spent.
    BudgetExceeded,
    /// The key's request or token rate is used up.
    RateLimited,
    /// The key's number of open streams is used up.
    TooManyStreams,
    /// `server.max_streams` are open.
    GatewayOverloaded,
    /// All connections to the provider stayed in use for the whole pool wait. Told as `gateway_overloaded`.
    PoolExhausted,
    /// The gateway is shutting down.
    GatewayDraining,
    /// The same idempotency key came with another body.
    IdempotencyConflict,
    /// A resume of a stream that is unknown or no longer kept.
    StreamGone,
    /// No TCP or TLS connection to the provider, or it broke before an answer began.
    ConnectFailed,
    /// No TCP or TLS connection in time.
    ConnectTimeout,
    /// The provider did not take the request's body in time. Told as `first_byte_timeout`.
    SendTimeout,
    /// No provider event in time.
    FirstByteTimeout,
    /// Silence between two events for too long.
    IdleTimeout,
    /// The answer came more slowly than the model's `slow` guard allows. Told as `idle_timeout`.
    TooSlow,
    /// The caller's deadline, or the profile's total, passed.
    DeadlineExceeded,
    /// The provider answered 429.
    UpstreamRateLimited,
    /// The provider answered 5xx, or sent an error event inside a 200.
    UpstreamError,
    /// The provider refused the request with this status (a 4xx other than those with a row of their own).
    UpstreamRejected(u16),
    /// The request is longer than the model's context. Told as `upstream_rejected`, with this status.
    ContextTooLong(u16),
    /// The provider refused the gateway's own key (401, 402, 403).
    UpstreamCredentials,
    /// The provider's stream ended without a proof that the answer is whole.
    UpstreamCut,
    /// The provider sent something that is not its protocol.
    UpstreamMalformed,
    /// Every route's breaker is open.
    RoutesUnavailable,
    /// Stopped on request.
    Cancelled,
    /// The client went away.
    ClientGone,
    /// The client read too slowly for too long.
    SlowClient,
    /// The stream's record cannot be written, so nothing may be started.
    LedgerUnavailable,
    /// A fault of ours.
    Internal,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The caller, or what it asked.
    Client,
    /// Tidegate, its limits or its operator's settings.
    Gateway,
    /// The provider or the way to it.
    Upstream,
}

/// What may be tried inside the gateway before the first output. After it, nothing may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Nothing: it fails closed.
    Never,
    /// The same target once, then the next.
    SameOnceThenNext,
    /// The same target with backoff, then the next.
    SameThenNext,
    /// Only another target; this one has just been silent or wrong.
    NextTarget,
    /// After the provider's `Retry-After` where the deadline allows, or the next target.
    AfterPushback,
    /// Only a target that is marked for a larger context.
    LargerContext,
}

/// What a failure says about the health of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vote {
    /// Nothing.
    None,
    /// It counts towards opening the breaker.
    Failure,
    /// It opens the breaker by itself.
    OpenNow,
    /// The target rests for its `Retry-After`; the breaker does not count it.
    CoolDown,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureFacts {
    /// The code that clients and records carry.
    pub code: &'static str,
    /// Whose fault it is.
    pub blame: Blame,
    /// The HTTP status while the head is unsent. `None`: nobody is left to read one, it is recorded only.
    pub status: Option<u16>,
    /// What may be tried inside.
    pub retry: Retry,
    /// What the target's breaker hears.
    pub breaker: Vote,
    /// Whether the client may send the same request again. Where not, `x-should-retry: false` says so.
    pub client_may_retry: bool,
    /// The `type` in an OpenAI error object.
    pub openai_type: &'static str,
    /// What the client reads: one sentence without secrets, addresses or provider internals.
    pub message: &'static str,
}

impl Failure {
    /// Every failure, one of each code's variants, in the table's order.
    pub const ALL: &'static [Self] = &[
        Self::InvalidRequest,
        Self::RequestTooLarge,
        Self::RequestTimeout,
        Self::InvalidApiKey,
        Self::ModelNotAllowed,
        Self::ModelNotFound,
        Self::NotFound,
        Self::ContentBlocked,
        Self::BudgetExceeded,
        Self::RateLimited,
        Self::TooManyStreams,
        Self::GatewayOverloaded,
        Self::PoolExhausted,
        Self::GatewayDraining,
        Self::IdempotencyConflict,
        Self::StreamGone,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::SendTimeout,
        Self::FirstByteTimeout,
        Self::IdleTimeout,
        Self::TooSlow,
        Self::DeadlineExceeded,
        Self::UpstreamRateLimited,
        Self::UpstreamError,
        Self::UpstreamRejected(400),
        Self::ContextTooLong(400),
        Self::UpstreamCredentials,
        Self::UpstreamCut,
        Self::UpstreamMalformed,
        Self::RoutesUnavailable,
        Self::Cancelled,
        Self::ClientGone,
        Self::SlowClient,
        Self::LedgerUnavailable,
        Self::Internal,
    ];

    /// The failure's code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.facts().code
    }

    /// The failure's row.
    #[must_use]
    pub fn facts(self) -> FailureFacts {
        match self {
            Self::InvalidRequest => client("invalid_request", 400, "the request is not valid"),
            Self::RequestTooLarge => client("request_too_large", 413, "the request is larger than this gateway accepts"),
            Self::RequestTimeout => client("request_timeout", 408, "the request did not arrive completely in time"),
            Self::InvalidApiKey => FailureFacts {
                openai_type: "authentication_error",
                ..client("invalid_api_key", 401, "the API key is missing, unknown or revoked")
            },
            Self::ModelNotAllowed => {
                FailureFacts { openai_type: "permission_error", ..client("model_not_allowed", 403, "this API key may not use this model") }
            }
            Self::ModelNotFound => client("model_not_found", 404, "no model of this name is configured"),
            Self::NotFound => client("not_found", 404, "there is nothing at this path"),
            Self::ContentBlocked => client("content_blocked", 400, "the content was refused by a safety filter"),
            Self::BudgetExceeded => FailureFacts {
                openai_type: "insufficient_quota",
                ..gateway("budget_exceeded", 429, false, "the budget of this API key is used up")
            },
            Self::RateLimited => FailureFacts {
                openai_type: "rate_limit_error",
                ..gateway("rate_limited", 429, true, "this API key sends too many requests")
            },
            Self::TooManyStreams => FailureFacts {
                openai_type: "rate_limit_error",
                ..gateway("too_many_streams", 429, true, "this API key has too many open streams")
            },
            Self::GatewayOverloaded => gateway("gateway_overloaded", 503, true, "the gateway has no room for another stream right now"),
            Self::PoolExhausted => gateway("gateway_overloaded", 503, true, "no connection to the provider became free in time"),
            Self::GatewayDraining => gateway("gateway_draining", 503, true, "the gateway is shutting down"),
            Self::IdempotencyConflict => client("idempotency_conflict", 422, "this idempotency key was used with another body"),
            Self::StreamGone => client("stream_gone", 410, "this stream is unknown or no longer kept"),
            Self::ConnectFailed => FailureFacts {
                retry: Retry::SameOnceThenNext,
                ..upstream("connect_failed", 502, "no connection to the provider could be made")
            },
            Self::ConnectTimeout => FailureFacts {
                retry: Retry::SameOnceThenNext,
                ..upstream("connect_timeout", 504, "the provider did not accept a connection in time")
            },
            Self::SendTimeout => upstream("first_byte_timeout", 504, "the provider did not take the request in time"),
            Self::FirstByteTimeout => upstream("first_byte_timeout", 504, "the model did not start to answer in time"),
            Self::IdleTimeout => upstream("idle_timeout", 504, "the model stopped answering"),
            Self::TooSlow => upstream("idle_timeout", 504, "the model answered too slowly"),
            Self::DeadlineExceeded => gateway("deadline_exceeded", 504, true, "the answer did not complete before its deadline"),
            Self::UpstreamRateLimited => FailureFacts {
                retry: Retry::AfterPushback,
                breaker: Vote::CoolDown,
                openai_type: "rate_limit_error",
                ..upstream("upstream_rate_limited", 429, "the provider is limiting requests right now")
            },
            Self::UpstreamError => {
                FailureFacts { retry: Retry::SameThenNext, ..upstream("upstream_error", 502, "the provider reported an error") }
            }
            Self::UpstreamRejected(status) => client("upstream_rejected", status, "the provider refused the request"),
            Self::ContextTooLong(status) => FailureFacts {
                retry: Retry::LargerContext,
                ..client("upstream_rejected", status, "the request is longer than the model's context")
            },
            Self::UpstreamCredentials => FailureFacts {
                breaker: Vote::OpenNow,
                ..gateway("upstream_credentials", 502, false, "the provider refused the gateway's own credentials; its operator has to act")
            },
            Self::UpstreamCut => upstream("upstream_cut", 502, "the provider's stream ended before the answer was complete"),
            Self::UpstreamMalformed => upstream("upstream_malformed", 502, "the provider sent an answer that cannot be read"),
            Self::RoutesUnavailable => FailureFacts {
                retry: Retry::Never,
                breaker: Vote::None,
                ..upstream("routes_unavailable", 503, "no route to this model is healthy right now")
            },
            Self::Cancelled => client("cancelled", 409, "the stream was stopped on request"),
            Self::ClientGone => FailureFacts { status: None, ..client("client_gone", 400, "the client went away") },
            Self::SlowClient => {
                FailureFacts { status: None, client_may_retry: true, ..client("slow_client", 400, "the client read too slowly") }
            }
            Self::LedgerUnavailable => gateway("ledger_unavailable", 503, true, "the gateway cannot record the request right now"),
            Self::Internal => gateway("internal", 500, false, "the gateway failed"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

const fn client(code: &'static str, status: u16, message: &'static str) -> FailureFacts {
    FailureFacts {
        code,
        blame: Blame::Client,
        status: Some(status),
        retry: Retry::Never,
        breaker: Vote::None,
        client_may_retry: false,
        openai_type: "invalid_request_error",
        message,
    }
}

const fn gateway(code: &'static str, status: u16, client_may_retry: bool, message: &'static str) -> FailureFacts {
    FailureFacts {
        code,
        blame: Blame::Gateway,
        status: Some(status),
        retry: Retry::Never,
        breaker: Vote::None,
        client_may_retry,
        openai_type: "server_error",
        message,
    }
}

const fn upstream(code: &'static str, status: u16, message: &'static str) -> FailureFacts {
    FailureFacts {
        code,
        blame: Blame::Upstream,
        status: Some(status),
        retry: Retry::NextTarget,
        breaker: Vote::Failure,
        client_may_retry: true,
        openai_type: "upstream_error",
        message,
    }
}

//! Every name that goes over a wire, once, with its source. Elsewhere the constant is used: a constant is found by its users when a
//! provider changes, a literal is not.

/// Header names, in lower case as HTTP/2 wants them.
pub mod header {
    /// The client's request id, and the gateway's answer to it (contract.md).
    pub const REQUEST_ID: &str = "x-request-id";
    /// Another spelling of the client's request id (OpenAI's documentation).
    pub const CLIENT_REQUEST_ID: &str = "x-client-request-id";
    /// A key in the style of Anthropic's SDKs; `authorization` is the other way (contract.md).
    pub const API_KEY: &str = "x-api-key";
    /// W3C Trace Context.
    pub const TRACEPARENT: &str = "traceparent";
    /// IETF draft `httpapi-idempotency-key-header`.
    pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
    /// The answer is a replay (contract.md).
    pub const IDEMPOTENT_REPLAYED: &str = "idempotent-replayed";

    /// The caller's deadline in milliseconds (contract.md).
    pub const TIMEOUT_MS: &str = "x-tidegate-timeout-ms";
    /// Envoy's deadline in milliseconds (Envoy's router filter).
    pub const ENVOY_TIMEOUT_MS: &str = "x-envoy-expected-rq-timeout-ms";
    /// gRPC's deadline, a number and a unit (gRPC over HTTP/2).
    pub const GRPC_TIMEOUT: &str = "grpc-timeout";
    /// A Node SDK's patience until the head, in seconds; no deadline (OpenAI's and Anthropic's Node SDKs).
    pub const STAINLESS_TIMEOUT: &str = "x-stainless-timeout";
    /// A Python SDK's patience between bytes, in seconds; no deadline (OpenAI's Python SDK).
    pub const STAINLESS_READ_TIMEOUT: &str = "x-stainless-read-timeout";
    /// How often an SDK has already repeated this request (OpenAI's and Anthropic's SDKs).
    pub const STAINLESS_RETRY_COUNT: &str = "x-stainless-retry-count";

    /// How the answer is handed over: `stream`, `coherent`, `buffered`, `background` (contract.md).
    pub const DELIVERY: &str = "x-tidegate-delivery";
    /// RFC 7240; `respond-async` asks for background delivery.
    pub const PREFER: &str = "prefer";
    /// How long the provider's stream outlives a disconnect (contract.md).
    pub const RESUME: &str = "x-tidegate-resume";
    /// Where a late result is posted (contract.md).
    pub const NOTIFY_URL: &str = "x-tidegate-notify-url";
    /// Consent to a restart after partial output (contract.md).
    pub const RESTART: &str = "x-tidegate-restart";
    /// Notices as named events instead of comments (contract.md).
    pub const NOTICES: &str = "x-tidegate-notices";

    /// The stream's id (contract.md).
    pub const STREAM_ID: &str = "x-tidegate-stream-id";
    /// The provider that answers (contract.md).
    pub const PROVIDER: &str = "x-tidegate-provider";
    /// The provider's model that answers (contract.md).
    pub const MODEL: &str = "x-tidegate-model";
    /// How many attempts were made (contract.md).
    pub const ATTEMPTS: &str = "x-tidegate-attempts";

    /// `true` or `false`: whether an SDK shall repeat (OpenAI's and Anthropic's SDKs).
    pub const SHOULD_RETRY: &str = "x-should-retry";
    /// When to repeat, in milliseconds, before `retry-after` (OpenAI's and Anthropic's SDKs).
    pub const RETRY_AFTER_MS: &str = "retry-after-ms";
    /// `no` defeats nginx's response buffering (nginx, `proxy_buffering`).
    pub const ACCEL_BUFFERING: &str = "x-accel-buffering";

    /// The provider's own measure of its work (OpenAI's documentation).
    pub const OPENAI_PROCESSING_MS: &str = "openai-processing-ms";
}

/// Values of headers.
pub mod value {
    /// Media type of server-sent events (WHATWG HTML, "Server-sent events").
    pub const EVENT_STREAM: &str = "text/event-stream";
    /// The event stream's media type as the gateway writes it; the parameter is redundant and some clients want it.
    pub const EVENT_STREAM_UTF8: &str = "text/event-stream; charset=utf-8";
    /// RFC 8259.
    pub const JSON: &str = "application/json";
    /// Keeps caches and compressing proxies off a stream (RFC 9111; nginx, CDNs and webpack's dev server obey `no-transform`).
    pub const STREAM_CACHE_CONTROL: &str = "no-cache, no-transform";
    /// [`super::header::ACCEL_BUFFERING`]'s value for "do not buffer".
    pub const NO_BUFFERING: &str = "no";
    /// No cache may keep a secret (RFC 9111).
    pub const NO_STORE: &str = "no-store";
    /// The scheme of `authorization` (RFC 6750), in lower case for comparison.
    pub const BEARER: &str = "bearer";
    /// One of [`super::header::DELIVERY`]'s values (contract.md).
    pub const BACKGROUND: &str = "background";
    /// In [`super::header::PREFER`] (RFC 7240).
    pub const RESPOND_ASYNC: &str = "respond-async";
    /// [`super::header::RESTART`]'s only value.
    pub const ALLOW: &str = "allow";
    /// [`super::header::NOTICES`]'s only value.
    pub const EVENTS: &str = "events";
}

/// Paths of endpoints.
pub mod path {
    /// OpenAI Chat Completions, below the gateway's root.
    pub const CHAT_COMPLETIONS: &str = "/v1/chat/completions";
    /// OpenAI's list of models, below the gateway's root.
    pub const MODELS: &str = "/v1/models";
    /// Chat Completions below a provider's base URL, which ends in its version (`…/v1`).
    pub const UPSTREAM_CHAT_COMPLETIONS: &str = "/chat/completions";
    /// Stream records, below the gateway's root; the stream's id follows (contract.md).
    pub const STREAMS: &str = "/v1/streams/";
    /// The root, where the first clients of sessions connect.
    pub const ROOT: &str = "/";
    /// WebSocket sessions (contract.md).
    pub const SESSIONS: &str = "/v1/sessions";
    /// One-time tickets for them (contract.md).
    pub const SESSION_TICKETS: &str = "/v1/sessions/tickets";
    /// Liveness (contract.md).
    pub const HEALTHZ: &str = "/healthz";
    /// Readiness (contract.md).
    pub const READYZ: &str = "/readyz";
    /// Prometheus (contract.md).
    pub const METRICS: &str = "/metrics";
}

/// What stands for a provider and its model in headers and records where the gateway answers by itself.
pub mod place {
    /// A stored answer.
    pub const CACHE: &str = "cache";
    /// The operator's text.
    pub const STATIC: &str = "static";
    /// The answer is made in the background.
    pub const NOTIFY: &str = "notify";
}

/// Types of the gateway's own events in a stream, where the client asked for them (contract.md).
pub mod event {
    /// Something the user may be told.
    pub const NOTICE: &str = "notice";
    /// The answer begins again from its start.
    pub const RESTART: &str = "restart";
}

/// The `data` of the event that ends an OpenAI chat stream (OpenAI's documentation).
pub const DONE: &str = "[DONE]";

/// Members and values of OpenAI Chat Completions (OpenAI's API reference; other servers where named).
pub mod chat {
    /// The model.
    pub const MODEL: &str = "model";
    /// The conversation.
    pub const MESSAGES: &str = "messages";
    /// Whether the answer is streamed.
    pub const STREAM: &str = "stream";
    /// Options of a streamed answer; legal only with `stream: true`.
    pub const STREAM_OPTIONS: &str = "stream_options";
    /// In the stream's options: a last chunk with usage.
    pub const INCLUDE_USAGE: &str = "include_usage";
    /// How many choices to make.
    pub const N: &str = "n";
    /// What the answer used, in a chunk of its own or at the end of a whole answer.
    pub const USAGE: &str = "usage";
    /// The bound of the answer, reasoning included.
    pub const MAX_COMPLETION_TOKENS: &str = "max_completion_tokens";
    /// The bound's old name, which most other servers want.
    pub const MAX_TOKENS: &str = "max_tokens";
    /// How hard to think.
    pub const REASONING_EFFORT: &str = "reasoning_effort";
    /// Thinking in OpenRouter's form, and the newer vLLM's delta of it.
    pub const REASONING: &str = "reasoning";
    /// Thinking in the form of Anthropic, DeepSeek and Gemini's compatible servers.
    pub const THINKING: &str = "thinking";
    /// The lane that is paid for; `flex` is slow.
    pub const SERVICE_TIER: &str = "service_tier";

    /// The list of choices.
    pub const CHOICES: &str = "choices";
    /// A choice's place.
    pub const INDEX: &str = "index";
    /// A choice's news in a chunk.
    pub const DELTA: &str = "delta";
    /// A choice's message in a whole answer.
    pub const MESSAGE: &str = "message";
    /// Why a choice ended; `null` until then.
    pub const FINISH_REASON: &str = "finish_reason";
    /// Probabilities of a choice's tokens, in lists that grow.
    pub const LOGPROBS: &str = "logprobs";
    /// Who speaks.
    pub const ROLE: &str = "role";
    /// The role of an answer.
    pub const ASSISTANT: &str = "assistant";
    /// The role of a system prompt.
    pub const SYSTEM: &str = "system";
    /// The role of a prompt.
    pub const USER: &str = "user";
    /// The role of a tool's result.
    pub const TOOL: &str = "tool";
    /// The call that a tool's result answers.
    pub const TOOL_CALL_ID: &str = "tool_call_id";
    /// What is said.
    pub const CONTENT: &str = "content";
    /// A tool call's function.
    pub const FUNCTION: &str = "function";
    /// Calls of tools, each with its own index in a stream.
    pub const TOOL_CALLS: &str = "tool_calls";
    /// An object's identity: of the answer, of a tool call, of an audio answer.
    pub const ID: &str = "id";
    /// An object's type.
    pub const OBJECT: &str = "object";
    /// An object's kind, where OpenAI does not say `object`.
    pub const TYPE: &str = "type";
    /// A function's name.
    pub const NAME: &str = "name";
    /// When something was made, in seconds since 1970.
    pub const CREATED: &str = "created";
    /// Members of messages, deltas and their parts whose text a model reads or writes.
    pub const TEXTS: &[&str] =
        &[CONTENT, "text", "refusal", REASONING, "reasoning_content", THINKING, NAME, "arguments", "input", "transcript"];
    /// Members of a message's parts that hold a medium: its address, its name or its bytes in Base64.
    pub const MEDIA: &[&str] = &["url", "image_url", "data", "file_data", "file_id"];
    /// Members of a request that describe to the model what it may call and how it has to answer.
    pub const DEFINITIONS: &[&str] = &["tools", "functions", "response_format"];
    /// Random padding of a chunk.
    pub const OBFUSCATION: &str = "obfuscation";
    /// [`OBJECT`] of a whole answer.
    pub const COMPLETION: &str = "chat.completion";
    /// [`OBJECT`] of a chunk.
    pub const COMPLETION_CHUNK: &str = "chat.completion.chunk";

    /// An error, at an answer's or a chunk's top level; also [`TYPE`], [`OBJECT`] or the event type of some servers' flat errors.
    pub const ERROR: &str = "error";
    /// An error's code: text, or a number at OpenRouter.
    pub const CODE: &str = "code";
    /// The request's field that an error is about.
    pub const PARAM: &str = "param";

    /// In a chunk or a whole answer of the gateway's own making: what it is, and why.
    pub const TIDEGATE: &str = "tidegate";
    /// [`OBJECT`] of a list.
    pub const LIST: &str = "list";
}

/// Codes and types of errors in OpenAI Chat Completions (OpenAI's guide to errors; other servers where named), and where servers put them.
/// Compared without regard to case.
pub mod chat_errors {
    /// The content was refused (OpenAI, Azure; Tidegate).
    pub const CONTENT: &[&str] = &["content_filter", "content_policy_violation", "content_blocked"];
    /// The gateway's own account or key is to blame: waiting does not help (OpenAI).
    pub const CREDENTIALS: &[&str] = &[
        "invalid_api_key",
        "authentication_error",
        "invalid_authentication",
        "permission_error",
        "account_deactivated",
        "ip_not_authorized",
        "unsupported_country_region_territory",
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_not_active",
        "billing_hard_limit_reached",
        "billing_error",
    ];
    /// Too many requests or tokens: waiting helps (OpenAI; `rate_limited` of Tidegate and Mistral).
    pub const RATE: &[&str] = &[
        "rate_limit_exceeded",
        "rate_limit_error",
        "rate_limited",
        "too_many_requests",
        "requests",
        "tokens",
        "slow_down",
        "resource_unavailable",
        "resource_exhausted",
    ];
    /// The request is longer than the model's context (OpenAI and everybody after it).
    pub const CONTEXT: &[&str] = &["context_length_exceeded", "context_window_exceeded"];
    /// So says the message where there is no code (vLLM, SGLang; OpenAI's own text too). In lower case.
    pub const CONTEXT_MESSAGE: &str = "maximum context length";
    /// The request is to blame (OpenAI).
    pub const REQUEST: &[&str] =
        &["string_above_max_length", "unsupported_parameter", "unsupported_value", "model_not_found", "bad_request"];
    /// So do all codes that begin with this, such as `invalid_value` and the type `invalid_request_error` (OpenAI).
    pub const REQUEST_PREFIX: &str = "invalid_";

    /// FastAPI's member for a reason: text, or a list of findings.
    pub const DETAIL: &str = "detail";
    /// In that list, as a JSON pointer: the first finding's text.
    pub const FIRST_DETAIL: &str = "/0/msg";
    /// In an error, as a JSON pointer: why a moderation refused (OpenRouter).
    pub const MODERATION_REASONS: &str = "/metadata/reasons";
}

/// Types and members of WebSocket session messages, and what the handshake and the end of a session say (contract.md, "WebSocket session
/// messages"; RFC 6455 where named).
pub mod session {
    /// The subprotocol of clients that can resume a session.
    pub const SUBPROTOCOL: &str = "tidegate.v1";
    /// What a browser's key stands behind in its list of subprotocols.
    pub const BEARER_PREFIX: &str = "bearer.";
    /// A one-time ticket: the member of the answer that gives it, and the parameter of the address that uses it.
    pub const TICKET: &str = "ticket";
    /// Beside a new ticket: how long it may be used. Unlike the members of messages it is spelled as in the HTTP API.
    pub const TICKET_EXPIRES_IN_MS: &str = "expires_in_ms";
    /// What a handshake's `Upgrade` names (RFC 6455, 4.2.1).
    pub const WEBSOCKET: &str = "websocket";
    /// What its `Connection` names (RFC 9110, 7.8).
    pub const UPGRADE: &str = "upgrade";
    /// The only version of the protocol (RFC 6455, 4.2.1).
    pub const VERSION: &str = "13";

    /// A message's type.
    pub const TYPE: &str = "type";

    /// A client asks something.
    pub const PROMPT: &str = "PROMPT";
    /// A client wants a task stopped.
    pub const CANCEL: &str = "CANCEL";
    /// A client goes on with another connection's session.
    pub const RESUME: &str = "RESUME";
    /// A client begins a new conversation.
    pub const RESET: &str = "RESET";
    /// A client asks for a sign of life.
    pub const PING: &str = "PING";
    /// The gateway says which session this is.
    pub const SESSION: &str = "SESSION";
    /// A prompt was accepted.
    pub const ACK: &str = "ACK";
    /// A prompt was refused for want of room.
    pub const RATE_LIMITED: &str = "RATE_LIMITED";
    /// A waiting task ended without having run.
    pub const DROPPED: &str = "DROPPED";
    /// Something that the user may be told.
    pub const NOTICE: &str = "NOTICE";
    /// A piece of an answer.
    pub const TOKEN: &str = "TOKEN";
    /// An answer is whole.
    pub const COMPLETE: &str = "COMPLETE";
    /// A task failed, or a message could not be obeyed.
    pub const ERROR: &str = "ERROR";
    /// The gateway's sign of life.
    pub const PONG: &str = "PONG";

    /// What the user says.
    pub const CONTENT: &str = "content";
    /// The client's own name of a prompt.
    pub const ID: &str = "id";
    /// Which model is asked.
    pub const MODEL: &str = "model";
    /// The system prompt.
    pub const SYSTEM: &str = "system";
    /// The longest answer, in tokens.
    pub const MAX_TOKENS: &str = "max_tokens";
    /// A task.
    pub const TASK_ID: &str = "taskId";
    /// A session.
    pub const SESSION_ID: &str = "sessionId";
    /// The last message that a client has seen.
    pub const LAST_SEQ: &str = "lastSeq";
    /// A message's number in its session.
    pub const SEQ: &str = "seq";
    /// Whether the session is the one that was asked for.
    pub const RESUMED: &str = "resumed";
    /// How long a session outlives its connection.
    pub const EXPIRES_IN_MS: &str = "expiresInMs";
    /// How many tasks wait.
    pub const QUEUE_DEPTH: &str = "queueDepth";
    /// When to come back.
    pub const RETRY_AFTER_MS: &str = "retryAfterMs";
    /// Why a task was dropped.
    pub const REASON: &str = "reason";
    /// A sentence for people.
    pub const MESSAGE: &str = "message";
    /// A task's place among those that wait, from 1.
    pub const QUEUE_POSITION: &str = "queuePosition";
    /// When a task is expected to start.
    pub const ETA_MS: &str = "etaMs";
    /// The tools that the model calls.
    pub const TOOL_CALLS: &str = "toolCalls";
    /// A piece of text.
    pub const DATA: &str = "data";
    /// What an answer used.
    pub const USAGE: &str = "usage";
    /// The stream behind a task.
    pub const STREAM_ID: &str = "streamId";
    /// What went wrong.
    pub const CODE: &str = "code";
    /// Whether the client has seen a part of the answer.
    pub const PARTIAL: &str = "partial";
    /// Whether the client may ask again.
    pub const RETRYABLE: &str = "retryable";

    /// The session came to its end as it should (RFC 6455, 7.4.1).
    pub const CLOSE_NORMAL: u16 = 1000;
    /// The gateway shuts down (RFC 6455, 7.4.1).
    pub const CLOSE_GOING_AWAY: u16 = 1001;
    /// A frame broke the protocol (RFC 6455, 7.4.1).
    pub const CLOSE_PROTOCOL: u16 = 1002;
    /// A text frame is not UTF-8 (RFC 6455, 7.4.1).
    pub const CLOSE_INVALID_DATA: u16 = 1007;
    /// A message is over the size limit (RFC 6455, 7.4.1).
    pub const CLOSE_TOO_BIG: u16 = 1009;
    /// What the client asks for cannot be known right now (the registry of RFC 6455, 11.7).
    pub const CLOSE_TRY_AGAIN_LATER: u16 = 1013;
    /// Another connection took the session over (RFC 6455, 7.4.2: private use).
    pub const CLOSE_TAKEN_OVER: u16 = 4000;
}

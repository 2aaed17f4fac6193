//! stub
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::failure::Failure;

/// What a provider's error answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// The failure.
    pub failure: Failure,
    /// The provider's reason, where it is the client's business.
    pub message: Option<String>,
    /// The provider's code.
    pub code: Option<String>,
    /// The request's field.
    pub param: Option<String>,
}

/// Reads a provider's error answer.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> ProviderError {
    let _ = body;
    ProviderError { failure: Failure::UpstreamRejected(status), message: None, code: None, param: None }
}

/// One attempt, as an error tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptSummary<'a> {
    /// 1, 2, …
    pub n: u32,
    /// The provider's name in the configuration.
    pub provider: &'a str,
    /// The failure's code.
    pub code: Option<&'a str>,
}

/// What an error says besides its failure.
#[derive(Debug, Clone, Copy, Default)]
pub struct ErrorContext<'a> {
    /// The stream's id.
    pub stream_id: Option<&'a str>,
    /// The client has seen output.
    pub partial: bool,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// The attempts.
    pub attempts: &'a [AttemptSummary<'a>],
    /// Replaces the table's text.
    pub message: Option<&'a str>,
    /// The request's field.
    pub param: Option<&'a str>,
    /// The provider's own code.
    pub provider_code: Option<&'a str>,
}

/// The body of an error answer.
#[must_use]
pub fn error_body(failure: Failure, context: &ErrorContext<'_>) -> Bytes {
    let _ = (failure, context);
    Bytes::new()
}
/// An error inside a stream.
#[must_use]
pub fn error_event(failure: Failure, context: &ErrorContext<'_>) -> Bytes {
    let _ = (failure, context);
    Bytes::new()
}
/// The event that ends a stream.
#[must_use]
pub fn done_event() -> Bytes {
    Bytes::from_static(b"data: [DONE]\n\n")
}

//! stub
use bytes::Bytes;

/// What a request lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFault {
    /// The field.
    pub param: Option<&'static str>,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// A chat request.
#[derive(Debug, Clone)]
pub struct ChatRequest {}

impl ChatRequest {
    /// Reads a request's body.
    ///
    /// # Errors
    ///
    /// Names the field that is missing or wrong.
    pub fn parse(body: Bytes) -> Result<Self, RequestFault> {
        drop(body);
        Ok(Self {})
    }
    /// The model as the client names it.
    #[must_use]
    pub fn model(&self) -> &str {
        ""
    }
    /// It asks for a streamed answer.
    #[must_use]
    pub fn stream(&self) -> bool {
        false
    }
    /// It asks for the usage chunk.
    #[must_use]
    pub fn wants_usage(&self) -> bool {
        false
    }
    /// How many choices.
    #[must_use]
    pub fn choices(&self) -> u32 {
        1
    }
    /// The bound of the answer in tokens.
    #[must_use]
    pub fn max_output_tokens(&self) -> Option<u64> {
        None
    }
    /// It asks the model to think.
    #[must_use]
    pub fn asks_for_thinking(&self) -> bool {
        false
    }
    /// The body for the provider.
    #[must_use]
    pub fn upstream_body(&self, model: &str, stream: bool) -> Bytes {
        let _ = (model, stream);
        Bytes::new()
    }
}

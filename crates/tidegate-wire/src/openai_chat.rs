//! OpenAI Chat Completions, and the many servers that speak it.

mod assemble;
mod chunk;
mod error;
mod models;
mod request;
mod whole;

pub use assemble::Assembler;
pub use chunk::ChatReader;
pub use error::{AttemptSummary, ErrorContext, ProviderError, done_event, error_body, error_event, read_error};
pub use models::models_body;
pub use request::{ChatRequest, RequestFault};
pub use whole::read_whole;

//! OpenAI Chat Completions, and the many servers that speak it (protocols.md, section 2).

mod request;

mod chunk;
mod whole;

mod answer;
mod pattern;
mod sample;
mod usage;

mod assemble;
mod merge;

mod error;
mod local;
mod models;
mod provider_error;

mod visible;

pub use assemble::Assembler;
pub use chunk::ChatReader;
pub use error::{AttemptSummary, ErrorContext, done_event, error_body, error_event};
pub use local::{Notice, acknowledgement, marked, may_serve_again, notice, replay, restart_event, text_answer};
pub use models::models_body;
pub use provider_error::{ProviderError, read_error, read_event as read_error_event};
pub use request::{ChatRequest, RequestFault};
pub use sample::{TextSample, answer_sample, prompt_sample};
pub use visible::{notice_text, visible_text, whole_message};
pub use whole::read_whole;

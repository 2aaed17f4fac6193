//! From a prompt and the conversation before it to a request.

use std::sync::Arc;

use tidegate_config::{Model, Route};
use tidegate_core::failure::Failure;
use tidegate_core::session::{Ask, Counted, History, Prompt, Room, TaskEnd};
use tidegate_ledger::spend::{self, Sample};
use tidegate_wire::openai_chat::ChatRequest;
use tidegate_wire::session::messages;
use tokio::sync::oneshot;

use crate::gateway::{Gateway, Setup};

/// Tokenizers differ, and every server wraps messages in tokens of its own: a tenth of a context is left free, so that what was counted
/// short still fits.
const MARGIN: u64 = 10;

/// A request for a prompt.
#[derive(Debug)]
pub(super) struct Asked {
    /// What goes to the model.
    pub(super) chat: ChatRequest,
    /// What becomes a turn of the conversation once it is answered.
    pub(super) ask: Ask,
    /// How many messages of the conversation were left out, because the model's context is too small for them.
    pub(super) left_out: usize,
    /// The model's context is known, so the answer's tokens have to be too.
    pub(super) counts_matter: bool,
}

/// Makes the request: the conversation as far as it fits into the model's context, then the prompt.
///
/// # Errors
///
/// How the task ends, where the prompt does not fit.
///
/// # Cancel safety
///
/// Safe: nothing has happened yet.
pub(super) async fn request(gateway: &Gateway, setup: &Setup, model: &Model, name: &str, prompt: &Prompt, history: &History) -> Result<Asked, TaskEnd> {
    let window = window(setup, model, name);
    let content = count(gateway, &prompt.content, window.is_some()).await;
    let system = match &prompt.system {
        Some(system) => Some(count(gateway, system, window.is_some()).await),
        None => None,
    };
    let ask = history.ask(&content, system);
    let room = Room { window, max_tokens: prompt.max_tokens };
    let context = history.fit(&ask, room)?;
    let left_out = context.left_out;
    let chat = ChatRequest::streamed(name, &messages(&context)).map_err(|fault| refused(Failure::InvalidRequest, Some(fault.message)))?;
    let chat = match prompt.max_tokens {
        Some(most) => chat.bounded(u64::from(most.get())),
        None => chat,
    };
    Ok(Asked { chat, ask, left_out, counts_matter: window.is_some() })
}

/// The model that a prompt asks for: by its own word, or else the settings'.
pub(super) fn model_name<'a>(setup: &'a Setup, prompt: &'a Prompt) -> Option<&'a str> {
    prompt.model.as_deref().or(setup.config.sessions.model.as_deref())
}

/// The end of a task that never began.
pub(super) fn refused(failure: Failure, message: Option<String>) -> TaskEnd {
    let retry_after = crate::deliver::refuse::wait_for(failure, None);
    TaskEnd::Failed { failure, message: message.map(Arc::from), partial: false, retry_after, stream: None }
}

/// Counts a text's tokens, where it matters how many they are: for a model whose context is known.
///
/// # Cancel safety
///
/// Safe: nobody waits for the count then.
pub(super) async fn count(gateway: &Gateway, text: &Arc<str>, exactly: bool) -> Counted {
    let tokens = if exactly { counted(gateway, text).await.unwrap_or_else(|| about(text)) } else { about(text) };
    Counted { text: Arc::clone(text), tokens }
}

async fn counted(gateway: &Gateway, text: &Arc<str>) -> Option<u64> {
    let (tell, told) = oneshot::channel();
    let theirs = Arc::clone(text);
    let job: spend::Job = Box::new(move || {
        let sample = Sample { text: &theirs, total_bytes: u64::try_from(theirs.len()).unwrap_or(u64::MAX) };
        // Whoever asked may be gone.
        let _nobody = tell.send(spend::estimate(Some(sample), None).input_tokens);
    });
    gateway.sessions.tokens.submit(job).ok()?;
    told.await.ok().flatten()
}

/// More than nearly any text has: a token is hardly ever shorter than two bytes.
fn about(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX) / 2
}

/// How much the model can read and write, in tokens as they are counted here.
pub(super) fn window(setup: &Setup, model: &Model, name: &str) -> Option<u64> {
    let of_route = |route: &Route| setup.prices.facts(&route.provider, route.upstream_model(name))?.context_window;
    let known = model.context_window.map(|window| u64::from(window.get())).or_else(|| model.routes.iter().filter_map(of_route).min());
    known.map(|window| window - window / MARGIN)
}

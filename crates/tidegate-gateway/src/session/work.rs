//! What has to be known to run a prompt: here, or by a worker that knows nothing of its session.

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidegate_config::{Model, Route};
use tidegate_core::failure::Failure;
use tidegate_core::id::{SessionId, TaskId};
use tidegate_core::session::{Ask, Counted, Prompt, Room, Session, TaskEnd};
use tidegate_ledger::KeyInfo;
use tidegate_ledger::spend::{self, Sample};
use tidegate_wire::session::messages;
use tokio::sync::oneshot;

use crate::admit::{Caller, auth};
use crate::deliver::refuse;
use crate::gateway::{Gateway, Setup};
use crate::route;

/// Tokenizers differ, and every server wraps messages in tokens of its own: a tenth of a context is left free, so that what was counted
/// short still fits.
const MARGIN: u64 = 10;

/// A prompt that may run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Work {
    pub(super) session: SessionId,
    pub(super) task: TaskId,
    pub(super) caller: WorkCaller,
    /// As the client named it.
    pub(super) model: String,
    /// The conversation as far as it fits into the model's context, and the prompt: a JSON list.
    pub(super) messages: Box<RawValue>,
    /// The longest answer, in tokens.
    pub(super) max_tokens: Option<NonZeroU32>,
    /// What becomes a turn of the conversation once it is answered.
    pub(super) ask: Ask,
    /// The model's context is known, so the answer's tokens have to be too.
    pub(super) counts_matter: bool,
    /// How many messages of the conversation were left out, because the model's context is too small for them.
    pub(super) left_out: usize,
}

/// For whom it runs, without the secret by which that was found out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WorkCaller(Option<Arc<KeyInfo>>);

impl From<Caller> for WorkCaller {
    fn from(caller: Caller) -> Self {
        match caller {
            Caller::Open => Self(None),
            Caller::Key(key) => Self(Some(key)),
        }
    }
}

impl From<WorkCaller> for Caller {
    fn from(caller: WorkCaller) -> Self {
        caller.0.map_or(Self::Open, Self::Key)
    }
}

/// Makes work of the `prompt` of a `task` that `session` has just started: its model is known and allowed, and its conversation cut to what fits.
///
/// The future fails with the end of the task, where it may not run.
///
/// # Cancel safety
///
/// Safe: nothing has happened yet.
pub(super) fn of(
    gateway: Arc<Gateway>,
    caller: Caller,
    session: &Session,
    task: TaskId,
    prompt: &Prompt,
) -> impl Future<Output = Result<Work, TaskEnd>> + Send + use<> {
    let (id, prompt, history) = (session.id(), prompt.clone(), session.history().clone());
    async move {
        let setup = gateway.setup();
        // A session may last longer than its key.
        let caller = auth::renewed(&caller, &gateway.keys.load()).map_err(|failure| refused(failure, None))?;
        let name = model_name(&setup, &prompt).ok_or_else(|| {
            refused(Failure::ModelNotFound, Some("`model` has to name one: this gateway has no model for prompts without".to_owned()))
        })?;
        let model = route::find(&setup, name).map_err(|failure| refused(failure, None))?;
        if !caller.may_use(name) {
            return Err(refused(Failure::ModelNotAllowed, None));
        }
        let window = window(&setup, model, name);
        let content = count(&gateway, &prompt.content, window.is_some()).await;
        let system = match &prompt.system {
            Some(system) => Some(count(&gateway, system, window.is_some()).await),
            None => None,
        };
        let ask = history.ask(&content, system);
        let context = history.fit(&ask, Room { window, max_tokens: prompt.max_tokens })?;
        let messages = serde_json::from_slice(&messages(&context)).map_err(|_| refused(Failure::Internal, None))?;
        Ok(Work {
            session: id,
            task,
            caller: caller.into(),
            model: name.to_owned(),
            messages,
            max_tokens: prompt.max_tokens,
            left_out: context.left_out,
            counts_matter: window.is_some(),
            ask,
        })
    }
}

/// The end of a task that never began.
pub(super) fn refused(failure: Failure, message: Option<String>) -> TaskEnd {
    let retry_after = refuse::wait_for(failure, None);
    TaskEnd::Failed { failure, message: message.map(Arc::from), partial: false, retry_after, stream: None }
}

/// The model that a prompt asks for: by its own word, or else the settings'.
fn model_name<'a>(setup: &'a Setup, prompt: &'a Prompt) -> Option<&'a str> {
    prompt.model.as_deref().or(setup.config.sessions.model.as_deref())
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
fn window(setup: &Setup, model: &Model, name: &str) -> Option<u64> {
    let of_route = |route: &Route| setup.prices.facts(&route.provider, route.upstream_model(name))?.context_window;
    let known = model.context_window.map(|window| u64::from(window.get())).or_else(|| model.routes.iter().filter_map(of_route).min());
    known.map(|window| window - window / MARGIN)
}

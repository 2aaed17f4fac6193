//! Everything that a stream may still need before the line is crossed: the request itself, and what stands behind its targets.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::Moment;
use tidegate_core::id::{RequestId, SessionId, TaskId};
use tidegate_wire::openai_chat::ChatRequest;

use crate::admit::auth::Caller;
use crate::arrive::headers::Wishes;
use crate::attempt::call::{Call, Manner};
use crate::gateway::Setup;
use crate::route::cache::CacheKey;
use crate::route::places::{Place, ProviderPlace};

/// A request that was admitted.
#[derive(Debug)]
pub struct Order {
    /// The settings that it began with.
    pub setup: Arc<Setup>,
    /// The gateway's own name for it. Every stream that it leads to carries it.
    pub request_id: RequestId,
    /// What is asked.
    pub chat: ChatRequest,
    /// Who asks.
    pub caller: Caller,
    /// What its headers say.
    pub wishes: Wishes,
    /// When it came.
    pub arrived: Moment,
    /// The task of a session that it is.
    pub task: Option<TaskOf>,
}

/// Which task of which session.
#[derive(Debug, Clone, Copy)]
pub struct TaskOf {
    /// The session.
    pub session: SessionId,
    /// The task.
    pub task: TaskId,
}

/// What attempts are made from. Forgotten once the line is crossed, unless the answer may begin again.
#[derive(Debug)]
pub struct Prospects {
    /// The request.
    pub order: Arc<Order>,
    /// What stands behind each target.
    pub places: Vec<Place>,
    /// Under which the answer may be cached.
    pub cache_key: Option<CacheKey>,
    /// Providers are asked to stream.
    pub streams: bool,
}

impl Prospects {
    /// The request to one provider.
    #[must_use]
    pub fn call(&self, place: &ProviderPlace, model: &str, time_left: Duration) -> Call {
        let manner = Manner {
            streams: self.streams,
            traceparent: self.order.wishes.traceparent.as_deref(),
            deadline_header: self.order.setup.deadline_header.as_ref(),
        };
        Call::chat(&self.order.chat, model, place.max_tokens, time_left, &place.provider.keys, manner)
    }
}

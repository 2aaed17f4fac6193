//! One prompt on the path that every stream takes, told as a session tells it.
//!
//! The file is long because it is a pump's whole life once more, from the request to the record, for a client that reads messages instead of a body.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use serde::{Deserialize, Serialize};
use tidegate_config::OnDisconnect;
use tidegate_core::failure::Failure;
use tidegate_core::id::TaskId;
use tidegate_core::record::{Delivered, StreamRecord};
use tidegate_core::session::{Ask, Counted, Input, Session, Settings, Task, TaskEnd, ToolCalls};
use tidegate_wire::openai_chat::{self, Assembler, ChatRequest};
use tidegate_wire::sse::Scanner;

use super::pool::Slot;
use super::work::{self, Work};
use crate::admit::Caller;
use crate::arrive::headers::Wishes;
use crate::arrive::meter::Meter;
use crate::deliver::leave::{Leaving, leave};
use crate::deliver::refuse;
use crate::drain::Stage;
use crate::gateway::Gateway;
use crate::record::later;
use crate::record::live::{Live, Receipt};
use crate::relay::prospects::{Order, TaskOf};
use crate::relay::pump::{Pump, Step};
use crate::route;
use crate::serve::{self, Terms};

/// An event of the gateway's own stream is never longer than those of providers.
const MAX_EVENT: usize = usize::MAX;

/// What a running prompt comes to, in order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Happening {
    /// A piece of its answer.
    Token(Arc<str>),
    /// Something that the user may be told.
    Notice(Arc<str>),
    /// The tools that the model calls.
    ToolCalls(Arc<str>),
    /// It is over. Nothing follows.
    Ended(TaskEnd),
}

impl Happening {
    /// What it means for the session of `task`.
    pub(super) fn into_input(self, task: TaskId) -> Input {
        match self {
            Self::Token(data) => Input::Token { task, data },
            Self::Notice(message) => Input::Notice { task, message, tool_calls: None },
            Self::ToolCalls(calls) => {
                let message = Arc::from("the model calls tools: the next prompt is their result");
                Input::Notice { task, message, tool_calls: Some(calls) }
            }
            Self::Ended(end) => Input::Ended { task, end },
        }
    }
}

/// What the client was given of an answer: what was said to it, and how much of that its socket took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Account {
    pub(super) said: Delivered,
    pub(super) taken: Delivered,
}

/// A prompt that runs. Dropped, the provider's request is cancelled and the record settled.
pub(super) struct Run {
    pub(super) task: TaskId,
    gateway: Arc<Gateway>,
    meter: Arc<Meter>,
    stage: RunStage,
    happenings: VecDeque<Happening>,
    pub(super) account: Account,
}

/// What comes, unless the prompt ends before.
type OnItsWay<T> = Pin<Box<dyn Future<Output = Result<T, TaskEnd>> + Send>>;

enum RunStage {
    /// On its way to a place in the pool and a request.
    Waiting(OnItsWay<(Slot, Work)>),
    /// On its way to a place in the ledger. It may be there already, so what ends it meanwhile waits until its record can say so.
    Beginning {
        begins: OnItsWay<Prepared>,
        /// Messages of the conversation for which the model's context had no room.
        left_out: usize,
        slot: Slot,
        cancelled: Option<Failure>,
    },
    Answering(Box<Answering>),
    /// The answer is there, its tokens are being counted.
    Counting {
        live: Box<Live>,
        end: Pin<Box<dyn Future<Output = TaskEnd> + Send>>,
    },
    /// Nothing follows but what waits to be told.
    Over(Option<Box<Live>>),
}

struct Prepared {
    pump: Box<Pump>,
    /// What becomes a turn of the conversation once it is answered.
    ask: Ask,
    counts_matter: bool,
    on_disconnect: OnDisconnect,
}

struct Answering {
    prepared: Prepared,
    scanner: Scanner,
    answer: Assembler,
    /// Until the answer is whole.
    slot: Option<Slot>,
}

/// A prompt whose answer has ended and whose client has not taken all of it yet. Dropped, it never will: the record says so.
pub(super) struct Farewell {
    live: Box<Live>,
    said: Delivered,
}

impl Run {
    /// Begins to run `task` for `caller` as soon as there is a place in the pool, with the conversation that it goes on with.
    pub(super) fn here(gateway: &Arc<Gateway>, caller: &Caller, session: &Session, task: Task) -> Self {
        let id = task.id;
        let work = work::of(Arc::clone(gateway), caller.clone(), session, id, &task.prompt);
        let (pooled, place) = (Arc::clone(gateway), task.place);
        let slot = async move {
            let slot = pooled.sessions.pool.slot().await;
            drop(place);
            slot
        };
        Self::new(gateway, id, async move { Ok((slot.await, work.await?)) })
    }

    /// Runs work that somebody else has submitted.
    pub(super) fn leased(gateway: &Arc<Gateway>, work: Work, slot: Slot) -> Self {
        Self::new(gateway, work.task, async move { Ok((slot, work)) })
    }

    fn new(gateway: &Arc<Gateway>, task: TaskId, work: impl Future<Output = Result<(Slot, Work), TaskEnd>> + Send + 'static) -> Self {
        Self {
            task,
            gateway: Arc::clone(gateway),
            meter: Arc::default(),
            stage: RunStage::Waiting(Box::pin(work)),
            happenings: VecDeque::new(),
            account: Account::default(),
        }
    }

    /// What happens next, to be said at once: the account has it. While `client_takes` is false, the provider is not read, and what it said
    /// waits; only a failure is told all the same, with what came before it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, client_takes: bool) -> Poll<Happening> {
        loop {
            if (client_takes || self.has_failed())
                && let Some(happening) = self.happenings.pop_front()
            {
                if let Happening::Token(text) = &happening {
                    self.account.said.output_events += 1;
                    self.account.said.bytes += text.len() as u64;
                }
                return Poll::Ready(happening);
            }
            match &mut self.stage {
                RunStage::Waiting(work) => match ready!(work.as_mut().poll(cx)) {
                    Ok((slot, work)) => self.begin(slot, work),
                    Err(end) => self.refused(end),
                },
                RunStage::Beginning { begins, .. } => {
                    let begun = ready!(begins.as_mut().poll(cx));
                    self.begun(begun);
                }
                // Nothing more can happen to it, and other prompts may run while it waits.
                RunStage::Answering(answering) if answering.is_whole() && !self.happenings.is_empty() => {
                    drop(answering.slot.take());
                    return Poll::Pending;
                }
                RunStage::Answering(answering) => match ready!(answering.prepared.pump.poll_step(cx, client_takes)) {
                    Step::Head => {}
                    Step::Piece(piece) => answering.read(piece.bytes, &mut self.happenings),
                    Step::End => self.answered(),
                },
                RunStage::Counting { end, .. } => {
                    let end = ready!(end.as_mut().poll(cx));
                    if let RunStage::Counting { live, .. } = std::mem::replace(&mut self.stage, RunStage::Over(None)) {
                        self.over(Some(live), end);
                    }
                }
                RunStage::Over(_) => return Poll::Pending,
            }
        }
    }

    /// Ends it for this reason: the client wants no more of it, or the gateway has no more time.
    pub(super) fn cancel(&mut self, why: Failure) {
        match &mut self.stage {
            RunStage::Beginning { cancelled, .. } => {
                *cancelled = Some(why);
                return;
            }
            // Too late: the answer is whole, or it has failed.
            RunStage::Answering(answering) if answering.has_ended() => return,
            RunStage::Counting { .. } | RunStage::Over(_) => return,
            // The pump ends it typed, at its next step.
            RunStage::Answering(_) if why == Failure::GatewayDraining => return self.meter.end_now(),
            RunStage::Waiting(_) | RunStage::Answering(_) => {}
        }
        // What was not said yet is not wanted any more.
        self.happenings.clear();
        let live = self.stop(why, OnDisconnect::Cancel);
        let (partial, stream) = (self.is_partial(), live.as_ref().map(|live| live.identity.id));
        let retry_after = refuse::wait_for(why, None);
        self.over(live, TaskEnd::Failed { failure: why, message: None, partial, retry_after, stream });
    }

    /// The client is gone, for good, or was given up.
    pub(super) fn abandon(mut self, why: Failure) {
        let receipt = if why == Failure::SlowClient { Receipt::GivenUp } else { Receipt::Lost };
        if let Some(mut live) = self.stop(why, self.on_disconnect()) {
            live.delivered = self.account.taken;
            later::settle(live, receipt, &self.gateway.tasks);
        }
    }

    /// What is left once it has ended: the record, which says what the client took.
    pub(super) fn into_farewell(self) -> Option<Farewell> {
        let RunStage::Over(Some(mut live)) = self.stage else { return None };
        live.delivered = self.account.taken;
        Some(Farewell { live, said: self.account.said })
    }

    fn on_disconnect(&self) -> OnDisconnect {
        match &self.stage {
            RunStage::Answering(answering) => answering.prepared.on_disconnect,
            _ => OnDisconnect::Cancel,
        }
    }

    /// Whether the client has seen a part of the answer, or is going to. Hidden thinking and the pieces of tool calls are none: it is shown neither.
    fn is_partial(&self) -> bool {
        self.account.said.output_events > 0 || self.happenings.iter().any(|happening| matches!(happening, Happening::Token(_)))
    }

    fn has_failed(&self) -> bool {
        matches!(self.happenings.back(), Some(Happening::Ended(TaskEnd::Failed { .. })))
    }

    /// Ends what it is at. A provider that is read on keeps the record.
    fn stop(&mut self, why: Failure, on_disconnect: OnDisconnect) -> Option<Box<Live>> {
        match std::mem::replace(&mut self.stage, RunStage::Over(None)) {
            RunStage::Waiting(_) | RunStage::Beginning { .. } => None,
            RunStage::Answering(answering) => {
                let Answering { prepared: Prepared { pump, .. }, .. } = *answering;
                let leaving = Leaving { failure: why, taken: self.account.taken, on_disconnect };
                leave(pump, leaving, &self.gateway)
            }
            RunStage::Counting { live, .. } => Some(live),
            RunStage::Over(live) => live,
        }
    }

    fn begin(&mut self, slot: Slot, work: Work) {
        let left_out = work.left_out;
        let begins = Box::pin(begin(Arc::clone(&self.gateway), Arc::clone(&self.meter), work));
        self.stage = RunStage::Beginning { begins, left_out, slot, cancelled: None };
    }

    fn begun(&mut self, begun: Result<Prepared, TaskEnd>) {
        let RunStage::Beginning { left_out, slot, cancelled, .. } = std::mem::replace(&mut self.stage, RunStage::Over(None)) else {
            return;
        };
        let prepared = match begun {
            Ok(prepared) => prepared,
            Err(end) => return self.refused(end),
        };
        if left_out > 0 {
            let told = format!("the conversation is longer than the model's context: its {left_out} oldest messages were left out");
            self.happenings.push_back(Happening::Notice(told.into()));
        }
        let (scanner, answer) = (Scanner::new(MAX_EVENT), Assembler::new());
        self.stage = RunStage::Answering(Box::new(Answering { prepared, scanner, answer, slot: Some(slot) }));
        if let Some(why) = cancelled {
            self.cancel(why);
        }
    }

    /// The stream has ended: as a turn of the conversation, or as a failure.
    fn answered(&mut self) {
        let RunStage::Answering(answering) = std::mem::replace(&mut self.stage, RunStage::Over(None)) else { return };
        let Answering { prepared: Prepared { pump, ask, counts_matter, .. }, answer, .. } = *answering;
        let stream = pump.live().identity.id;
        let ending = pump.live().exchange.ending();
        if let Some(failure) = ending.and_then(|ending| ending.failure) {
            let theirs = pump.detail().provider.as_ref().filter(|theirs| theirs.failure == failure);
            let message = theirs.and_then(|theirs| theirs.message.as_deref()).map(Arc::from);
            let retry_after = refuse::wait_for(failure, pump.pushback());
            let (live, _) = pump.into_parts();
            let end = TaskEnd::Failed { failure, message, partial: self.is_partial(), retry_after, stream: Some(stream) };
            return self.over(Some(live), end);
        }
        let usage = pump.live().exchange.tally().asked().next_back().and_then(|attempt| attempt.usage);
        let (live, _) = pump.into_parts();
        let (text, calls) = openai_chat::whole_message(&answer.finish());
        if let Some(ToolCalls { json, .. }) = &calls {
            self.happenings.push_back(Happening::ToolCalls(Arc::clone(json)));
        }
        let gateway = Arc::clone(&self.gateway);
        let end = async move {
            let told = usage.as_ref().and_then(|usage| Some(usage.output_tokens?.saturating_sub(usage.reasoning_tokens.unwrap_or(0))));
            let text = match told {
                Some(tokens) => Counted { text, tokens },
                None => work::count(&gateway, &text, counts_matter).await,
            };
            // What no session keeps is not sent to it.
            let turn = ask.answered(text, calls).bounded(Settings::STANDARD.history_bytes);
            TaskEnd::Completed { usage, stream, turn: Some(turn) }
        };
        self.stage = RunStage::Counting { live, end: Box::pin(end) };
    }

    /// It ended before there was a stream.
    fn refused(&mut self, end: TaskEnd) {
        if let TaskEnd::Failed { failure, .. } = &end {
            self.gateway.metrics.refused(*failure);
        }
        self.over(None, end);
    }

    fn over(&mut self, live: Option<Box<Live>>, end: TaskEnd) {
        self.stage = RunStage::Over(live);
        self.happenings.push_back(Happening::Ended(end));
    }
}

impl Answering {
    /// Whether the stream is at its end, though not all of it is told yet.
    fn has_ended(&self) -> bool {
        self.prepared.pump.live().exchange.ending().is_some()
    }

    /// Whether its end is proved, though not all of it is told yet.
    fn is_whole(&self) -> bool {
        self.prepared.pump.live().exchange.ending().is_some_and(|ending| ending.failure.is_none())
    }

    /// Takes what the pump gave: whole events, as a client of the HTTP endpoint would read them.
    fn read(&mut self, bytes: bytes::Bytes, happenings: &mut VecDeque<Happening>) {
        self.scanner.push(bytes);
        while let Ok(Some(event)) = self.scanner.next() {
            self.answer.add(&event);
            let shown = || openai_chat::visible_text(&event.data()).map(Happening::Token);
            happenings.extend(openai_chat::notice_text(&event).map(Happening::Notice).or_else(shown));
        }
    }
}

impl Farewell {
    /// What the record is going to say once the client took all that was said, but for estimates.
    pub(super) fn record(&self) -> Option<StreamRecord> {
        self.live.draft(self.said)
    }

    /// The client took all that was said.
    pub(super) fn taken(self) {
        self.live.settle(self.said, Receipt::Taken);
    }

    /// The same. Resolves once the ledger has the record for good; `false`: it never will.
    ///
    /// # Cancel safety
    ///
    /// The record is written all the same.
    pub(super) fn taken_for_good(mut self) -> impl Future<Output = bool> + Send {
        let written = self.live.written();
        self.taken();
        written
    }
}

/// Admitted, routed, and with its open row in the ledger.
async fn begin(gateway: Arc<Gateway>, meter: Arc<Meter>, work: Work) -> Result<Prepared, TaskEnd> {
    let Work { session, task, caller, model, messages, max_tokens, ask, counts_matter, .. } = work;
    let refused = |failure| work::refused(failure, None);
    if gateway.drain.stage() == Stage::Ending {
        return Err(refused(Failure::GatewayDraining));
    }
    let setup = gateway.setup();
    let chat = ChatRequest::streamed(&model, messages.get().as_bytes());
    let chat = chat.map_err(|fault| work::refused(Failure::InvalidRequest, Some(fault.message)))?;
    let chat = match max_tokens {
        Some(most) => chat.bounded(u64::from(most.get())),
        None => chat,
    };
    let permit = gateway.permits.admit(setup.config.server.max_streams).ok_or_else(|| refused(Failure::GatewayOverloaded))?;
    let model = route::find(&setup, chat.model()).map_err(refused)?;
    let order = Arc::new(Order {
        setup: Arc::clone(&setup),
        request_id: gateway.new_request_id(),
        chat,
        caller: caller.into(),
        wishes: Wishes { notice_events: true, ..Wishes::default() },
        arrived: gateway.clock.now(),
        task: Some(TaskOf { session, task }),
    });
    let begun = serve::begin(&gateway, &order, Arc::new(permit), Terms::in_session(&order, model)).await.map_err(refused)?;
    let (on_disconnect, on_malformed) = (model.on_disconnect, model.on_malformed);
    let pump = Box::new(begun.into_pump(Arc::clone(&gateway), meter, on_malformed));
    Ok(Prepared { pump, ask, counts_matter, on_disconnect })
}

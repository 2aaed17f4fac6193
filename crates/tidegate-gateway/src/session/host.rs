//! The task of one session: it owns the decisions, the socket while there is one, and the prompt that runs.
//!
//! Nothing of one session waits for another: each has its own task, and whatever its client does or leaves undone is felt there alone.
//!
//! The file is long because it is the one place where the decisions meet their ends: each method is one thing that can happen to a session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::failure::Failure;
use tidegate_core::id::{SessionId, TaskId};
use tidegate_core::session::{Action, Client, ClientMessage, EndReason, Input, Noted, Session, Settings, Task, TaskEnd};
use tidegate_queue::QueueError;
use tidegate_wire::session::{self as wire, Close};
use tokio::sync::watch;

use super::elsewhere::{self, Adopted, Elsewhere, FromQueue};
use super::link::{Event, Link, Runner};
use super::registry::{NotTaken, Seat, Transfer};
use super::run::{Farewell, Happening, Run};
use super::socket::{Incoming, Socket};
use super::work;
use crate::admit::Caller;
use crate::admit::permit::Permit;
use crate::clock::Alarm;
use crate::drain::Stage;
use crate::gateway::Gateway;

/// How long a client may take to answer the gateway's goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Who came, and as what.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(super) seat: Seat,
    pub(super) permit: Permit,
    pub(super) caller: Caller,
    pub(super) client: Client,
    pub(super) settings: Arc<Settings>,
}

/// Lives one session, from its first connection to its end.
///
/// # Cancel safety
///
/// Dropping it ends the session: its waiting prompts are forgotten and the running one is recorded as left.
pub(super) async fn live(gateway: Arc<Gateway>, arrival: Arrival, socket: Socket) {
    let stage = gateway.drain.watch();
    let mut host = Host::new(gateway, arrival, socket);
    loop {
        host.serve(stage.clone()).await;
        // An idle session has no room for what its end takes.
        let Some(next) = Box::pin(host.leave()).await else { return };
        host = next;
    }
}

struct Host {
    gateway: Arc<Gateway>,
    caller: Caller,
    settings: Arc<Settings>,
    session: Session,
    seat: Seat,
    permit: Permit,
    link: Link,
    farewells: Vec<Farewell>,
    /// Why it has no connection.
    loss: Failure,
    /// Who came when the session was another gateway's already.
    late: Option<Box<Transfer>>,
    /// How it ended.
    end: Option<End>,
    inputs: VecDeque<Input>,
    actions: Vec<Action>,
}

/// How a session ends for its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// As the decisions say.
    Session(EndReason),
    /// The client broke the protocol, and is told how.
    Broken(u16),
    /// The connection went over to another session.
    HandedOver,
    /// Another gateway has the session, or is going to.
    Moves(Close),
}

impl Host {
    fn new(gateway: Arc<Gateway>, arrival: Arrival, socket: Socket) -> Self {
        let Arrival { seat, permit, caller, client, settings } = arrival;
        let (places, now) = (gateway.sessions.places.clone(), gateway.clock.now());
        let session = Session::new(seat.id, client, Arc::clone(&settings), places, now);
        let runner = runner(&gateway, &caller, &session, client, &settings);
        let link = Link { socket: Some(socket), client, runner, alarm: Alarm::default() };
        let (farewells, inputs, actions) = (Vec::new(), VecDeque::new(), Vec::new());
        let loss = Failure::ClientGone;
        Self { gateway, caller, settings, session, seat, permit, link, farewells, loss, late: None, end: None, inputs, actions }
    }

    async fn serve(&mut self, mut stage: watch::Receiver<Stage>) {
        let first = *stage.borrow_and_update();
        self.stage(first).await;
        while self.end.is_none() {
            let (wake, takes) = (self.session.wake_at(), self.session.takes_output());
            tokio::select! {
                Some(transfer) = self.seat.transfers.recv() => Box::pin(self.transferred(transfer)).await,
                Ok(()) = stage.changed() => {
                    let stage = *stage.borrow_and_update();
                    self.stage(stage).await;
                }
                event = self.link.next(self.gateway.clock, wake, takes) => self.take(event).await,
            }
        }
    }

    /// What happened becomes what is decided on.
    async fn take(&mut self, event: Event) {
        match event {
            Event::Incoming(incoming) => self.incoming(incoming).await,
            Event::Happening(happening) => self.happened(happening).await,
            Event::Queue(told) => Box::pin(self.told(told)).await,
            Event::Due => self.decide(Input::Tick).await,
        }
    }

    async fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Message(payload) => {
                let input = self.message(&payload);
                self.decide(input).await;
            }
            Incoming::Alive => self.decide(Input::Heard).await,
            Incoming::Flushed { waited } => {
                self.flushed();
                if waited {
                    self.decide(Input::Heard).await;
                }
            }
            Incoming::Closed => self.decide(Input::Closed).await,
            Incoming::Broken(code) => {
                self.decide(Input::Closed).await;
                self.end = Some(End::Broken(code));
            }
            Incoming::Lost => self.lost(Failure::ClientGone).await,
            Incoming::TooSlow => self.lost(Failure::SlowClient).await,
        }
    }

    async fn lost(&mut self, why: Failure) {
        (self.link.socket, self.loss) = (None, why);
        self.decide(Input::SocketLost).await;
    }

    fn message(&mut self, payload: &Bytes) -> Input {
        let message = match wire::read(payload) {
            Ok(message) => message,
            Err(fault) => return Input::Invalid(fault.message),
        };
        match (message, self.link.elsewhere()) {
            (ClientMessage::Prompt(prompt), Some(elsewhere)) if !elsewhere.is_available() => {
                elsewhere.refused();
                Input::Refuse { prompt, why: Failure::GatewayOverloaded }
            }
            (message, _) => Input::Message { message, fresh: self.gateway.new_task_id() },
        }
    }

    async fn happened(&mut self, happening: Happening) {
        let Some(run) = self.link.run() else { return };
        let task = run.task;
        if let Happening::Ended(_) = happening {
            self.farewells.extend(self.link.take_run().and_then(Run::into_farewell));
        }
        self.decide(happening.into_input(task)).await;
    }

    /// A word from the queue.
    async fn told(&mut self, told: FromQueue) {
        let now = self.gateway.clock.now();
        match told {
            FromQueue::Happening(task, happening) => self.decide(happening.into_input(task)).await,
            FromQueue::Ready(task, work) => {
                let Some(elsewhere) = self.link.elsewhere() else { return };
                if let Err(end) = Box::pin(elsewhere.submit(*work)).await {
                    self.refused(task, end).await;
                } else if self.session.running().is_some_and(|running| running.cancelled) {
                    // Until now nobody knew whether a worker has it.
                    self.cancel(task, Failure::Cancelled).await;
                    self.decide_all().await;
                }
            }
            FromQueue::Refused(task, end) => self.refused(task, end).await,
            FromQueue::Lost(task) => {
                let shown = self.session.running().is_some_and(|running| running.shown);
                self.decide(Input::Ended { task, end: elsewhere::lost(shown) }).await;
            }
            FromQueue::AskAgain => {
                if let Some(elsewhere) = self.link.elsewhere() {
                    Box::pin(elsewhere.ask_again(&self.session, now)).await;
                }
            }
            FromQueue::Gone => self.end = Some(End::Moves(wire::TAKEN_OVER)),
        }
    }

    async fn stage(&mut self, stage: Stage) {
        match stage {
            Stage::Serving => {}
            // Its client goes on at another gateway, where nothing of it is lost.
            _ if self.link.elsewhere().is_some_and(|elsewhere| elsewhere.is_kept()) => self.end = Some(End::Moves(wire::DRAINING)),
            Stage::Draining => self.decide(Input::Drain).await,
            Stage::Ending => self.decide(Input::DrainOver).await,
        }
    }

    /// A connection of the same client goes on with the session, in the place of the one that it had.
    async fn transferred(&mut self, transfer: Box<Transfer>) {
        if let Some(elsewhere) = self.link.elsewhere()
            && Box::pin(elsewhere.still_ours()).await.is_err()
        {
            (self.late, self.end) = (Some(transfer), Some(End::Moves(wire::TAKEN_OVER)));
            return;
        }
        let Transfer { socket, client, last_seq } = *transfer;
        (self.link.client, self.loss) = (client, Failure::ClientGone);
        if let Some(old) = self.link.socket.replace(socket) {
            self.gateway.tasks.spawn(goodbye_alone(old, wire::TAKEN_OVER));
        }
        self.decide(Input::Resumed { last_seq, client }).await;
    }

    /// The client took everything that was said.
    fn flushed(&mut self) {
        self.farewells.drain(..).for_each(Farewell::taken);
        match &mut self.link.runner {
            Runner::Here(Some(run)) => run.account.taken = run.account.said,
            Runner::Here(None) => {}
            Runner::Elsewhere(elsewhere) => elsewhere.taken(),
        }
    }

    /// A prompt ended before any worker had it.
    async fn refused(&mut self, task: TaskId, end: TaskEnd) {
        if let TaskEnd::Failed { failure, .. } = &end {
            self.gateway.metrics.refused(*failure);
        }
        self.ended_here(task, end).await;
        self.decide_all().await;
    }

    /// A prompt ended, and its log does not say so by itself.
    async fn ended_here(&mut self, task: TaskId, end: TaskEnd) {
        if self.note(Noted::Ended { task, end: end.clone() }).await {
            self.inputs.push_back(Input::Ended { task, end });
        }
    }

    /// Notes what happened. `false`: it has not, because another gateway has the session.
    async fn note(&mut self, noted: Noted) -> bool {
        let Some(elsewhere) = self.link.elsewhere() else { return true };
        let is_noted = Box::pin(elsewhere.note(noted)).await.is_ok();
        if !is_noted {
            self.end = Some(End::Moves(wire::TAKEN_OVER));
        }
        is_noted
    }

    /// Lets the session decide, and does what it says.
    async fn decide(&mut self, input: Input) {
        self.inputs.push_back(input);
        self.decide_all().await;
    }

    async fn decide_all(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            let noted = self.link.elsewhere().is_some_and(|elsewhere| elsewhere.is_kept()).then(|| self.session.note(&input)).flatten();
            let mut actions = std::mem::take(&mut self.actions);
            self.session.handle(input, self.gateway.clock.now(), &mut actions);
            if let Some(noted) = noted
                && !self.note(noted).await
            {
                return self.inputs.clear();
            }
            for action in actions.drain(..) {
                self.act(action).await;
            }
            self.actions = actions;
        }
        let now = self.gateway.clock.now();
        if let Some(elsewhere) = self.link.elsewhere().filter(|elsewhere| elsewhere.is_full()) {
            Box::pin(elsewhere.keep(&self.session, now)).await;
        }
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Send(message) => self.link.send(&message),
            Action::Start(task) => self.start(task),
            Action::Cancel { task, why } => self.cancel(task, why).await,
            Action::Resume { session, last_seq } => Box::pin(self.resume(session, last_seq)).await,
            Action::Ping => {
                if let Some(socket) = &mut self.link.socket {
                    socket.ping();
                }
            }
            Action::Disconnect => self.link.socket = None,
            Action::End(EndReason::Gap) => self.begin_anew(),
            Action::End(reason) => self.end = Some(End::Session(reason)),
        }
    }

    fn start(&mut self, task: Task) {
        match &mut self.link.runner {
            Runner::Here(run) => *run = Some(Run::here(&self.gateway, &self.caller, &self.session, task)),
            Runner::Elsewhere(elsewhere) => {
                let work = work::of(Arc::clone(&self.gateway), self.caller.clone(), &self.session, task.id, &task.prompt);
                elsewhere.prepare(task.id, work);
            }
        }
    }

    async fn cancel(&mut self, task: TaskId, why: Failure) {
        match &mut self.link.runner {
            // The session itself is over: nobody is told, and the provider may be read on.
            Runner::Here(run) if why == Failure::ClientGone => {
                if let Some(run) = run.take_if(|run| run.task == task) {
                    run.abandon(self.loss);
                }
            }
            Runner::Here(Some(run)) if run.task == task => run.cancel(why),
            // It is deleted with all that it has.
            Runner::Elsewhere(_) if self.session.is_over() => {}
            Runner::Elsewhere(elsewhere) => {
                let partial = self.session.running().is_some_and(|running| running.shown);
                if Box::pin(elsewhere.cancel(task, why)).await {
                    let end = TaskEnd::Failed { failure: why, message: None, partial, retry_after: None, stream: None };
                    self.ended_here(task, end).await;
                }
            }
            Runner::Here(_) => {}
        }
    }

    /// The client asks for another session. One of this process goes on with the connection, and this one, of which nobody was told, ends; one
    /// that another gateway left goes on here.
    async fn resume(&mut self, session: Option<SessionId>, last_seq: u64) {
        let Some(id) = session else { return self.inputs.push_back(Input::NotResumed) };
        let Some(socket) = self.link.socket.take() else { return };
        let client = self.link.client;
        let transfer = Box::new(Transfer { socket, client, last_seq });
        let answer = match self.gateway.sessions.hand_over(id, &self.caller, transfer) {
            Ok(()) => return self.end = Some(End::HandedOver),
            Err(NotTaken::Busy(transfer)) => {
                self.link.socket = Some(transfer.socket);
                Input::Unanswered
            }
            Err(NotTaken::Unknown(transfer)) => {
                self.link.socket = Some(transfer.socket);
                match self.adopt(id).await {
                    Ok(true) => Input::Resumed { last_seq, client },
                    Ok(false) => Input::NotResumed,
                    Err(_) => Input::Unanswered,
                }
            }
        };
        self.inputs.push_back(answer);
    }

    /// Becomes the session that another gateway had, if there is one of this client's.
    async fn adopt(&mut self, id: SessionId) -> Result<bool, QueueError> {
        let (sessions, now) = (&self.gateway.sessions, self.gateway.clock.now());
        let Some(queue) = &self.gateway.queue else { return Ok(false) };
        let key = self.caller.key().copied();
        let Some(Adopted { session, elsewhere }) = elsewhere::adopt(queue, id, key, &self.settings, &sessions.places, now).await? else {
            return Ok(false);
        };
        self.seat = sessions.enter(id, &self.caller);
        self.session = session;
        self.link.runner = Runner::Elsewhere(Box::new(elsewhere));
        let Some(running) = self.session.running() else { return Ok(true) };
        let task = running.task;
        let work = work::of(Arc::clone(&self.gateway), self.caller.clone(), &self.session, task, running.prompt);
        if let Some(elsewhere) = self.link.elsewhere() {
            elsewhere.prepare_again(task, work);
        }
        Ok(true)
    }

    /// The connection goes on with a new session, because the old one cannot tell its client all that it missed.
    fn begin_anew(&mut self) {
        self.farewells.clear();
        self.seat = self.gateway.sessions.enter(self.gateway.new_session_id(), &self.caller);
        let (places, now) = (self.gateway.sessions.places.clone(), self.gateway.clock.now());
        self.session = Session::new(self.seat.id, self.link.client, Arc::clone(&self.settings), places, now);
        let next = runner(&self.gateway, &self.caller, &self.session, self.link.client, &self.settings);
        if let Runner::Elsewhere(old) = std::mem::replace(&mut self.link.runner, next) {
            self.gateway.tasks.spawn(old.end(self.loss));
        }
        self.inputs.push_back(Input::NotResumed);
    }

    /// Frees everything at once; then the client is told, if it is still there. Who came for the session in its last moment gets a new one, or
    /// takes it back from the gateway that has it.
    async fn leave(self) -> Option<Self> {
        let Self { link, farewells, loss, late, end, session, mut seat, permit, gateway, caller, settings, .. } = self;
        let Link { mut socket, runner, .. } = link;
        match runner {
            Runner::Here(Some(run)) => run.abandon(loss),
            Runner::Elsewhere(elsewhere) if !matches!(end, Some(End::Moves(_))) => gateway.tasks.spawn(elsewhere.end(loss)),
            Runner::Here(None) | Runner::Elsewhere(_) => {}
        }
        let id = session.id();
        drop(session);
        seat.transfers.close();
        let late = late.or_else(|| seat.transfers.try_recv().ok());
        drop(seat);
        let close = match end {
            Some(End::Session(reason)) => wire::close(reason),
            Some(End::Broken(code)) => Some(Close { code, reason: "" }),
            Some(End::Moves(close)) => Some(close),
            Some(End::HandedOver) | None => None,
        };
        match &mut socket {
            Some(socket) => goodbye(socket, close, farewells).await,
            None => drop(farewells),
        }
        let Transfer { socket, client, last_seq } = *late?;
        let seat = gateway.sessions.enter(gateway.new_session_id(), &caller);
        let mut next = Self::new(gateway, Arrival { seat, permit, caller, client, settings }, socket);
        if let Some(End::Moves(_)) = end {
            next.resume(Some(id), last_seq).await;
            next.decide_all().await;
        } else {
            next.decide(Input::NotResumed).await;
        }
        Some(next)
    }
}

/// Where the prompts of a session run.
fn runner(gateway: &Gateway, caller: &Caller, session: &Session, client: Client, settings: &Settings) -> Runner {
    match &gateway.queue {
        None => Runner::Here(None),
        Some(queue) => {
            let (key, is_kept) = (caller.key().copied(), client == Client::Resumable);
            Runner::Elsewhere(Box::new(Elsewhere::new(queue.clone(), session.id(), key, settings.resume_ttl, is_kept)))
        }
    }
}

/// Says goodbye, settles what the socket took until then, and waits until the client hangs up.
async fn goodbye(socket: &mut Socket, close: Option<Close>, farewells: Vec<Farewell>) {
    let parting = async {
        if socket.close(close).await {
            farewells.into_iter().for_each(Farewell::taken);
        }
        socket.hang_up().await
    };
    // A client that takes longer, or is no more, is left all the same.
    let _left = tokio::time::timeout(GOODBYE, parting).await;
}

/// The same, of a connection that has no session any more.
async fn goodbye_alone(mut socket: Socket, close: Close) {
    goodbye(&mut socket, Some(close), Vec::new()).await;
}

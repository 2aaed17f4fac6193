//! The task of one session: it owns the decisions, the socket while there is one, and the prompt that runs.
//!
//! Nothing of one session waits for another: each has its own task, and whatever its client does or leaves undone is felt there alone.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::Moment;
use tidegate_core::failure::Failure;
use tidegate_core::session::{Action, Client, EndReason, Input, Message, Session, Settings};
use tidegate_wire::session as wire;
use tokio::sync::watch;

use super::registry::{Seat, Transfer};
use super::run::{Farewell, Happening, Run};
use super::socket::{Incoming, Socket};
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
    let mut next = Some(Host::new(gateway, arrival, socket));
    while let Some(mut host) = next {
        host.serve(stage.clone()).await;
        next = host.leave().await;
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
    /// How it ended.
    end: Option<End>,
    actions: Vec<Action>,
}

/// What is polled together.
struct Link {
    socket: Option<Socket>,
    client: Client,
    run: Option<Run>,
    alarm: Alarm,
}

/// Something that happened outside of the decisions.
enum Event {
    Incoming(Incoming),
    Happening(Happening),
    Transfer(Box<Transfer>),
    Stage(Stage),
    Due,
}

/// How a session ends for its connection.
enum End {
    /// As the decisions say.
    Session(EndReason),
    /// The client broke the protocol, and is told how.
    Broken(u16),
    /// The connection went over to another session.
    HandedOver,
}

impl Host {
    fn new(gateway: Arc<Gateway>, arrival: Arrival, socket: Socket) -> Self {
        let Arrival { seat, permit, caller, client, settings } = arrival;
        let (places, now) = (gateway.sessions.places.clone(), gateway.clock.now());
        let session = Session::new(seat.id, client, Arc::clone(&settings), places, now);
        let link = Link { socket: Some(socket), client, run: None, alarm: Alarm::default() };
        Self { gateway, caller, settings, session, seat, permit, link, farewells: Vec::new(), end: None, actions: Vec::new() }
    }

    async fn serve(&mut self, mut stage: watch::Receiver<Stage>) {
        let first = *stage.borrow_and_update();
        self.stage(first);
        while self.end.is_none() {
            let (wake, takes) = (self.session.wake_at(), self.session.takes_output());
            let event = tokio::select! {
                Some(transfer) = self.seat.transfers.recv() => Event::Transfer(transfer),
                Ok(()) = stage.changed() => Event::Stage(*stage.borrow_and_update()),
                event = poll_fn(|cx| self.link.poll(cx, &self.gateway, wake, takes)) => event,
            };
            self.take(event);
        }
    }

    /// What happened becomes what is decided on.
    fn take(&mut self, event: Event) {
        match event {
            Event::Incoming(Incoming::Message(payload)) => self.message(&payload),
            Event::Incoming(Incoming::Alive) => self.decide(Input::Heard),
            Event::Incoming(Incoming::Flushed { waited }) => {
                self.flushed();
                if waited {
                    self.decide(Input::Heard);
                }
            }
            Event::Incoming(Incoming::Closed) => self.decide(Input::Closed),
            Event::Incoming(Incoming::Broken(code)) => {
                self.decide(Input::Closed);
                self.end = Some(End::Broken(code));
            }
            Event::Incoming(Incoming::Lost) => {
                self.link.socket = None;
                self.decide(Input::SocketLost);
            }
            Event::Happening(happening) => self.happened(happening),
            Event::Transfer(transfer) => {
                let Transfer { socket, client, last_seq } = *transfer;
                self.link.socket = Some(socket);
                self.link.client = client;
                self.decide(Input::Resumed { last_seq, client });
            }
            Event::Stage(stage) => self.stage(stage),
            Event::Due => self.decide(Input::Tick),
        }
    }

    fn stage(&mut self, stage: Stage) {
        match stage {
            Stage::Serving => {}
            Stage::Draining => self.decide(Input::Drain),
            Stage::Ending => self.decide(Input::DrainOver),
        }
    }

    fn message(&mut self, payload: &Bytes) {
        match wire::read(payload) {
            Ok(message) => self.decide(Input::Message { message, fresh: self.gateway.new_task_id() }),
            Err(fault) => self.decide(Input::Invalid(fault.message)),
        }
    }

    fn happened(&mut self, happening: Happening) {
        let Some(run) = &mut self.link.run else { return };
        let task = run.task;
        match happening {
            Happening::Token(data) => {
                run.account.said.output_events += 1;
                run.account.said.bytes += data.len() as u64;
                self.decide(Input::Token { task, data });
            }
            Happening::Notice(message) => self.decide(Input::Notice { task, message, tool_calls: None }),
            Happening::ToolCalls(calls) => {
                let message = Arc::from("the model calls tools: the next prompt is their result");
                self.decide(Input::Notice { task, message, tool_calls: Some(calls) });
            }
            Happening::Ended(end) => {
                self.farewells.extend(self.link.run.take().and_then(Run::into_farewell));
                self.decide(Input::Ended { task, end });
            }
        }
    }

    /// The client took everything that was said.
    fn flushed(&mut self) {
        for farewell in self.farewells.drain(..) {
            farewell.taken();
        }
        if let Some(run) = &mut self.link.run {
            run.account.taken = run.account.said;
        }
    }

    /// Lets the session decide, and does what it says.
    fn decide(&mut self, input: Input) {
        let mut actions = std::mem::take(&mut self.actions);
        self.session.handle(input, self.gateway.clock.now(), &mut actions);
        for action in actions.drain(..) {
            self.act(action);
        }
        self.actions = actions;
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send(message) => self.link.send(&message),
            Action::Start(task) => {
                self.link.run = Some(Run::here(&self.gateway, &self.caller, &self.session, task));
            }
            Action::Cancel { task, why } => match &mut self.link.run {
                // The session itself is over: nobody is told, and the provider may be read on.
                Some(run) if run.task == task && why == Failure::ClientGone => {
                    if let Some(run) = self.link.run.take() {
                        run.abandon();
                    }
                }
                Some(run) if run.task == task => run.cancel(why),
                _ => {}
            },
            Action::Resume { session, last_seq } => self.hand_over(session, last_seq),
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

    /// The client asks for another session: that one goes on with the connection, and this one, of which nobody was told, ends.
    fn hand_over(&mut self, session: Option<tidegate_core::id::SessionId>, last_seq: u64) {
        let Some(socket) = self.link.socket.take() else { return };
        let transfer = Box::new(Transfer { socket, client: self.link.client, last_seq });
        let handed = match session {
            Some(session) => self.gateway.sessions.hand_over(session, &self.caller, transfer),
            None => Err(transfer),
        };
        match handed {
            Ok(()) => self.end = Some(End::HandedOver),
            Err(transfer) => {
                self.link.socket = Some(transfer.socket);
                self.decide(Input::NotResumed);
            }
        }
    }

    /// The connection goes on with a new session, because the old one cannot tell its client all that it missed.
    fn begin_anew(&mut self) {
        for farewell in self.farewells.drain(..) {
            farewell.lost();
        }
        self.seat = self.gateway.sessions.enter(self.gateway.new_session_id(), &self.caller);
        let (places, now) = (self.gateway.sessions.places.clone(), self.gateway.clock.now());
        self.session = Session::new(self.seat.id, self.link.client, Arc::clone(&self.settings), places, now);
        self.decide(Input::NotResumed);
    }

    /// Frees everything at once; then the client is told, if it is still there. Who came for the session in its last moment gets a new one.
    async fn leave(self) -> Option<Self> {
        let Self { link, farewells, end, session, mut seat, permit, gateway, caller, settings, .. } = self;
        let Link { mut socket, run, .. } = link;
        if let Some(run) = run {
            run.abandon();
        }
        drop(session);
        seat.transfers.close();
        let late = seat.transfers.try_recv().ok();
        drop(seat);
        let is_taken = match (&mut socket, end) {
            (Some(socket), Some(End::Session(reason))) => {
                goodbye(socket, wire::close(reason).map(|close| (close.code, close.reason))).await
            }
            (Some(socket), Some(End::Broken(code))) => goodbye(socket, Some((code, ""))).await,
            _ => false,
        };
        for farewell in farewells {
            if is_taken { farewell.taken() } else { farewell.lost() }
        }
        let Transfer { socket, client, .. } = *late?;
        let seat = gateway.sessions.enter(gateway.new_session_id(), &caller);
        let mut next = Self::new(gateway, Arrival { seat, permit, caller, client, settings }, socket);
        next.decide(Input::NotResumed);
        Some(next)
    }
}

/// Says goodbye, and waits for the client's. Tells whether the client took all that was said before.
async fn goodbye(socket: &mut Socket, close: Option<(u16, &'static str)>) -> bool {
    tokio::time::timeout(GOODBYE, socket.close(close)).await.unwrap_or(false)
}

impl Link {
    fn poll(&mut self, cx: &mut Context<'_>, gateway: &Gateway, wake: Moment, takes: bool) -> Poll<Event> {
        if let Some(socket) = &mut self.socket
            && let Poll::Ready(incoming) = socket.poll(cx)
        {
            return Poll::Ready(Event::Incoming(incoming));
        }
        // A client that is behind is not read for: its provider waits with it.
        let takes = takes && self.socket.as_ref().is_none_or(Socket::is_flushed);
        if let Some(run) = &mut self.run
            && let Poll::Ready(happening) = run.poll(cx, takes)
        {
            return Poll::Ready(Event::Happening(happening));
        }
        self.alarm.poll(cx, gateway.clock, wake, gateway.clock.now()).map(|()| Event::Due)
    }

    fn send(&mut self, message: &Message) {
        let Some(socket) = &mut self.socket else { return };
        let mut payload = Vec::new();
        wire::write(message, &mut payload);
        socket.send(payload);
    }
}

//! What a session's task waits for: its client, its running prompt, and time.

use std::task::{Context, Poll};

use tidegate_core::Moment;
use tidegate_core::session::{Client, Message};
use tidegate_wire::session as wire;

use super::elsewhere::{Elsewhere, FromQueue};
use super::run::{Happening, Run};
use super::socket::{Incoming, Socket};
use crate::clock::{Alarm, Clock};

/// The outer ends of a session.
pub(super) struct Link {
    pub(super) socket: Option<Socket>,
    pub(super) client: Client,
    pub(super) runner: Runner,
    pub(super) alarm: Alarm,
}

/// Where prompts run.
pub(super) enum Runner {
    /// In this process: one at a time.
    Here(Option<Run>),
    /// Wherever a worker takes them.
    Elsewhere(Box<Elsewhere>),
}

/// Something that happened at one of the ends.
pub(super) enum Event {
    Incoming(Incoming),
    Happening(Happening),
    Queue(FromQueue),
    Due,
}

impl Link {
    /// What happens next. While the session takes no output (`takes`), or its client is behind, nobody is asked for any: the provider, or the
    /// log, waits with it.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost.
    pub(super) async fn next(&mut self, clock: Clock, wake: Moment, takes: bool) -> Event {
        let Self { socket, runner, alarm, .. } = self;
        let is_flushed = socket.as_ref().is_none_or(Socket::is_flushed);
        let takes = takes && is_flushed;
        match runner {
            Runner::Here(run) => std::future::poll_fn(|cx| poll_here(cx, socket, run, alarm, (clock, wake), takes)).await,
            Runner::Elsewhere(elsewhere) => {
                tokio::select! {
                    event = std::future::poll_fn(|cx| poll_here(cx, socket, &mut None, alarm, (clock, wake), takes)) => event,
                    told = Box::pin(elsewhere.next()), if takes => Event::Queue(told),
                }
            }
        }
    }

    /// Writes a message, if there is somebody to read it.
    pub(super) fn send(&mut self, message: &Message) {
        let Some(socket) = &mut self.socket else { return };
        let mut payload = Vec::new();
        wire::write(message, &mut payload);
        socket.send(payload);
    }

    /// The prompt that runs in this process.
    pub(super) fn run(&mut self) -> Option<&mut Run> {
        match &mut self.runner {
            Runner::Here(run) => run.as_mut(),
            Runner::Elsewhere(_) => None,
        }
    }

    /// Takes it.
    pub(super) fn take_run(&mut self) -> Option<Run> {
        match &mut self.runner {
            Runner::Here(run) => run.take(),
            Runner::Elsewhere(_) => None,
        }
    }

    /// The session's place in the queue, where workers run its prompts.
    pub(super) fn elsewhere(&mut self) -> Option<&mut Elsewhere> {
        match &mut self.runner {
            Runner::Here(_) => None,
            Runner::Elsewhere(elsewhere) => Some(elsewhere),
        }
    }
}

fn poll_here(
    cx: &mut Context<'_>,
    socket: &mut Option<Socket>,
    run: &mut Option<Run>,
    alarm: &mut Alarm,
    (clock, wake): (Clock, Moment),
    takes: bool,
) -> Poll<Event> {
    if let Some(socket) = socket
        && let Poll::Ready(incoming) = socket.poll(cx)
    {
        return Poll::Ready(Event::Incoming(incoming));
    }
    if let Some(run) = run
        && let Poll::Ready(happening) = run.poll(cx, takes)
    {
        return Poll::Ready(Event::Happening(happening));
    }
    alarm.poll(cx, clock, wake, clock.now()).map(|()| Event::Due)
}

//! What comes due in a session, and when.
//!
//! Nothing is stored beside the moments from which the limits count, so no timer can be forgotten, and moving one costs nothing.

use super::{Action, EndReason, Greeting, Link, Session};
use crate::clock::Moment;

/// What can come due. Variants stand in the order in which they win when two are due at the same moment: an end spares what comes behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Nobody came back for the session.
    NotResumed,
    /// The peer gave no sign of life for two heartbeats.
    PeerDead,
    /// The client said nothing, and no task runs or waits.
    Idle,
    /// The client waits to be told which session it has.
    Greeting,
    /// The peer gave no sign of life for one heartbeat.
    Ping,
}

impl Session {
    /// When [`super::Input::Tick`] has to come at the latest. Every input may move it.
    #[must_use]
    pub fn wake_at(&self) -> Moment {
        self.deadlines().into_iter().flatten().map(|(at, _)| at).min().unwrap_or(Moment::FAR)
    }

    /// Does all that is due at `now`.
    pub(super) fn tick(&mut self, now: Moment, out: &mut Vec<Action>) {
        // Each step ends what made it due, so the steps come to an end.
        while let Some(due) = self.due(now) {
            match due {
                Due::NotResumed => self.end(EndReason::NotResumed, out),
                Due::PeerDead => {
                    self.connection_lost(EndReason::PeerDead, now, out);
                    if !self.is_over() {
                        out.push(Action::Disconnect);
                    }
                }
                Due::Idle => self.end(EndReason::Idle, out),
                Due::Greeting => self.greet(out),
                Due::Ping => {
                    if let Link::Up { pinged, .. } = &mut self.link {
                        *pinged = true;
                    }
                    out.push(Action::Ping);
                }
            }
        }
    }

    fn due(&self, now: Moment) -> Option<Due> {
        self.deadlines().into_iter().flatten().find(|(at, _)| *at <= now).map(|(_, due)| due)
    }

    fn deadlines(&self) -> [Option<(Moment, Due)>; 4] {
        let settings = &*self.settings;
        let (heard, pinged) = match self.link {
            Link::Up { heard, pinged } => (heard, pinged),
            Link::Down(since) => return [Some((since + settings.resume_ttl, Due::NotResumed)), None, None, None],
            Link::Over => return [None; 4],
        };
        let greeting = match self.greeting {
            Greeting::Due(at) => Some((at, Due::Greeting)),
            Greeting::Done => None,
        };
        [
            Some((heard + settings.heartbeat + settings.heartbeat, Due::PeerDead)),
            self.is_idle().then(|| (self.active + settings.idle_ttl, Due::Idle)),
            greeting,
            (!pinged).then(|| (heard + settings.heartbeat, Due::Ping)),
        ]
    }
}

//! How the gateway takes its leave.

use tidegate_core::session::EndReason;

use crate::names::session as names;

/// What a Close frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close {
    /// The status code.
    pub code: u16,
    /// Why, in a word.
    pub reason: &'static str,
}

/// Another connection goes on with the session.
pub const TAKEN_OVER: Close = Close { code: names::CLOSE_TAKEN_OVER, reason: "taken_over" };
/// The gateway shuts down; the session goes on at another, or is finished.
pub const DRAINING: Close = Close { code: names::CLOSE_GOING_AWAY, reason: "gateway_draining" };

/// The Close frame of a session that ended for this reason. `None`: nobody is there to read one, the client has closed already, or the
/// connection goes on with another session.
#[must_use]
pub fn close(reason: EndReason) -> Option<Close> {
    match reason {
        EndReason::Idle => Some(Close { code: names::CLOSE_NORMAL, reason: "idle" }),
        EndReason::Drained => Some(DRAINING),
        EndReason::Unanswered => Some(Close { code: names::CLOSE_TRY_AGAIN_LATER, reason: "gateway_overloaded" }),
        EndReason::Closed | EndReason::ConnectionLost | EndReason::PeerDead | EndReason::NotResumed | EndReason::Gap => None,
    }
}

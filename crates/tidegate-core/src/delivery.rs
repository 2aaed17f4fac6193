//! The line that everything serves, as a type.
//!
//! *Commit* is the moment the first output is handed to the client's side. [`Delivery<Pending>`] owns the [`RoutePlan`] and may ask it for
//! a target; [`Delivery::commit`] consumes both. [`Delivery<Committed>`] has no plan, so a fallback after output does not compile:
//!
//! ```compile_fail,E0599
//! # use tidegate_core::delivery::{Committed, Delivery};
//! fn fall_back(mut delivery: Delivery<Committed>) {
//!     delivery.next_target(); // no method `next_target` on `Delivery<Committed>`
//! }
//! ```
//!
//! Before commit the same line compiles:
//!
//! ```
//! # use tidegate_core::delivery::{Delivery, Pending};
//! fn fall_back(mut delivery: Delivery<Pending>) {
//!     delivery.next_target();
//! }
//! ```
//!
//! Only a client that asked for it can have a partial answer begun again: [`RestartConsent`] is made from its request and from an ending
//! that left it with half an answer, and nothing else makes one.
//!
//! The head (the HTTP status line) is a fact of its own: keepalives send it before any output, after which a failure must be told in-band,
//! but fallback stays legal.

use crate::clock::Moment;
use crate::failure::{Failure, Retry};
use crate::health::Health;
use crate::record::Status;
use crate::retry::Again;
use crate::route::{Failed, RoutePlan, Target};

/// The authority over one client's answer, in state `S`.
#[derive(Debug)]
pub struct Delivery<S> {
    head: Head,
    state: S,
}

/// Nothing of the answer was shown: another target may still be asked.
#[derive(Debug)]
pub struct Pending {
    /// Boxed, because it lives as briefly as a stream is undecided, and its room would stay.
    plan: Box<RoutePlan>,
}

/// Output was shown: the stream goes on, or ends incomplete.
#[derive(Debug)]
pub struct Committed(());

/// Whether the HTTP status line is still to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// A failure can still be an HTTP status.
    Unsent,
    /// Status 200 went out; a failure has to be told in-band.
    Sent,
}

/// How a stream ended, and how that has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The record's status.
    pub status: Status,
    /// What went wrong, if anything did.
    pub failure: Option<Failure>,
    /// Whether a failure is an HTTP status or an event.
    pub head: Head,
}

impl Ending {
    /// The client saw output and not its end.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        matches!(self.status, Status::FailedAfterOutput | Status::CancelledAfterOutput)
    }
}

/// The client agreed that an answer that broke off begins again from its start.
#[derive(Debug)]
pub struct RestartConsent(());

impl RestartConsent {
    /// The consent to restart after `ending`, if the request gave it (`allows`), the client has half an answer, and the failure is of a kind
    /// that another attempt can mend.
    #[must_use]
    pub fn after(ending: Ending, allows: bool) -> Option<Self> {
        let can_mend = ending.failure.is_some_and(|failure| failure.facts().retry != Retry::Never);
        (allows && ending.status == Status::FailedAfterOutput && can_mend).then_some(Self(()))
    }
}

impl Delivery<Pending> {
    /// A delivery that may use every target of `plan`.
    #[must_use]
    pub fn new(plan: RoutePlan) -> Self {
        Self { head: Head::Unsent, state: Pending { plan: Box::new(plan) } }
    }

    /// A delivery to a client that has been told that its partial answer is void.
    #[must_use]
    pub fn restarted(_consent: RestartConsent, plan: RoutePlan) -> Self {
        Self { head: Head::Sent, state: Pending { plan: Box::new(plan) } }
    }

    /// The next target to ask, or `None` when the plan is used up.
    pub fn next_target(&mut self) -> Option<Target> {
        self.state.plan.take_next()
    }

    /// Begins with `plan` anew, after everything of the one before has failed.
    pub(crate) fn renew(&mut self, plan: RoutePlan) {
        *self.state.plan = plan;
    }

    /// An attempt at `target` begins.
    pub(crate) fn asked(&mut self, target: &Target) {
        self.state.plan.asked(target);
    }

    /// What may follow a failed attempt.
    pub(crate) fn after_failure(&mut self, failed: Failed, health: &mut dyn Health, now: Moment) -> Again {
        self.state.plan.after(failed, health, now)
    }

    /// Whether a further target is left.
    #[must_use]
    pub fn has_target(&self) -> bool {
        !self.state.plan.is_used_up()
    }

    /// See [`RoutePlan::others`].
    pub fn others(&self) -> impl Iterator<Item = &Target> {
        self.state.plan.others()
    }

    /// Gives up the right to fall back, because output goes to the client now.
    #[must_use]
    pub fn commit(self) -> Delivery<Committed> {
        Delivery { head: Head::Sent, state: Committed(()) }
    }

    /// Ends without output. The client reads an HTTP status, or an event where the head is out.
    #[must_use]
    pub fn fail(self, failure: Failure) -> Ending {
        let status = if is_cancellation(failure) { Status::CancelledBeforeOutput } else { Status::FailedBeforeOutput };
        Ending { status, failure: Some(failure), head: self.head }
    }
}

impl Delivery<Committed> {
    /// Ends with the answer proved complete.
    #[must_use]
    pub fn complete(self) -> Ending {
        Ending { status: Status::Completed, failure: None, head: self.head }
    }

    /// Ends in the middle of the answer. The client reads a typed error event, never a stop.
    #[must_use]
    pub fn fail(self, failure: Failure) -> Ending {
        let status = if is_cancellation(failure) { Status::CancelledAfterOutput } else { Status::FailedAfterOutput };
        Ending { status, failure: Some(failure), head: self.head }
    }
}

impl<S> Delivery<S> {
    /// Whether the head is out.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Sends the head. Fallback stays legal; only [`Delivery::commit`] ends it.
    pub fn send_head(&mut self) {
        self.head = Head::Sent;
    }
}

/// The client left, or asked to stop: nobody failed.
fn is_cancellation(failure: Failure) -> bool {
    matches!(failure, Failure::ClientGone | Failure::SlowClient | Failure::Cancelled)
}

//! The limits that run at one time, and which of them runs out next.

use crate::clock::Moment;
use crate::failure::Failure;

/// A limit that can run out. Variants stand in the order in which they win when two run out at the same moment:
/// the whole stream's limit is told before the limit of a phase, because raising the phase's would not have helped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeoutKind {
    /// The whole stream: the profile's total, or the caller's deadline.
    Total,
    /// Waiting for a free connection to the provider.
    PoolWait,
    /// TCP and TLS to the provider.
    Connect,
    /// Sending the request's body.
    SendBody,
    /// From the sent request to the provider's first event.
    FirstByte,
    /// Silence between two provider events.
    Idle,
    /// The wait before the same target is asked again: not a failure.
    Backoff,
    /// The first moments of an answer, in which its rate is measured: not a failure by itself.
    RateWindow,
    /// From the head of a refusal to the end of its reason: not a failure of its own, the status tells.
    Refusal,
    /// From the proof of the end to its marker: not a failure, the answer is whole.
    Tail,
}

impl TimeoutKind {
    /// Every kind, in order of precedence.
    pub const ALL: [Self; 10] = [
        Self::Total,
        Self::PoolWait,
        Self::Connect,
        Self::SendBody,
        Self::FirstByte,
        Self::Idle,
        Self::Backoff,
        Self::RateWindow,
        Self::Refusal,
        Self::Tail,
    ];

    /// What it means that this limit ran out. `None` where it means no failure.
    #[must_use]
    pub fn failure(self) -> Option<Failure> {
        match self {
            Self::Total => Some(Failure::DeadlineExceeded),
            Self::PoolWait => Some(Failure::PoolExhausted),
            Self::Connect => Some(Failure::ConnectTimeout),
            Self::SendBody => Some(Failure::SendTimeout),
            Self::FirstByte => Some(Failure::FirstByteTimeout),
            Self::Idle => Some(Failure::IdleTimeout),
            Self::Backoff | Self::RateWindow | Self::Refusal | Self::Tail => None,
        }
    }

    /// Its name in an attempt's `decision_reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::PoolWait => "pool wait",
            Self::Connect => "connect",
            Self::SendBody => "send body",
            Self::FirstByte => "first byte",
            Self::Idle => "idle",
            Self::Backoff => "backoff",
            Self::RateWindow => "rate window",
            Self::Refusal => "refusal",
            Self::Tail => "tail",
        }
    }
}

/// The running limits of one stream. Setting one is a single store, so it may happen on every event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimerTable {
    until: [Option<Moment>; TimeoutKind::ALL.len()],
}

impl TimerTable {
    /// Starts, or moves, the limit of this kind.
    pub fn set(&mut self, kind: TimeoutKind, until: Moment) {
        self.until[kind as usize] = Some(until);
    }

    /// Stops the limit of this kind.
    pub fn stop(&mut self, kind: TimeoutKind) {
        self.until[kind as usize] = None;
    }

    /// Whether the limit of this kind runs.
    #[must_use]
    pub fn runs(&self, kind: TimeoutKind) -> bool {
        self.until[kind as usize].is_some()
    }

    /// Stops every limit that belongs to one attempt and keeps the stream's own.
    pub fn stop_attempt(&mut self) {
        for kind in TimeoutKind::ALL {
            if kind != TimeoutKind::Total {
                self.stop(kind);
            }
        }
    }

    /// The limit that runs out next. Of two at the same moment, the one that comes first in [`TimeoutKind`].
    #[must_use]
    pub fn next(&self) -> Option<(Moment, TimeoutKind)> {
        let running = TimeoutKind::ALL.into_iter().filter_map(|kind| Some((self.until[kind as usize]?, kind)));
        running.min_by_key(|(until, _)| *until)
    }

    /// The limit that has run out at `now`: of several, the one that ran out first.
    #[must_use]
    pub fn expired(&self, now: Moment) -> Option<TimeoutKind> {
        self.next().filter(|(until, _)| *until <= now).map(|(_, kind)| kind)
    }
}

#[cfg(test)]
mod tests;

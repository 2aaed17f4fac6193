//! Every row that a run can print: what it says, what it has to reach, and the values found.

use std::collections::BTreeMap;

use crate::{peer::Kind, samples::median};

/// One figure of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    PacedCpu,
    FlatCpu,
    FlatLatency,
    FirstEventP50,
    FirstEventP99,
    SmallCpu,
    MemoryFewer,
    MemoryMore,
    ForNobody,
    IdleAfter,
    Start,
    Rest,
    FirstEventInStepP50,
    FirstEventInStepP99,
    PacedLatencyP50,
    PacedLatencyP99,
    FlatEventsPerRead,
    FlatRate,
    FlatPerCore,
    FlatLatencyP99,
    SmallRate,
    ForNobodyPaced,
    RestProportional,
    FewerAckP50,
    FewerAckP99,
    FewerFirstTokenP50,
    FewerFirstTokenP99,
    FewerAnswerRate,
    FewerPromptCpu,
    AckP50,
    AckP99,
    FirstTokenP50,
    FirstTokenP99,
    AnswerRate,
    PromptCpu,
    SessionMemory,
    SessionMemoryAnswered,
    SessionMemoryKept,
}

/// A bound that a value must not exceed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// This many times nginx' value in the same run.
    Nginx(f64),
    /// This value, in the row's unit.
    Value(f64),
}

impl Bound {
    /// Whether `value` keeps the bound; `None` where nginx' value is needed and missing.
    pub(crate) fn keeps(self, value: f64, nginx: Option<f64>) -> Option<bool> {
        match self {
            Self::Nginx(times) => nginx.map(|nginx| value <= times * nginx),
            Self::Value(most) => Some(value <= most),
        }
    }

    /// The same in proportion to nginx: a bound that was set where nginx took `then` and is judged where it takes `now`.
    pub(crate) fn in_proportion(self, then: f64, now: f64) -> Self {
        match self {
            Self::Value(most) if then > 0.0 => Self::Value(most * now / then),
            bound => bound,
        }
    }
}

/// What a row is about.
pub(crate) struct Facts {
    pub(crate) row: Row,
    pub(crate) label: &'static str,
    pub(crate) unit: &'static str,
    /// Digits after the point.
    pub(crate) decimals: usize,
    /// What Tidegate has to reach and what it aims at; `None` for a figure that only stands beside others.
    pub(crate) target: Option<Target>,
}

/// The two bounds of a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) must: Bound,
    pub(crate) aim: Bound,
    /// nginx' value in the run that the bounds were set after, in the row's unit.
    pub(crate) nginx_then: f64,
}

const fn target(row: Row, label: &'static str, unit: &'static str, decimals: usize, (must, aim, nginx_then): (Bound, Bound, f64)) -> Facts {
    Facts { row, label, unit, decimals, target: Some(Target { must, aim, nginx_then }) }
}

const fn beside(row: Row, label: &'static str, unit: &'static str, decimals: usize) -> Facts {
    Facts { row, label, unit, decimals, target: None }
}

/// The targets, and below them the figures that help to read them; in the order of the tables.
pub(crate) const ROWS: [Facts; 23] = {
    use Bound::{Nginx, Value};
    [
        target(Row::PacedCpu, "CPU per event, 500 paced streams, 20 ms between events", "µs", 1, (Nginx(1.3), Nginx(1.0), 13.9)),
        target(Row::FlatCpu, "CPU per event, 32 streams flat out", "µs", 2, (Nginx(2.0), Nginx(1.3), 2.3)),
        target(Row::FlatLatency, "event latency under that flood, p50", "ms", 2, (Value(10.0), Value(3.0), 1.4)),
        target(Row::FirstEventP50, "added time to first event, p50", "ms", 2, (Value(0.5), Value(0.3), 0.3)),
        target(Row::FirstEventP99, "added time to first event, p99", "ms", 2, (Nginx(1.25), Nginx(1.0), 7.0)),
        target(Row::SmallCpu, "CPU per small whole request", "µs", 1, (Value(35.0), Value(25.0), 13.6)),
        target(Row::MemoryFewer, "memory per open, mostly idle stream, 5,000 open", "KiB", 1, (Value(32.0), Value(12.0), 17.8)),
        target(Row::MemoryMore, "memory per open, mostly idle stream, 9,000 open", "KiB", 1, (Value(32.0), Value(12.0), 17.8)),
        target(
            Row::ForNobody,
            "events produced for nobody after 200 clients left, 1 s between events",
            "events",
            0,
            (Value(200.0), Value(0.0), 0.0),
        ),
        target(Row::IdleAfter, "provider idle after 9,000 silent streams lost their clients", "ms", 0, (Value(250.0), Value(50.0), 0.0)),
        target(Row::Start, "exec to first 200", "ms", 1, (Value(50.0), Value(20.0), 20.0)),
        target(Row::Rest, "memory at rest", "MiB", 1, (Value(20.0), Value(12.0), 31.0)),
        beside(Row::FirstEventInStepP50, "added time to first event, in step with 125 other events, p50", "ms", 2),
        beside(Row::FirstEventInStepP99, "added time to first event, in step with 125 other events, p99", "ms", 2),
        beside(Row::PacedLatencyP50, "event latency, 500 paced streams, p50", "ms", 2),
        beside(Row::PacedLatencyP99, "event latency, 500 paced streams, p99", "ms", 2),
        beside(Row::FlatEventsPerRead, "events per read of the client, flat out", "events", 1),
        beside(Row::FlatRate, "events per second, flat out", "/s", 0),
        beside(Row::FlatPerCore, "events per second of the peer's CPU time, flat out", "/s", 0),
        beside(Row::FlatLatencyP99, "event latency flat out, p99", "ms", 2),
        beside(Row::SmallRate, "small whole requests per second", "/s", 0),
        beside(Row::ForNobodyPaced, "events produced for nobody after 200 clients left, 20 ms between events", "events", 0),
        beside(Row::RestProportional, "memory at rest, shared pages counted once", "MiB", 1),
    ]
};

/// A figure of sessions, which stand beside an echo server.
pub(crate) struct SessionFacts {
    pub(crate) facts: Facts,
    /// What Tidegate has to reach and what it aims at.
    pub(crate) bounds: Option<(Bound, Bound)>,
}

/// The figures of sessions, in the order of their table.
pub(crate) const SESSION_ROWS: [SessionFacts; 5] = {
    use Bound::Value;
    const fn row(row: Row, label: &'static str, unit: &'static str, bounds: Option<(Bound, Bound)>) -> SessionFacts {
        SessionFacts { facts: beside(row, label, unit, 2), bounds }
    }
    [
        row(Row::AckP50, "prompt to acknowledgement, 1,000 sessions with a prompt a second each, p50", "ms", None),
        row(Row::AckP99, "prompt to acknowledgement, p99", "ms", Some((Value(5.0), Value(2.0)))),
        row(Row::PromptCpu, "CPU per prompt, with its answer of eight words", "µs", None),
        row(Row::SessionMemory, "memory per idle session, 9,000 open", "KiB", Some((Value(16.0), Value(8.0)))),
        row(Row::SessionMemoryAnswered, "memory per idle session that has had an answer, 9,000 open", "KiB", None),
    ]
};

/// The figures of sessions by where their prompts wait, in the order of their table.
pub(crate) const QUEUE_ROWS: [Facts; 15] = [
    beside(Row::FewerAckP50, "100 prompts a second: to acknowledgement, p50", "ms", 2),
    beside(Row::FewerAckP99, "100 prompts a second: to acknowledgement, p99", "ms", 2),
    beside(Row::FewerFirstTokenP50, "100 prompts a second: to first token, p50", "ms", 2),
    beside(Row::FewerFirstTokenP99, "100 prompts a second: to first token, p99", "ms", 2),
    beside(Row::FewerAnswerRate, "100 prompts a second: answers per second", "/s", 0),
    beside(Row::FewerPromptCpu, "100 prompts a second: CPU per prompt, all processes together", "µs", 0),
    beside(Row::AckP50, "1,000 prompts a second: to acknowledgement, p50", "ms", 2),
    beside(Row::AckP99, "1,000 prompts a second: to acknowledgement, p99", "ms", 2),
    beside(Row::FirstTokenP50, "1,000 prompts a second: to first token, p50", "ms", 2),
    beside(Row::FirstTokenP99, "1,000 prompts a second: to first token, p99", "ms", 2),
    beside(Row::AnswerRate, "1,000 prompts a second: answers per second", "/s", 0),
    beside(Row::PromptCpu, "1,000 prompts a second: CPU per prompt, all processes together", "µs", 0),
    beside(Row::SessionMemory, "memory per idle session, in the gateway", "KiB", 2),
    beside(Row::SessionMemoryAnswered, "memory per idle session that has had an answer, in the gateway", "KiB", 2),
    beside(Row::SessionMemoryKept, "memory per idle session that has had an answer, in the server", "KiB", 2),
];

/// The values of a run: one a round for each row and peer.
#[derive(Default)]
pub(crate) struct Findings {
    values: BTreeMap<(Row, Kind), Vec<f64>>,
}

impl Findings {
    /// Notes a value.
    pub(crate) fn add(&mut self, row: Row, kind: Kind, value: f64) {
        self.values.entry((row, kind)).or_default().push(value);
    }

    /// The median of the rounds.
    pub(crate) fn value(&self, row: Row, kind: Kind) -> Option<f64> {
        median(self.rounds(row, kind))
    }

    /// The values in the order of the rounds.
    pub(crate) fn rounds(&self, row: Row, kind: Kind) -> &[f64] {
        self.values.get(&(row, kind)).map_or(&[], Vec::as_slice)
    }
}

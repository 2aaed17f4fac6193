//! The behaviours that the gateway promises, each as a scenario and what the client sees of it.

mod completion;
mod crowd;
mod deadline;
mod failure_table;
mod failures;
mod fallback;
mod fixtures;
mod head_and_keepalive;
mod leaving;
mod limits;
mod long_time;
mod outage;
mod properties;
mod provider_faults;
mod rate_guard;
mod record;
mod recovery;
mod restart;

use DeliveryMode::{Buffered, Coherent, Stream};
use expect_test::{Expect, expect};

use super::*;

fn scenario(text: &str) -> Scenario {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Plays `text` under the usual limits: first byte 30 s, idle 15 s, total 180 s, head after 5 s, keepalive 10 s.
#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check(text: &str, mode: DeliveryMode, expected: Expect) {
    expected.assert_eq(&Simulation::new(&scenario(text), mode).run().view.to_string());
}

/// Plays each scenario in each mode and writes a line for each.
#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check_all(texts: &[&str], modes: &[DeliveryMode], expected: Expect) {
    let mut lines = String::new();
    for text in texts {
        lines += &format!("{text}\n");
        for mode in modes {
            let view = Simulation::new(&scenario(text), *mode).run().view;
            lines += &format!("    {:8} {view}\n", mode.name());
        }
    }
    expected.assert_eq(&lines);
}

/// Plays each scenario in each mode under `limits` and writes a line for each, with what was decided.
#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check_decisions(limits: Limits, texts: &[&str], modes: &[DeliveryMode], expected: Expect) {
    let mut lines = String::new();
    for text in texts {
        lines += &format!("{text}\n");
        for mode in modes {
            let Simulated { view, exchange, .. } = Simulation::new(&scenario(text), *mode).limits(limits).run();
            lines += &format!("    {:8} {view}; {}\n", mode.name(), decisions(&exchange));
        }
    }
    expected.assert_eq(&lines);
}

/// What was decided after each attempt, in a line.
fn decisions(exchange: &Exchange) -> String {
    let decided = exchange.tally().attempts.iter().map(|attempt| {
        let decision = attempt.fate.as_ref().map_or("runs", |fate| fate.decision.name());
        let skipped = if attempt.skipped.is_some() { "skipped " } else { "" };
        format!("{} {skipped}{decision}", attempt.target.model)
    });
    decided.collect::<Vec<_>>().join(", ")
}

/// The usual limits, with these many seconds of silence and in all.
fn limits_of(idle: u64, total: u64) -> Limits {
    let (idle, total) = (Duration::from_secs(idle), Duration::from_secs(total));
    Limits::with_profile(TimeoutProfile { idle, total, ..TimeoutProfile::STANDARD })
}

const ALL_MODES: &[DeliveryMode] = &[Stream, Coherent, Buffered];

//! Each row of the failure table that a stream can meet: caused before and after output, before and after the head, in every mode, with
//! one target, with a second one that answers, and with a second one that fails in the same way.

use Failure as F;
use tidegate_core::failure::Retry;
use tidegate_core::record::{Decision, Status};

use super::*;

/// How a failure is caused.
enum Cause {
    /// The provider does this, before output and after it.
    Provider(&'static str, &'static str),
    /// The provider does this, or the way to it takes this long; once output has come, it cannot.
    BeforeOutput(&'static str, Way),
    /// Somebody other than the provider ends the stream.
    CutShort,
    /// It has a test of its own, because no script alone causes it.
    Elsewhere(&'static str),
    /// No stream meets it: the request is refused before there is one.
    Never(&'static str),
}

/// The compiler asks for a cause of every row that the table gets.
fn cause(failure: Failure) -> Cause {
    const AT_ONCE: Way = Way { pool: Duration::ZERO, connect: Duration::ZERO, send: Duration::ZERO };
    const LONG: Duration = Duration::from_secs(60);
    match failure {
        F::InvalidRequest | F::RequestTooLarge | F::RequestTimeout => Cause::Never("the request is not read to its end, or not understood"),
        F::InvalidApiKey | F::ModelNotAllowed | F::ModelNotFound | F::NotFound => Cause::Never("there is no route to ask"),
        F::BudgetExceeded | F::RateLimited | F::TooManyStreams | F::GatewayOverloaded => Cause::Never("the stream is not admitted"),
        F::IdempotencyConflict | F::StreamGone => Cause::Never("it concerns another stream"),
        F::LedgerUnavailable => Cause::Never("nothing is started without a record"),
        F::ContentBlocked => Cause::Provider("status 400 code 'content_filter'", r#"data '{"error":{"code":"content_filter"}}'"#),
        F::PoolExhausted => Cause::BeforeOutput("'WRONG' end", Way { pool: LONG, ..AT_ONCE }),
        F::ConnectFailed => Cause::BeforeOutput("refuse", AT_ONCE),
        F::ConnectTimeout => Cause::BeforeOutput("'WRONG' end", Way { connect: LONG, ..AT_ONCE }),
        F::SendTimeout => Cause::BeforeOutput("'WRONG' end", Way { send: LONG, ..AT_ONCE }),
        F::FirstByteTimeout => Cause::BeforeOutput("stall", AT_ONCE),
        F::IdleTimeout => Cause::Provider("role stall", "stall"),
        F::TooSlow => Cause::Elsewhere("it takes a rate guard, and another target (rate_guard.rs)"),
        F::DeadlineExceeded => Cause::Provider("repeat 1000 (10ms usage)", "repeat 1000 (10ms 'WRONG')"),
        F::UpstreamRateLimited => Cause::Provider("status 429", r#"data '{"error":{"code":"rate_limit_exceeded"}}'"#),
        F::UpstreamError => Cause::Provider("status 503", "error 'no' end"),
        F::UpstreamRejected(_) => Cause::Provider("status 400", r#"data '{"error":{"code":"invalid_request_error"}}'"#),
        F::ContextTooLong(_) => {
            Cause::Provider("status 400 code 'context_length_exceeded'", r#"data '{"error":{"code":"context_length_exceeded"}}'"#)
        }
        F::UpstreamCredentials => Cause::Provider("status 401", r#"data '{"error":{"code":"invalid_api_key"}}'"#),
        F::UpstreamCut => Cause::Provider("role 10ms cut", "cut"),
        F::UpstreamMalformed => Cause::Provider("malformed end", "malformed 'WRONG' end"),
        F::RoutesUnavailable => Cause::Elsewhere("every target rests, so none is asked (recovery.rs)"),
        F::GatewayDraining | F::Cancelled | F::ClientGone | F::SlowClient | F::Internal => Cause::CutShort,
    }
}

/// Who else could answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Second {
    Absent,
    Answers,
    Fails,
}

/// Where the stream is when the failure comes.
#[derive(Debug, Clone, Copy)]
struct Stage {
    mode: DeliveryMode,
    head_is_out: bool,
    after_output: bool,
    second: Second,
}

impl Stage {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for mode in [Stream, Coherent, Buffered] {
            for (head_is_out, after_output) in [(false, false), (false, true), (true, false), (true, true)] {
                for second in [Second::Absent, Second::Answers, Second::Fails] {
                    all.push(Self { mode, head_is_out, after_output, second });
                }
            }
        }
        all
    }

    /// The reader has output before it.
    fn is_shown(self) -> bool {
        self.after_output && self.mode == Stream
    }

    fn simulate(self, failure: Failure) -> Option<Simulated> {
        let (script, way) = match cause(failure) {
            Cause::Provider(before, after) => {
                (if self.after_output { format!("'WRONG' 10ms {after}") } else { format!("10ms {before}") }, None)
            }
            Cause::BeforeOutput(..) if self.after_output => return None,
            Cause::BeforeOutput(script, way) => (format!("10ms {script}"), Some(way)),
            Cause::CutShort => (if self.after_output { "'WRONG' stall" } else { "stall" }.to_owned(), None),
            Cause::Elsewhere(_) | Cause::Never(_) => return None,
        };
        let second = match self.second {
            Second::Absent => String::new(),
            Second::Answers => "; b: 'hel' 'lo' end".to_owned(),
            Second::Fails => format!("; b: {script}"),
        };
        let scenario = scenario(&format!("a: {script}{second}"));
        let mut simulation = Simulation::new(&scenario, self.mode).limits(self.limits());
        if self.head_is_out {
            simulation = simulation.early_head();
        }
        if let Some(way) = way {
            simulation = simulation.way_to("a", way);
            simulation = if self.second == Second::Fails { simulation.way_to("b", way) } else { simulation };
        }
        if matches!(cause(failure), Cause::CutShort) {
            simulation = simulation.cut_short_after(Duration::from_millis(15), failure);
        }
        Some(simulation.run())
    }

    /// Limits that run out one after the other, and a head that goes out at once or never.
    fn limits(self) -> Limits {
        let millis = Duration::from_millis;
        let profile = TimeoutProfile { connect: millis(30), first_byte: millis(50), idle: millis(60), total: millis(9_000) };
        let head_after = if self.head_is_out { millis(1) } else { millis(60_000) };
        Limits { pool_wait: millis(20), send_body: millis(40), head_after, ..Limits::with_profile(profile) }
    }

    /// What the attempts shall have decided, in order.
    fn decisions(self, failure: Failure) -> Vec<Decision> {
        use Decision::{Deliver, Fail, NextTarget, RetrySame};
        let repetitions = match failure.facts().retry {
            _ if self.is_shown() => return vec![Fail],
            // No target is marked for a larger context.
            Retry::Never | Retry::LargerContext => return vec![Fail],
            Retry::NextTarget => 0,
            Retry::SameOnceThenNext => 1,
            // Three attempts in all, of which a second target needs one.
            Retry::SameThenNext | Retry::AfterPushback if self.second == Second::Absent => 2,
            Retry::SameThenNext => 1,
            // Nobody said for how long it is limited.
            Retry::AfterPushback => 0,
        };
        let rest: &[Decision] = match self.second {
            Second::Absent => &[Fail],
            Second::Answers => &[NextTarget, Deliver],
            // The last target is asked again, for nobody else is left.
            Second::Fails if failure.facts().retry == Retry::AfterPushback => &[NextTarget, RetrySame, Fail],
            Second::Fails => &[NextTarget, Fail],
        };
        [&vec![RetrySame; repetitions], rest].concat()
    }

    /// What the client shall have read, and the record's status.
    fn ending(self, failure: Failure, decisions: &[Decision]) -> (Ending, Status) {
        if decisions.last() == Some(&Decision::Deliver) {
            return (Ending::Completed, Status::Completed);
        }
        let code = failure.code().to_owned();
        let is_cancelled = matches!(failure, F::Cancelled | F::ClientGone | F::SlowClient);
        let status = match (is_cancelled, self.is_shown()) {
            (true, false) => Status::CancelledBeforeOutput,
            (true, true) => Status::CancelledAfterOutput,
            (false, false) => Status::FailedBeforeOutput,
            (false, true) => Status::FailedAfterOutput,
        };
        let ending = match failure.facts().status {
            None => Ending::Left,
            Some(_) if !self.head_is_out && !self.is_shown() => Ending::Http { code },
            Some(_) if self.mode == Buffered => Ending::Broken,
            Some(_) => Ending::Error { code, partial: self.is_shown() },
        };
        (ending, status)
    }
}

#[test]
fn every_row_ends_as_it_says_wherever_the_stream_is() {
    let mut streams = 0;
    for failure in Failure::ALL {
        for stage in Stage::all() {
            let Some(Simulated { view, exchange, .. }) = stage.simulate(*failure) else { continue };
            streams += 1;
            let attempts = &exchange.tally().attempts;
            let expected = stage.decisions(*failure);
            let decisions: Vec<_> = attempts.iter().filter_map(|attempt| Some(attempt.fate.as_ref()?.decision)).collect();
            assert_eq!(decisions, expected, "{failure:?} {stage:?}: {view}");

            let (ending, status) = stage.ending(*failure, &expected);
            assert_eq!(
                (&view.ending, exchange.ending().map(|ending| ending.status)),
                (&ending, Some(status)),
                "{failure:?} {stage:?}: {view}"
            );
            if let Ending::Http { .. } = ending {
                assert_eq!(view.head.map(|(_, status)| status), failure.facts().status, "{failure:?} {stage:?}");
            }
            let text = view.text();
            assert!(
                if stage.is_shown() { text.starts_with("WRONG") } else { ["", "hello"].contains(&&*text) },
                "{failure:?} {stage:?}: {view}"
            );

            let failed = attempts.iter().filter(|attempt| attempt.fate.as_ref().is_some_and(|fate| fate.failure == Some(*failure)));
            assert_eq!(failed.count(), expected.iter().filter(|decision| **decision != Decision::Deliver).count(), "{failure:?} {stage:?}");
        }
    }
    assert_eq!(streams, 630, "rows that a script causes, in every mode, at every stage");
}

#[test]
fn rows_that_no_script_causes_are_listed_with_the_reason() {
    let mut lines = String::new();
    for failure in Failure::ALL {
        if let Cause::Elsewhere(reason) | Cause::Never(reason) = cause(*failure) {
            lines += &format!("{failure:?}: {reason}\n");
        }
        if let Cause::Never(_) = cause(*failure) {
            assert_eq!(failure.facts().retry, Retry::Never, "{failure:?}");
        }
    }
    expect![[r#"
        InvalidRequest: the request is not read to its end, or not understood
        RequestTooLarge: the request is not read to its end, or not understood
        RequestTimeout: the request is not read to its end, or not understood
        InvalidApiKey: there is no route to ask
        ModelNotAllowed: there is no route to ask
        ModelNotFound: there is no route to ask
        NotFound: there is no route to ask
        BudgetExceeded: the stream is not admitted
        RateLimited: the stream is not admitted
        TooManyStreams: the stream is not admitted
        GatewayOverloaded: the stream is not admitted
        IdempotencyConflict: it concerns another stream
        StreamGone: it concerns another stream
        TooSlow: it takes a rate guard, and another target (rate_guard.rs)
        RoutesUnavailable: every target rests, so none is asked (recovery.rs)
        LedgerUnavailable: nothing is started without a record
    "#]]
    .assert_eq(&lines);
}

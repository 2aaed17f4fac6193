//! Who is asked next: repetitions, larger contexts, degradation chains, targets that rest.

use std::num::NonZeroU32;

use tidegate_core::health::{Skip, SkipReason};

use super::*;

/// Targets by name; one that ends with `+` is marked for a larger context, and one with `!` answers locally.
pub(super) fn leg(names: &str) -> Vec<Target> {
    let target = |word: &str| {
        let name = word.trim_end_matches(['+', '!']);
        Target { larger_context: word.ends_with('+'), is_local: word.ends_with('!'), ..Target::new(name, name) }
    };
    names.split_whitespace().map(target).collect()
}

/// Plays `text` with these legs and writes a line of what the client saw and what was decided.
#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check_legs(legs: &[&str], text: &str, mode: DeliveryMode, expected: Expect) {
    let scenario = scenario(text);
    let Simulated { view, exchange, .. } = Simulation::new(&scenario, mode).legs(legs.iter().map(|names| leg(names)).collect()).run();
    expected.assert_eq(&format!("{view}; {}", decisions(&exchange)));
}

#[test]
fn what_is_too_long_goes_to_larger_contexts_alone() {
    let text = "a: status 400 code 'context_length_exceeded'; b: 'WRONG' end; large: 1s 'hel' end; small: 'WRONG' end";
    check_legs(&["a b large+", "small"], text, Stream, expect!["200 at 1s: 'hel' | completed; a next_target, large deliver"]);
    check_legs(&["a b", "small"], text, Stream, expect!["400 upstream_rejected at 0s; a fail"]);
}

#[test]
fn a_larger_context_that_fails_too_is_the_end() {
    let code = "status 400 code 'context_length_exceeded'";
    check_legs(
        &["a b large+", "small"],
        &format!("a: {code}; b: 'WRONG' end; large: {code}; small: 'WRONG' end"),
        Stream,
        expect!["400 upstream_rejected at 0s; a next_target, large fail"],
    );
    check_legs(
        &["a b large+", "small"],
        &format!("a: {code}; b: 'WRONG' end; large: status 503; small: 'WRONG' end"),
        Stream,
        expect!["502 upstream_error at 1s; a next_target, large retry_same, large fail"],
    );
}

#[test]
fn a_chain_is_gone_down_leg_by_leg_with_attempts_for_each() {
    check_legs(
        &["a b", "small", "static!"],
        "a: stall; b: cut; small: status 503 | 'hel' end; static: 'WRONG' end",
        Stream,
        expect![
            "200 at 5s: 10s keepalive 10s keepalive 7s 'hel' | completed; a next_target, b retry_same, b degrade, small retry_same, small deliver"
        ],
    );
    check_legs(
        &["a b", "small", "static!"],
        "a: status 503; b: cut; small: status 503; static: 'hel' end",
        Coherent,
        expect![
            "200 at 4s: 'hel' | completed; a retry_same, a next_target, b degrade, small retry_same, small retry_same, small degrade, static deliver"
        ],
    );
    check_legs(
        &["a", "small", "static!"],
        "a: 'hel' cut; small: 'WRONG' end; static: 'WRONG' end",
        Stream,
        expect!["200 at 0s: 'hel' | error upstream_cut partial; a fail"],
    );
    check_legs(
        &["a", "small", "static!"],
        "a: 'x' cut; small: 'hel' end; static: 'WRONG' end",
        Coherent,
        expect!["200 at 0s: 'hel' | completed; a degrade, small deliver"],
    );
}

#[test]
fn who_was_silent_is_not_asked_again_further_down_the_chain() {
    check_legs(
        &["a b", "a small"],
        "a: stall; b: cut; small: 'hel' end",
        Coherent,
        expect!["200 at 5s: 10s keepalive 10s keepalive 6s 'hel' | completed; a next_target, b retry_same, b degrade, small deliver"],
    );
    check_legs(
        &["a", "a small"],
        "a: status 503; small: 'hel' end",
        Coherent,
        expect!["200 at 4s: 'hel' | completed; a retry_same, a retry_same, a degrade, a retry_same, a next_target, small deliver"],
    );
}

#[test]
fn a_long_pause_is_not_waited_for_where_the_chain_goes_on() {
    check_legs(
        &["a", "static!"],
        "a: status 429 retry-after 6s; static: 'hel' end",
        Stream,
        expect!["200 at 0s: 'hel' | completed; a degrade, static deliver"],
    );
    check_legs(
        &["a", "static!"],
        "a: status 429 retry-after 5s | 'hel' end; static: 'WRONG' end",
        Stream,
        expect!["200 at 5s: 'hel' | completed; a retry_same, a deliver"],
    );
}

#[test]
fn an_answer_that_nobody_waits_for_perseveres_until_its_deadline() {
    let play = |text: &str| {
        let Simulated { view, exchange, .. } = Simulation::new(&scenario(text), Buffered).perseveres().run();
        format!("{view}; {} attempts", exchange.tally().attempts.len())
    };
    expect!["502 connect_failed at 177s; 51 attempts"].assert_eq(&play("a: refuse; b: refuse"));
    expect!["200 at 22s: whole 'hel' | completed; 7 attempts"]
        .assert_eq(&play("a: refuse | refuse | refuse | refuse | 'hel' end; b: status 503"));
    expect!["400 upstream_rejected at 0s; 1 attempts"].assert_eq(&play("a: status 400; b: 'WRONG' end"));
}

#[test]
fn nothing_that_fails_closed_goes_down_the_chain() {
    for failing in ["status 400", "status 401", "status 400 code 'content_filter'"] {
        let scenario = scenario(&format!("a: {failing}; small: 'WRONG' end"));
        let Simulated { view, exchange, .. } = Simulation::new(&scenario, Coherent).legs(vec![leg("a"), leg("small")]).run();
        assert!(matches!(view.ending, Ending::Http { .. }), "{view}");
        assert_eq!(exchange.tally().attempts.len(), 1, "{view}");
    }
}

#[test]
fn what_the_gateway_answers_itself_needs_no_time() {
    let at_the_end = "a: stall; b: stall; c: 29500ms refuse; small: 'WRONG' end; static: 'hel' end";
    let scenario = scenario(at_the_end);
    let total = Duration::from_secs(90);
    let limits = Limits::with_profile(TimeoutProfile { total, ..TimeoutProfile::STANDARD });
    let legs = vec![leg("a b c"), leg("small"), leg("static!")];
    let Simulated { view, exchange, .. } = Simulation::new(&scenario, Coherent).limits(limits).legs(legs).run();
    expect!["200 at 5s: 10s keepalive 10s keepalive 10s keepalive 10s keepalive 10s keepalive 10s keepalive 10s keepalive 10s keepalive 4500ms 'hel' | completed; a next_target, b next_target, c degrade, small skipped next_target, static deliver"].assert_eq(&format!("{view}; {}", decisions(&exchange)));
}

#[test]
fn a_pause_that_a_provider_asks_for_is_kept_where_the_deadline_allows_it() {
    let play = |text: &str, total: u64| {
        let scenario = scenario(text);
        let limits = limits_of(15, total);
        let Simulated { view, exchange, .. } = Simulation::new(&scenario, Stream).limits(limits).run();
        let pushback = exchange.pushback(Moment::ORIGIN + view.ended).map(|wait| wait.as_secs());
        format!("{view}; {}; come back in {pushback:?} s", decisions(&exchange))
    };
    expect!["200 at 5s: 10s keepalive 5s 'hel' | completed; a retry_same, a deliver; come back in Some(0) s"]
        .assert_eq(&play("a: status 429 retry-after 20s | 'hel' end", 180));
    expect!["429 upstream_rate_limited at 0s; a fail; come back in Some(20) s"]
        .assert_eq(&play("a: status 429 retry-after 20s | 'WRONG' end", 20));
    expect!["200 at 5s: 10s keepalive 5s 'hel' | completed; a retry_same, a deliver; come back in Some(0) s"]
        .assert_eq(&play("a: status 429 retry-after 20s | 'hel' end", 21));
    expect!["200 at 4s: 'hel' | completed; a retry_same, a deliver; come back in Some(0) s"]
        .assert_eq(&play("a: status 429 retry-after 4s | 'hel' end; b: 'WRONG' end", 180));
    expect!["200 at 0s: 'hel' | completed; a next_target, b deliver; come back in Some(6) s"]
        .assert_eq(&play("a: status 429 retry-after 6s | 'WRONG' end; b: 'hel' end", 180));
    expect!["429 upstream_rate_limited at 3s; a retry_same, a retry_same, a fail; come back in Some(1) s"]
        .assert_eq(&play("a: status 429 retry-after 1500ms", 180));
    expect!["429 upstream_rate_limited at 3s; a retry_same, a retry_same, a fail; come back in None s"]
        .assert_eq(&play("a: status 429", 180));
    expect!["429 upstream_rate_limited at 1s; a retry_same, a fail; come back in None s"].assert_eq(&play("a: status 429", 3));
    expect!["200 at 3s: 'hel' | completed; a retry_same, a deliver; come back in Some(0) s"]
        .assert_eq(&play("a: status 503 retry-after 3s | 'hel' end", 180));
}

#[test]
fn attempts_are_as_many_as_the_policy_says() {
    for attempts in 1..=6 {
        let scenario = scenario("a: status 503; b: status 503; small: status 503");
        let policy = RetryPolicy { attempts: NonZeroU32::new(attempts).expect("not zero"), ..RetryPolicy::STANDARD };
        let run = Simulation::new(&scenario, Coherent).policy(policy).legs(vec![leg("a b"), leg("small")]).run();
        let asked = run.exchange.tally().asked().count();
        assert_eq!(asked, 2 * usize::try_from(attempts).expect("small"), "{}", run.view);
    }
}

/// Some targets rest, and chance and the budget are as they are.
#[derive(Debug)]
pub(super) struct Resting {
    pub(super) names: &'static [&'static str],
    pub(super) reason: SkipReason,
    pub(super) until: Duration,
    pub(super) has_budget: bool,
    pub(super) chance: f64,
}

impl Health for Resting {
    fn admit(&mut self, target: &Target, now: Moment) -> Result<(), Skip> {
        let until = Moment::ORIGIN + self.until;
        let rests = self.names.contains(&&*target.model) && now < until;
        if rests { Err(Skip { reason: self.reason, until: Some(until) }) } else { Ok(()) }
    }

    fn may_repeat(&mut self, _now: Moment) -> bool {
        self.has_budget
    }

    fn chance(&mut self) -> f64 {
        self.chance
    }
}

impl World for Resting {}

pub(super) const WELL: Resting =
    Resting { names: &[], reason: SkipReason::BreakerOpen, until: Duration::ZERO, has_budget: true, chance: 0.0 };

#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check_in(mut world: Resting, text: &str, expected: Expect) {
    let Simulated { view, exchange, .. } = Simulation::new(&scenario(text), Stream).run_with(&mut world);
    let pushback = exchange.pushback(Moment::ORIGIN + view.ended).map(|wait| wait.as_secs());
    expected.assert_eq(&format!("{view}; {}; come back in {pushback:?} s", decisions(&exchange)));
}

#[test]
fn targets_that_rest_are_passed_over_without_a_wait() {
    let resting = |names, reason| Resting { names, reason, until: Duration::from_secs(30), ..WELL };
    check_in(
        resting(&["a"], SkipReason::BreakerOpen),
        "a: 'WRONG' end; b: 1s 'hel' end",
        expect!["200 at 1s: 'hel' | completed; a skipped next_target, b deliver; come back in Some(29) s"],
    );
    check_in(
        resting(&["a"], SkipReason::Probing),
        "a: 'WRONG' end; b: status 503 | 'hel' end",
        expect!["200 at 1s: 'hel' | completed; a skipped next_target, b retry_same, b deliver; come back in Some(29) s"],
    );
    check_in(
        resting(&["a", "b"], SkipReason::BreakerOpen),
        "a: 'WRONG' end; b: 'WRONG' end",
        expect!["503 routes_unavailable at 0s; a skipped next_target, b skipped next_target; come back in Some(30) s"],
    );
    check_in(
        resting(&["a", "b"], SkipReason::CoolingDown),
        "a: 'WRONG' end; b: 'WRONG' end",
        expect!["429 upstream_rate_limited at 0s; a skipped next_target, b skipped next_target; come back in Some(30) s"],
    );
    check_in(
        resting(&["b"], SkipReason::CoolingDown),
        "a: status 429 retry-after 6s; b: 'WRONG' end",
        expect!["429 upstream_rate_limited at 0s; a next_target, b skipped next_target; come back in Some(6) s"],
    );
}

#[test]
fn without_budget_nobody_is_asked_twice_but_others_are_asked() {
    let spent = || Resting { has_budget: false, ..WELL };
    check_in(spent(), "a: status 503 | 'WRONG' end", expect!["502 upstream_error at 0s; a fail; come back in None s"]);
    check_in(
        spent(),
        "a: status 503 | 'WRONG' end; b: refuse; c: 'hel' end",
        expect!["200 at 0s: 'hel' | completed; a next_target, b next_target, c deliver; come back in None s"],
    );
}

#[test]
fn chance_adds_at_most_a_second_to_each_wait() {
    for (chance, ended) in [(0.0, 3_000), (0.5, 4_000), (1.0, 5_000)] {
        let scenario = scenario("a: status 503");
        let view = Simulation::new(&scenario, Stream).run_with(&mut Resting { chance, ..WELL }).view;
        assert_eq!(view.ended, Duration::from_millis(ended), "{chance}");
    }
}

//! What no fault, wait or repetition can break: the deadline, the number of attempts, and whose answer it is.

use std::num::NonZeroU32;

use proptest::prelude::*;
use tidegate_core::failure::Retry;
use tidegate_core::health::SkipReason;
use tidegate_core::limits::RateGuard;

use super::recovery::{Resting, leg};
use super::*;

/// A step of a script; `%` stands for its text, which no other script has.
fn step() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0_u32..20_000).prop_map(|millis| format!("{millis}ms")),
        4 => Just("'%'".to_owned()),
        1 => prop::sample::select(vec!["role", "head", "comment", "usage", "finish", "done", "malformed", "error 'no'"]).prop_map(str::to_owned),
        1 => (1_u32..20, 0_u32..9_000).prop_map(|(times, millis)| format!("repeat {times} ({millis}ms '%')")),
    ]
}

fn script() -> impl Strategy<Value = String> {
    let ending = prop::sample::select(vec!["end", "end", "eof", "half", "cut", "stall"]);
    let answers = (prop::collection::vec(step(), 0..5), ending).prop_map(|(steps, ending)| format!("{} {ending}", steps.join(" ")));
    let instead = vec!["refuse", "stall", "status 503", "status 429", "status 400", "status 400 code 'context_length_exceeded'"];
    let instead = (0_u32..9_000, prop::sample::select(instead)).prop_map(|(millis, ending)| format!("{millis}ms {ending}"));
    let pushes_back = (0_u32..40_000).prop_map(|millis| format!("status 429 retry-after {millis}ms"));
    prop_oneof![3 => answers, 3 => instead, 1 => pushes_back]
}

/// Four targets with one to three scripts each.
fn scenarios() -> impl Strategy<Value = String> {
    let target = || prop::collection::vec(script(), 1..4);
    [target(), target(), target(), target()].prop_map(|targets| {
        let name = |name: char, scripts: Vec<String>| {
            let told = scripts.iter().enumerate().map(|(nth, script)| script.replace('%', &format!("{name}{nth} ")));
            format!("{name}: {}", told.collect::<Vec<_>>().join(" | "))
        };
        ('a'..='d').zip(targets).map(|(letter, scripts)| name(letter, scripts)).collect::<Vec<_>>().join("; ")
    })
}

/// Legs that share targets, legs that do not, larger contexts, and an answer of the gateway's own.
fn legs() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::select(vec![
        vec!["a"],
        vec!["a b c d"],
        vec!["a b", "c d"],
        vec!["a", "b", "a c"],
        vec!["a b d+", "c"],
        vec!["a", "b a", "d!"],
    ])
}

fn limits() -> impl Strategy<Value = Limits> {
    let guard = prop::option::of(Just(RateGuard { bytes_per_second: 2, window: Duration::from_secs(2) }));
    // A few microseconds, so that nothing a provider does falls on the deadline by chance.
    (1_u64..120_000, 1_u64..40_000, guard).prop_map(|(total, first_byte, rate_guard)| {
        let total = Duration::from_millis(total) + Duration::from_micros(7);
        let profile = TimeoutProfile { first_byte: Duration::from_millis(first_byte), total, ..TimeoutProfile::STANDARD };
        Limits { rate_guard, ..Limits::with_profile(profile) }
    })
}

fn worlds() -> impl Strategy<Value = Resting> {
    let names: Vec<&'static [&'static str]> = vec![&[], &["a"], &["b"], &["a", "b"], &["a", "b", "c", "d"]];
    (prop::sample::select(names), 0_u64..60, any::<bool>(), 0_u32..=1_000).prop_map(|(names, until, has_budget, chance)| Resting {
        names,
        reason: SkipReason::CoolingDown,
        until: Duration::from_secs(until),
        has_budget,
        chance: f64::from(chance) / 1_000.0,
    })
}

fn ways() -> impl Strategy<Value = Way> {
    let wait = || prop_oneof![3 => Just(0), 1 => 0_u64..12_000].prop_map(Duration::from_millis);
    (wait(), wait(), wait()).prop_map(|(pool, connect, send)| Way { pool, connect, send })
}

/// No attempt too many, and none at a target that was silent or wrong.
fn attempts_are_bounded(exchange: &Exchange, legs: &[&str], most: u32) -> Result<(), TestCaseError> {
    let asked: Vec<_> = exchange.tally().asked().collect();
    let most = usize::try_from(most).expect("small");
    prop_assert!(asked.len() <= most * legs.len(), "{} attempts", asked.len());
    for name in ["a", "b", "c", "d"] {
        let places = legs.iter().filter(|leg| leg.contains(name)).count();
        let times = asked.iter().filter(|attempt| *attempt.target.model == *name).count();
        prop_assert!(times <= most * places, "{name} was asked {times} times");
    }
    for (n, attempt) in asked.iter().enumerate() {
        let failure = attempt.fate.as_ref().and_then(|fate| fate.failure);
        if failure.is_some_and(|failure| failure.facts().retry == Retry::NextTarget) {
            let again = asked[n + 1..].iter().any(|later| later.target.model == attempt.target.model);
            prop_assert!(!again, "{} was asked again after {failure:?}", attempt.target.model);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_stream_keeps_its_deadline_its_attempts_and_one_voice(
        text in scenarios(), mode in prop::sample::select(vec![Stream, Coherent, Buffered]), limits in limits(), legs in legs(),
        most in 1_u32..5, mut world in worlds(), way in ways(), restarts in 0_usize..3, perseveres in any::<bool>(),
    ) {
        let scenario = scenario(&text);
        let policy = RetryPolicy { attempts: NonZeroU32::new(most).expect("not zero"), ..RetryPolicy::STANDARD };
        let simulation = Simulation::new(&scenario, mode)
            .limits(limits)
            .policy(policy)
            .legs(legs.iter().map(|names| leg(names)).collect())
            .way_to("b", way)
            .restarts(restarts);
        let simulation = if perseveres { simulation.perseveres() } else { simulation };
        let Simulated { view, exchange, before } = simulation.run_with(&mut world);

        let total = limits.profile.total;
        prop_assert!(view.ended <= total + Duration::from_millis(1), "{view}");
        let ending = exchange.ending().expect("it ended");
        let is_told = [None, Some(Failure::DeadlineExceeded)].contains(&ending.failure);
        prop_assert!(view.ended < total || is_told, "{view}");
        prop_assert!(view.ending != Ending::Unexplained, "{view}");

        if !perseveres {
            before.iter().chain([&exchange]).try_for_each(|exchange| attempts_are_bounded(exchange, &legs, most))?;
        }

        let asked: Vec<_> = before.iter().chain([&exchange]).flat_map(|exchange| exchange.tally().asked()).collect();
        let Some(last) = exchange.tally().asked().next_back() else { return Ok(()) };
        let nth = asked.iter().filter(|attempt| attempt.target == last.target).count() - 1;
        let said = scenario.script(&last.target.model, nth).expect("it was asked").text();
        prop_assert!(said.starts_with(&view.text()), "{view}, but the last attempt said {said:?}");
    }
}

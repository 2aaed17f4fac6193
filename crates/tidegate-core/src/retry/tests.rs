use super::*;
use crate::health::{AllHealthy, Skip};
use crate::route::Target;

const SECOND: Duration = Duration::from_secs(1);

/// The first failure of a target that another one could replace, with all the time in the world.
fn situation(retry: Retry) -> Situation {
    Situation { retry, attempts_left: 2, others: 1, goes_on: false, times_here: 1, pushback: None, time_left: SECOND * 60, least: SECOND }
}

fn here() -> Target {
    Target::new("here", "here")
}

fn after(situation: Situation) -> Again {
    RetryPolicy::STANDARD.after(&situation, &here(), &mut AllHealthy, Moment::ORIGIN)
}

/// Chance at its worst, and no budget.
struct Spent;

impl Health for Spent {
    fn admit(&mut self, _: &Target, _: Moment) -> Result<(), Skip> {
        Ok(())
    }
    fn may_repeat(&mut self, _: Moment) -> bool {
        false
    }
    fn chance(&mut self) -> f64 {
        1.0
    }
}

#[test]
fn what_follows_depends_on_the_class_of_the_failure() {
    let alone = |retry| Situation { others: 0, ..situation(retry) };
    let rows = [
        (situation(Retry::Never), Again::Stop),
        (situation(Retry::SameOnceThenNext), Again::Same(SECOND)),
        (Situation { times_here: 2, ..situation(Retry::SameOnceThenNext) }, Again::Next),
        (situation(Retry::SameThenNext), Again::Same(SECOND)),
        (situation(Retry::NextTarget), Again::Next),
        (situation(Retry::AfterPushback), Again::Next),
        (Situation { pushback: Some(SECOND), ..situation(Retry::AfterPushback) }, Again::Same(SECOND)),
        (situation(Retry::LargerContext), Again::Next),
        (alone(Retry::SameOnceThenNext), Again::Same(SECOND)),
        (Situation { times_here: 2, ..alone(Retry::SameOnceThenNext) }, Again::Stop),
        (alone(Retry::SameThenNext), Again::Same(SECOND)),
        (alone(Retry::NextTarget), Again::Stop),
        (alone(Retry::AfterPushback), Again::Same(SECOND)),
        (alone(Retry::LargerContext), Again::Stop),
    ];
    for (situation, expected) in rows {
        assert_eq!(after(situation), expected, "{situation:?}");
    }
}

#[test]
fn the_wait_doubles_up_to_its_bound_and_chance_adds_to_it() {
    let waits = [1, 2, 3, 4, 40].map(|times_here| after(Situation { times_here, attempts_left: 50, ..situation(Retry::SameThenNext) }));
    assert_eq!(waits, [1, 2, 4, 4, 4].map(|seconds| Again::Same(SECOND * seconds)));
    let wait = RetryPolicy::STANDARD.wait(&situation(Retry::SameThenNext), 1.0);
    assert_eq!(wait, SECOND * 2);
}

#[test]
fn the_providers_own_wait_replaces_the_backoff() {
    let pushed = |seconds, others| Situation { pushback: Some(SECOND * seconds), others, ..situation(Retry::AfterPushback) };
    assert_eq!(after(pushed(2, 1)), Again::Same(SECOND * 2));
    assert_eq!(after(pushed(20, 1)), Again::Next, "another target answers sooner");
    assert_eq!(after(pushed(20, 0)), Again::Same(SECOND * 20), "nobody else could answer");
    assert_eq!(after(pushed(60, 0)), Again::Stop, "the deadline comes first");
    let chained = Situation { goes_on: true, ..pushed(20, 0) };
    assert_eq!(after(chained), Again::Stop, "the chain answers sooner");
    assert_eq!(after(Situation { pushback: Some(SECOND * 5), ..chained }), Again::Same(SECOND * 5));
}

#[test]
fn a_repetition_leaves_the_other_targets_their_attempts() {
    let with = |attempts_left, others| after(Situation { attempts_left, others, ..situation(Retry::SameThenNext) });
    assert_eq!(with(2, 2), Again::Next);
    assert_eq!(with(1, 1), Again::Next);
    assert_eq!(with(1, 0), Again::Same(SECOND));
    assert_eq!(with(0, 0), Again::Stop);
    assert_eq!(with(0, 3), Again::Stop, "the attempts are used up");
}

#[test]
fn no_repetition_begins_that_could_not_end_in_time() {
    let with = |millis, others| after(Situation { time_left: Duration::from_millis(millis), others, ..situation(Retry::SameThenNext) });
    assert_eq!(with(2_000, 0), Again::Same(SECOND));
    assert_eq!(with(1_999, 0), Again::Stop);
    assert_eq!(with(1_999, 1), Again::Next);
}

#[test]
fn without_budget_the_same_target_is_not_repeated_but_another_is_asked() {
    let spent = |situation| RetryPolicy::STANDARD.after(&situation, &here(), &mut Spent, Moment::ORIGIN);
    assert_eq!(spent(situation(Retry::SameThenNext)), Again::Next);
    assert_eq!(spent(Situation { others: 0, ..situation(Retry::SameThenNext) }), Again::Stop);
}

/// A target that does not let the repetition in, and a budget that must not be asked for it.
struct Rests;

impl Health for Rests {
    fn admit(&mut self, _: &Target, _: Moment) -> Result<(), Skip> {
        Ok(())
    }
    fn could_admit(&self, _: &Target, at: Moment) -> bool {
        at < Moment::ORIGIN + SECOND
    }
    fn may_repeat(&mut self, _: Moment) -> bool {
        panic!("a wait in vain takes nothing of the budget")
    }
    fn chance(&mut self) -> f64 {
        0.0
    }
}

#[test]
fn nobody_waits_for_a_target_that_will_rest_then() {
    let after =
        |others| RetryPolicy::STANDARD.after(&Situation { others, ..situation(Retry::SameThenNext) }, &here(), &mut Rests, Moment::ORIGIN);
    assert_eq!((after(1), after(0)), (Again::Next, Again::Stop));
}

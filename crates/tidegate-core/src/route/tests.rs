use super::*;
use crate::health::AllHealthy;

fn target(name: &str) -> Target {
    Target::new(name, name)
}

fn failed(retry: Retry) -> Failed {
    let time_left = Duration::from_secs(60);
    Failed { retry, pushback: None, time_left, least: Duration::from_secs(1) }
}

fn ask(plan: &mut RoutePlan) -> Option<Target> {
    let target = plan.take_next()?;
    plan.asked(&target);
    Some(target)
}

fn after(plan: &mut RoutePlan, retry: Retry) -> Again {
    plan.after(failed(retry), &mut AllHealthy, Moment::ORIGIN)
}

#[test]
fn a_leg_is_used_up_before_the_next_begins() {
    let mut plan = RoutePlan::new([target("a"), target("b")]).then([target("small")]).then([target("static")]);
    let mut asked = Vec::new();
    while let Some(target) = ask(&mut plan) {
        asked.push(target.model.to_string());
    }
    assert_eq!(asked, ["a", "b", "small", "static"]);
    assert!(plan.is_used_up());
}

#[test]
fn the_attempts_of_a_leg_are_counted_and_each_leg_has_its_own() {
    let mut plan = RoutePlan::new(["a", "b", "c", "d"].map(target)).then([target("small")]);
    for expected in ["a", "b", "c", "small"] {
        assert_eq!(ask(&mut plan).map(|target| target.model.to_string()).as_deref(), Some(expected));
    }
    assert_eq!(ask(&mut plan), None);
}

#[test]
fn what_fails_for_want_of_context_goes_to_larger_ones_alone() {
    let larger = Target { larger_context: true, ..target("large") };
    let mut plan = RoutePlan::new([target("a"), target("b"), larger.clone()]).then([target("small")]);
    ask(&mut plan);
    assert_eq!(after(&mut plan, Retry::LargerContext), Again::Next);
    assert_eq!(ask(&mut plan), Some(larger));
    assert_eq!(after(&mut plan, Retry::LargerContext), Again::Stop);
    assert!(plan.is_used_up());
}

#[test]
fn the_chain_follows_what_may_be_tried_again_and_nothing_that_fails_closed() {
    let chained = || RoutePlan::new([target("a")]).then([target("small")]);
    for (retry, expected) in [(Retry::NextTarget, Again::Degrade), (Retry::Never, Again::Stop), (Retry::LargerContext, Again::Stop)] {
        let mut plan = chained();
        ask(&mut plan);
        assert_eq!(after(&mut plan, retry), expected, "{retry:?}");
    }
}

#[test]
fn a_target_that_is_put_off_is_asked_last_of_its_model() {
    let mut plan = RoutePlan::new(["a", "b"].map(target)).then([target("small")]).putting_off(&target("a"));
    let asked: Vec<_> = std::iter::from_fn(|| ask(&mut plan)).map(|target| target.model.to_string()).collect();
    assert_eq!(asked, ["b", "a", "small"]);
}

#[test]
fn who_was_silent_or_wrong_is_not_asked_again_further_down_the_chain() {
    let again = Target { place: 7, ..target("a") };
    let mut plan = RoutePlan::new([target("a"), target("b")]).then([again, target("small")]);
    ask(&mut plan);
    assert_eq!(after(&mut plan, Retry::NextTarget), Again::Next);
    let rest: Vec<_> = plan.targets().map(|target| target.model.to_string()).collect();
    assert_eq!(rest, ["b", "small"]);

    let mut alone = RoutePlan::new([target("a")]).then([target("a")]);
    ask(&mut alone);
    assert_eq!(after(&mut alone, Retry::NextTarget), Again::Stop);
}

#[test]
fn a_long_pause_is_not_waited_for_where_the_chain_goes_on() {
    let pushed = |seconds| Failed { pushback: Some(Duration::from_secs(seconds)), ..failed(Retry::AfterPushback) };
    for (seconds, expected) in [(5, Again::Same(Duration::from_secs(5))), (6, Again::Degrade)] {
        let mut plan = RoutePlan::new([target("a")]).then([target("small")]);
        ask(&mut plan);
        assert_eq!(plan.after(pushed(seconds), &mut AllHealthy, Moment::ORIGIN), expected);
    }
}

mod properties;

use super::*;

fn at(millis: u64) -> Moment {
    Moment::after_origin(Duration::from_millis(millis))
}

/// Opens after 5 failures, for 30 s.
fn closed() -> Breaker {
    Breaker::new(BreakerPolicy::STANDARD)
}

/// Opened at the origin.
fn open() -> Breaker {
    let mut breaker = closed();
    fail(&mut breaker, 5, 0);
    breaker
}

fn pass(breaker: &mut Breaker, millis: u64) -> Pass {
    match breaker.ask(at(millis)) {
        Admission::Go(pass) => pass,
        refused @ Admission::Refused { .. } => panic!("{refused:?} at {millis}"),
    }
}

fn refused(reason: Refusal, until: u64) -> Admission {
    Admission::Refused { reason, until: at(until) }
}

/// So many attempts that begin and fail at once.
fn fail(breaker: &mut Breaker, times: usize, millis: u64) {
    for _ in 0..times {
        let pass = pass(breaker, millis);
        breaker.failed(pass, Vote::Failure, None, at(millis));
    }
}

#[test]
fn five_failures_in_a_row_open_it_and_four_do_not() {
    let mut breaker = closed();
    fail(&mut breaker, 4, 1_000);
    assert_eq!((breaker.state(at(1_000)), breaker.until(at(1_000))), (State::Closed, None));
    fail(&mut breaker, 1, 2_000);
    assert_eq!((breaker.state(at(2_000)), breaker.until(at(2_000))), (State::Open, Some(at(32_000))));
    assert_eq!(breaker.ask(at(31_999)), refused(Refusal::Open, 32_000));
    assert_eq!(breaker.state(at(32_000)), State::HalfOpen);
}

#[test]
fn a_success_between_failures_starts_the_run_again() {
    let mut breaker = closed();
    fail(&mut breaker, 4, 0);
    let good = pass(&mut breaker, 1);
    breaker.succeeded(good);
    fail(&mut breaker, 4, 2);
    assert_eq!(breaker.state(at(2)), State::Closed);
}

#[test]
fn a_long_stream_that_began_before_the_failures_does_not_excuse_them() {
    let mut breaker = closed();
    let long = pass(&mut breaker, 0);
    fail(&mut breaker, 4, 0);
    breaker.succeeded(long);
    fail(&mut breaker, 1, 1);
    assert_eq!(breaker.state(at(1)), State::Open);
}

#[test]
fn of_fifty_who_ask_when_it_is_half_open_one_is_the_probe() {
    let mut breaker = open();
    let answers: Vec<_> = (0..50).map(|_| breaker.ask(at(30_000))).collect();
    let probes = answers.iter().filter(|answer| matches!(answer, Admission::Go(pass) if pass.is_probe())).count();
    let others = answers.iter().filter(|answer| **answer == refused(Refusal::Probing, 60_000)).count();
    assert_eq!((probes, others), (1, 49));
    assert_eq!(breaker.state(at(30_000)), State::HalfOpen);
}

#[test]
fn a_probe_that_succeeds_lets_all_through_and_one_that_fails_opens_again() {
    let mut breaker = open();
    let probe = pass(&mut breaker, 30_000);
    breaker.failed(probe, Vote::Failure, None, at(35_000));
    assert_eq!(breaker.ask(at(64_999)), refused(Refusal::Open, 65_000));

    let probe = pass(&mut breaker, 65_000);
    breaker.succeeded(probe);
    assert_eq!(breaker.state(at(65_001)), State::Closed);
    for _ in 0..50 {
        assert!(!pass(&mut breaker, 65_001).is_probe());
    }
    fail(&mut breaker, 4, 65_002);
    assert_eq!(breaker.state(at(65_002)), State::Closed, "failures from before the probe still count");
}

#[test]
fn a_probe_whose_client_leaves_gives_its_place_back_at_once() {
    let mut breaker = open();
    let probe = pass(&mut breaker, 30_000);
    breaker.failed(probe, Vote::None, None, at(31_000));
    assert!(pass(&mut breaker, 31_000).is_probe());
    assert_eq!(breaker.ask(at(31_000)), refused(Refusal::Probing, 61_000));
}

#[test]
fn a_probe_that_is_lost_holds_its_place_for_one_cooldown() {
    let mut breaker = open();
    drop(pass(&mut breaker, 40_000));
    assert_eq!(breaker.ask(at(69_999)), refused(Refusal::Probing, 70_000));
    assert!(pass(&mut breaker, 70_000).is_probe());
}

#[test]
fn a_probe_that_lost_its_place_closes_by_success_and_leaves_a_failure_to_its_successor() {
    for succeeds in [true, false] {
        let mut breaker = open();
        let slow = pass(&mut breaker, 30_000);
        let next = pass(&mut breaker, 60_000);
        if succeeds {
            breaker.succeeded(slow);
            assert_eq!(breaker.state(at(61_000)), State::Closed);
            breaker.failed(next, Vote::Failure, None, at(62_000));
            assert_eq!(breaker.state(at(62_000)), State::Closed, "one failure is not five");
        } else {
            breaker.failed(slow, Vote::Failure, None, at(61_000));
            assert_eq!(breaker.until(at(61_000)), Some(at(90_000)));
            breaker.succeeded(next);
            assert_eq!(breaker.state(at(62_000)), State::Closed);
        }
    }
}

#[test]
fn a_probe_of_an_earlier_outage_does_not_end_a_later_one() {
    let mut breaker = open();
    let slow = pass(&mut breaker, 30_000);
    let next = pass(&mut breaker, 60_000);
    breaker.succeeded(next);
    fail(&mut breaker, 5, 61_000);
    breaker.succeeded(slow);
    assert_eq!(breaker.state(at(62_000)), State::Open);
}

#[test]
fn late_results_of_older_attempts_change_nothing_while_it_is_open_nor_after_a_probe_closed_it() {
    let mut breaker = closed();
    let mut older: Vec<_> = (0..40).map(|_| pass(&mut breaker, 0)).collect();
    fail(&mut breaker, 5, 1_000);
    breaker.succeeded(older.swap_remove(0));
    for late in older.drain(..19) {
        breaker.failed(late, Vote::Failure, None, at(20_000));
    }
    assert_eq!((breaker.state(at(20_000)), breaker.until(at(20_000))), (State::Open, Some(at(31_000))));

    let probe = pass(&mut breaker, 31_000);
    breaker.succeeded(probe);
    for late in older {
        breaker.failed(late, Vote::OpenNow, None, at(32_000));
    }
    assert_eq!(breaker.state(at(32_000)), State::Closed);
}

#[test]
fn refused_credentials_open_it_at_once() {
    let mut breaker = closed();
    let refused = pass(&mut breaker, 0);
    breaker.failed(refused, Vote::OpenNow, None, at(100));
    assert_eq!((breaker.state(at(100)), breaker.until(at(100))), (State::Open, Some(at(30_100))));
    let probe = pass(&mut breaker, 30_100);
    assert!(probe.is_probe());
    breaker.failed(probe, Vote::OpenNow, None, at(30_200));
    assert_eq!(breaker.until(at(30_200)), Some(at(60_200)));
}

#[test]
fn a_limited_target_rests_as_long_as_it_asked_and_then_takes_everybody() {
    let mut breaker = closed();
    let (first, second) = (pass(&mut breaker, 0), pass(&mut breaker, 0));
    breaker.failed(first, Vote::CoolDown, Some(Duration::from_secs(20)), at(100));
    breaker.failed(second, Vote::CoolDown, Some(Duration::from_secs(2)), at(200));
    assert_eq!(breaker.ask(at(20_099)), refused(Refusal::CoolingDown, 20_100));
    assert_eq!(breaker.state(at(20_099)), State::CoolingDown);
    assert_eq!(breaker.state(at(20_100)), State::Closed);
    for _ in 0..50 {
        assert!(!pass(&mut breaker, 20_100).is_probe());
    }
}

#[test]
fn a_limit_without_a_time_counts_nothing_and_an_absurd_one_is_bounded() {
    let mut breaker = closed();
    for _ in 0..100 {
        let limited = pass(&mut breaker, 0);
        breaker.failed(limited, Vote::CoolDown, None, at(0));
    }
    assert_eq!(breaker.state(at(0)), State::Closed);
    let limited = pass(&mut breaker, 0);
    breaker.failed(limited, Vote::CoolDown, Some(Duration::MAX), at(0));
    assert_eq!(breaker.until(at(0)), Some(Moment::ORIGIN + LONGEST_REST));
}

#[test]
fn a_probe_that_is_limited_is_followed_by_another_after_the_rest_or_a_cooldown() {
    for (retry_after, next) in [(Some(Duration::from_secs(7)), 38_000), (None, 61_000)] {
        let mut breaker = open();
        let probe = pass(&mut breaker, 30_000);
        breaker.failed(probe, Vote::CoolDown, retry_after, at(31_000));
        assert_eq!(breaker.ask(at(31_000)), refused(Refusal::Open, next), "{retry_after:?}");
        assert!(pass(&mut breaker, next).is_probe(), "{retry_after:?}");
    }
}

#[test]
fn an_open_breaker_whose_target_rests_waits_for_both() {
    let mut breaker = closed();
    let limited = pass(&mut breaker, 0);
    fail(&mut breaker, 5, 0);
    breaker.failed(limited, Vote::CoolDown, Some(Duration::from_secs(40)), at(1_000));
    assert_eq!(breaker.ask(at(2_000)), refused(Refusal::Open, 41_000));
    assert_eq!(breaker.ask(at(35_000)), refused(Refusal::CoolingDown, 41_000));
    assert!(pass(&mut breaker, 41_000).is_probe());
}

#[test]
fn a_new_policy_holds_from_the_next_failure_and_the_next_cooldown_on() {
    let mut breaker = open();
    breaker.set_policy(BreakerPolicy { failures: NonZeroU32::MIN, cooldown: Duration::from_secs(1) });
    assert_eq!(breaker.until(at(0)), Some(at(30_000)));
    let probe = pass(&mut breaker, 30_000);
    breaker.succeeded(probe);
    fail(&mut breaker, 1, 40_000);
    assert_eq!(breaker.until(at(40_000)), Some(at(41_000)));
}

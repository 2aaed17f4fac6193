use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> Moment {
    Moment::after_origin(Duration::from_millis(millis))
}

fn budget(share: f64, floor: u32) -> RetryBudget {
    RetryBudget::new(BudgetPolicy { share, floor })
}

/// How many repetitions are allowed at once.
fn repetitions(budget: &mut RetryBudget, now: Moment) -> usize {
    (0..1_000).take_while(|_| budget.may_repeat(now)).count()
}

#[test]
fn a_lone_request_has_the_floor_and_many_have_their_share_beside_it() {
    let mut budget = RetryBudget::new(BudgetPolicy::STANDARD);
    budget.request(at(0));
    assert_eq!(repetitions(&mut budget, at(0)), 10, "a fifth of a request is no repetition");
    (1..100).for_each(|_| budget.request(at(500)));
    assert_eq!(repetitions(&mut budget, at(900)), 20);
    assert!(!budget.may_repeat(at(999)));
}

#[test]
fn repetitions_are_forgotten_after_ten_to_eleven_seconds_and_requests_after_nine_to_ten() {
    let mut repeated = budget(0.0, 1);
    assert!(repeated.may_repeat(at(300)));
    assert!(!repeated.may_repeat(at(10_999)));
    assert!(repeated.may_repeat(at(11_000)));

    let requested = || {
        let mut budget = budget(1.0, 0);
        budget.request(at(300));
        budget
    };
    assert!(requested().may_repeat(at(9_999)));
    assert!(!requested().may_repeat(at(10_000)));
}

#[test]
fn a_long_pause_and_a_time_that_steps_back_do_no_harm() {
    let mut budget = budget(0.0, 2);
    assert!(budget.may_repeat(at(3_600_000)));
    assert!(budget.may_repeat(at(5)));
    assert!(!budget.may_repeat(at(3_600_000)), "the earlier one was counted in its past");
    assert_eq!(repetitions(&mut budget, Moment::FAR), 2);
}

#[test]
fn without_share_and_floor_nothing_is_repeated() {
    let mut budget = budget(0.0, 0);
    budget.request(at(0));
    assert!(!budget.may_repeat(at(0)));
}

#[test]
fn a_new_policy_holds_at_once_for_what_was_counted() {
    let mut budget = budget(0.0, 1);
    assert_eq!(repetitions(&mut budget, at(0)), 1);
    budget.set_policy(BudgetPolicy { share: 0.0, floor: 3 });
    assert_eq!(repetitions(&mut budget, at(0)), 2);
}

proptest! {
    #[test]
    fn in_the_ten_seconds_before_a_repetition_there_are_no_more_than_the_policy_says(
        share in 0.0_f64..=1.0, floor in 0_u32..5, steps in prop::collection::vec((0_u64..800, 0..4_usize, 0..4_usize), 1..100),
    ) {
        let mut budget = budget(share, floor);
        let (mut now, mut requests, mut repetitions) = (0, Vec::new(), Vec::new());
        for (wait, asked, wanted) in steps {
            now += wait;
            for _ in 0..asked {
                budget.request(at(now));
                requests.push(now);
            }
            for _ in 0..wanted {
                if !budget.may_repeat(at(now)) {
                    continue;
                }
                repetitions.push(now);
                let recent = |times: &[u64]| u32::try_from(times.iter().filter(|time| *time + 10_000 > now).count()).expect("few");
                let allowed = f64::from(floor) + share * f64::from(recent(&requests));
                prop_assert!(f64::from(recent(&repetitions)) <= allowed, "{} > {allowed}", recent(&repetitions));
            }
        }
    }

    #[test]
    fn the_floor_is_there_after_eleven_quiet_seconds_whatever_happened(
        floor in 0_u32..20, steps in prop::collection::vec((0_u64..5_000, any::<bool>()), 0..100),
    ) {
        let mut budget = budget(0.5, floor);
        let mut now = 0;
        for (wait, repeats) in steps {
            now += wait;
            if repeats {
                let _ = budget.may_repeat(at(now));
            } else {
                budget.request(at(now));
            }
        }
        prop_assert_eq!(repetitions(&mut budget, at(now + 11_000)), usize::try_from(floor).expect("small"));
    }
}

use proptest::prelude::*;

use super::*;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn the_overhead_is_taken_from_what_was_asked_and_leaves_a_floor() {
    let table = [
        (None, 90_000, 90_000),
        (Some(30_000), 90_000, 28_000),
        (Some(300_000), 90_000, 90_000),
        (Some(91_000), 90_000, 89_000),
        // The floor of one second.
        (Some(3_000), 90_000, 1_000),
        (Some(2_500), 90_000, 1_000),
        // Half of what was asked.
        (Some(1_000), 90_000, 500),
        (Some(1), 90_000, 0),
        (Some(0), 90_000, 0),
        // A total that is shorter than the floor.
        (Some(30_000), 400, 400),
    ];
    for (asked, total, expected) in table {
        let time = DeadlinePolicy::STANDARD.time_for(asked.map(millis), millis(total));
        assert_eq!(time.as_millis(), expected, "{asked:?} of {total}");
    }
}

#[test]
fn an_attempt_is_useful_from_the_least_time_on() {
    assert!(DeadlinePolicy::STANDARD.is_useful(millis(1_000)));
    assert!(!DeadlinePolicy::STANDARD.is_useful(millis(999)));
}

fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![(0_u64..10_000).prop_map(millis), (0_u64..1_000_000).prop_map(millis), any::<Duration>()]
}

proptest! {
    #[test]
    fn nobody_gets_more_than_was_asked_or_than_the_total(overhead in times(), asked in times(), total in times()) {
        let policy = DeadlinePolicy { overhead, ..DeadlinePolicy::STANDARD };
        let time = policy.time_for(Some(asked), total);
        prop_assert!(time <= asked && time <= total);
        prop_assert!(time >= (asked / 2).min(FLOOR).min(total));
        prop_assert!(time <= policy.time_for(None, total));
    }

    #[test]
    fn who_asks_for_more_gets_no_less(overhead in times(), asked in times(), more in times(), total in times()) {
        let policy = DeadlinePolicy { overhead, ..DeadlinePolicy::STANDARD };
        let more = asked.saturating_add(more);
        prop_assert!(policy.time_for(Some(asked), total) <= policy.time_for(Some(more), total));
    }
}

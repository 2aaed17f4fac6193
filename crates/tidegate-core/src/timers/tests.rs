use std::time::Duration;

use super::*;

fn at(millis: u64) -> Moment {
    Moment::after_origin(Duration::from_millis(millis))
}

#[test]
fn the_limit_that_ran_out_first_is_told_whatever_the_order_of_setting() {
    use TimeoutKind::{Connect, FirstByte, Idle, Total};
    type Row = (&'static [(TimeoutKind, u64)], u64, Option<TimeoutKind>);
    let table: &[Row] = &[
        (&[], 1_000, None),
        (&[(Idle, 15)], 14, None),
        (&[(Idle, 15)], 15, Some(Idle)),
        (&[(Idle, 15), (Total, 10)], 20, Some(Total)),
        (&[(Total, 10), (Idle, 15)], 20, Some(Total)),
        (&[(Total, 20), (Idle, 15)], 30, Some(Idle)),
        (&[(Total, 5), (FirstByte, 5), (Connect, 5)], 5, Some(Total)),
        (&[(FirstByte, 5), (Connect, 5)], 5, Some(Connect)),
    ];
    for (limits, now, expected) in table {
        let mut timers = TimerTable::default();
        for (kind, until) in *limits {
            timers.set(*kind, at(*until));
        }
        assert_eq!(timers.expired(at(*now)), *expected, "{limits:?} at {now}");
    }
}

#[test]
fn a_new_attempt_keeps_the_streams_own_limit_and_no_other() {
    let mut timers = TimerTable::default();
    for kind in TimeoutKind::ALL {
        timers.set(kind, at(7));
    }
    timers.stop_attempt();
    assert_eq!(timers.next(), Some((at(7), TimeoutKind::Total)));
    timers.stop(TimeoutKind::Total);
    assert_eq!(timers.next(), None);
}

#[test]
fn every_limit_but_those_that_only_wait_has_a_failure_of_its_own_kind() {
    let without: Vec<_> = TimeoutKind::ALL.into_iter().filter(|kind| kind.failure().is_none()).collect();
    assert_eq!(without, [TimeoutKind::Backoff, TimeoutKind::RateWindow, TimeoutKind::Refusal, TimeoutKind::Tail]);
}

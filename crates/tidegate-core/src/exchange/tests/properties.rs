//! What no order of calls can break.

use proptest::prelude::*;

use super::*;

/// One call of the shell, in any state.
#[derive(Debug, Clone)]
enum Call {
    BeginAttempt,
    Reached(Phase),
    Event(EventFacts),
    BodyEnded(BodyEnd),
    Failed(Failure),
    Abandoned,
    Due { client_takes: bool },
    Wrote,
}

fn call() -> impl Strategy<Value = Call> {
    let kinds = [EventKind::Lifecycle, EventKind::Output, EventKind::Usage, EventKind::Completion, EventKind::Error, EventKind::Other];
    let event = (prop::sample::select(kinds.to_vec()), any::<[bool; 3]>(), prop::option::weighted(0.1, failure())).prop_map(
        |(kind, [proves_end, is_last, for_gateway_only], failure)| {
            Call::Event(EventFacts { proves_end, is_last: is_last && proves_end, for_gateway_only, failure, ..EventFacts::of(kind) })
        },
    );
    prop_oneof![
        3 => Just(Call::BeginAttempt),
        3 => prop::sample::select(vec![Phase::Connecting, Phase::Connected, Phase::Sent]).prop_map(Call::Reached),
        8 => event,
        1 => prop::sample::select(vec![BodyEnd::Clean, BodyEnd::Broken]).prop_map(Call::BodyEnded),
        3 => failure().prop_map(Call::Failed),
        1 => Just(Call::Abandoned),
        4 => any::<bool>().prop_map(|client_takes| Call::Due { client_takes }),
        2 => Just(Call::Wrote),
    ]
}

fn failure() -> impl Strategy<Value = Failure> {
    prop::sample::select(Failure::ALL.to_vec())
}

fn modes() -> impl Strategy<Value = DeliveryMode> {
    prop::sample::select(vec![DeliveryMode::Stream, DeliveryMode::Coherent, DeliveryMode::Buffered])
}

proptest! {
    #[test]
    fn the_line_is_crossed_once_and_the_first_ending_stays(
        mode in modes(), calls in prop::collection::vec((call(), 0_u64..20_000), 0..40),
    ) {
        let mut exchange = exchange(mode, &["a", "b", "c"]);
        let (mut now, mut was_committed, mut ending, mut commits) = (0, false, None, 0);
        for (call, wait) in calls {
            now += wait;
            let attempts = exchange.tally().attempts.len();
            match call {
                Call::BeginAttempt => drop(exchange.begin_attempt(at(now), &mut AllHealthy)),
                Call::Reached(phase) => exchange.reached(phase, at(now)),
                Call::Event(facts) if ending.is_none() => commits += u32::from(exchange.event(&facts, at(now)) == Verdict::Commit),
                Call::BodyEnded(end) if ending.is_none() => drop(exchange.body_ended(end, at(now))),
                Call::Failed(failure) => drop(exchange.failed(failure, None, at(now), &mut AllHealthy)),
                Call::Abandoned => drop(exchange.abandoned(Failure::ClientGone, at(now))),
                Call::Due { client_takes } if ending.is_none() => {
                    let due = exchange.due(at(now), client_takes);
                    prop_assert!(due != Due::Nothing || exchange.wake_at(client_takes) > at(now), "it would never sleep");
                }
                Call::Wrote => exchange.wrote(at(now)),
                // An ended stream has no provider and no timer.
                Call::Event(_) | Call::BodyEnded(_) | Call::Due { .. } => {}
            }
            if was_committed || ending.is_some() {
                prop_assert_eq!(exchange.tally().attempts.len(), attempts, "another target after the line");
            }
            prop_assert!(ending.is_none() || exchange.ending() == ending, "the ending changed");
            prop_assert!(!was_committed || exchange.is_committed(), "the line was crossed backwards");
            was_committed = exchange.is_committed();
            ending = exchange.ending();
        }
        prop_assert!(commits <= u32::from(mode == DeliveryMode::Stream));
    }
}

//! What holds for every script, in every mode.

use proptest::prelude::*;
use tidegate_core::record::Status;

use super::*;

/// A step that one provider may do. Its texts carry its name, so that the client's view tells whose they are.
fn step(name: char) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0_u32..20_000).prop_map(|millis| format!("{millis}ms")),
        4 => Just(format!("'{name}'")),
        1 => Just(format!("reasoning '{name}'")),
        1 => prop::sample::select(vec!["role", "head", "comment", "blank", "usage", "finish", "done", "malformed", "error 'no'", "burst", "bytes 3"])
            .prop_map(str::to_owned),
        1 => (1_u32..40, 0_u32..9_000).prop_map(move |(times, millis)| format!("repeat {times} ({millis}ms '{name}')")),
    ]
}

fn ending() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["end", "end", "eof", "half", "cut", "stall"])
}

fn script(name: char) -> impl Strategy<Value = String> {
    let answers = (prop::collection::vec(step(name), 0..6), ending()).prop_map(|(steps, ending)| format!("{} {ending}", steps.join(" ")));
    let instead =
        (0_u32..20_000, prop::sample::select(vec!["refuse", "status 503", "status 429", "status 400", "answer 200 'text/html' 'x'"]))
            .prop_map(|(millis, ending)| format!("{millis}ms {ending}"));
    prop_oneof![3 => answers, 1 => instead].prop_map(move |script| format!("{name}: {script}"))
}

fn scenarios() -> impl Strategy<Value = String> {
    (script('a'), script('b'), script('c'), 1_usize..4).prop_map(|(a, b, c, count)| [a, b, c][..count].join("; "))
}

fn modes() -> impl Strategy<Value = DeliveryMode> {
    prop::sample::select(vec![Stream, Coherent, Buffered])
}

fn profiles() -> impl Strategy<Value = TimeoutProfile> {
    prop::sample::select(vec![TimeoutProfile::SMALL, TimeoutProfile::MID, TimeoutProfile::THINKING, TimeoutProfile::STANDARD])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_stream_ends_in_time_with_one_target_and_one_honest_ending(
        text in scenarios(), mode in modes(), profile in profiles(), early_head in any::<bool>(), leaves in prop::option::of(0_u64..100_000),
    ) {
        let scenario = scenario(&text);
        let mut simulation = Simulation::new(&scenario, mode).limits(Limits::with_profile(profile));
        if early_head {
            simulation = simulation.early_head();
        }
        if let Some(millis) = leaves {
            simulation = simulation.client_leaves_after(Duration::from_millis(millis));
        }
        let Simulated { view, exchange, .. } = simulation.run();
        let ending = exchange.ending().expect("it ended");

        prop_assert!(view.ended <= profile.total + Duration::from_millis(1), "{view}");

        let shown: String = view.pieces.iter().filter_map(|piece| match &piece.what {
            Seen::Text(text) | Seen::Reasoning(text) | Seen::Whole(text) | Seen::Refusal(text) => Some(text.as_str()),
            Seen::Other(_) | Seen::Restart | Seen::Keepalive | Seen::Comment => None,
        }).collect();
        let last = exchange.tally().attempts.last().expect("an attempt");
        prop_assert!(shown.chars().all(|name| name.to_string() == *last.target.provider), "{view}");

        let partial = view.has_output() && view.ending != Ending::Completed;
        match &view.ending {
            Ending::Completed => prop_assert_eq!(ending.status, Status::Completed),
            Ending::Error { code, partial: told } => {
                prop_assert_eq!((*told, ending.is_partial()), (partial, partial), "{}", view);
                prop_assert_eq!(Some(code.as_str()), ending.failure.map(Failure::code));
            }
            Ending::Http { code } => {
                prop_assert!(!partial && ending.status == Status::FailedBeforeOutput, "{view}");
                prop_assert_eq!(Some(code.as_str()), ending.failure.map(Failure::code));
            }
            Ending::Left => prop_assert_eq!(ending.status, if partial { Status::CancelledAfterOutput } else { Status::CancelledBeforeOutput }),
            Ending::Broken => prop_assert!(mode == Buffered && early_head && !partial, "{view}"),
            Ending::Unexplained => prop_assert!(false, "{view}"),
        }
        prop_assert_eq!(ending.status == Status::Completed, view.ending == Ending::Completed, "{}", view);
    }

    #[test]
    fn a_client_waits_no_longer_than_a_keepalive_once_it_has_its_head(text in scenarios(), mode in modes()) {
        let scenario = scenario(&text);
        let Simulated { view, .. } = Simulation::new(&scenario, mode).early_head().run();
        prop_assert!(view.longest_silence <= Duration::from_secs(10), "{view}");
    }
}

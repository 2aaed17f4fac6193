//! What no order of attempts and outcomes can break.

use proptest::prelude::*;

use super::*;

/// One thing that happens to a breaker.
#[derive(Debug, Clone)]
enum Step {
    Wait(Duration),
    Ask,
    /// The outcomes of one of the passes that are out.
    Succeed(prop::sample::Index),
    Fail(prop::sample::Index, Vote, Option<Duration>),
    Lose(prop::sample::Index),
}

const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(90);

fn steps(votes: &[Vote]) -> impl Strategy<Value = Vec<Step>> {
    let millis = |most: Duration| (0..=u64::try_from(most.as_millis()).expect("short")).prop_map(Duration::from_millis);
    let votes = prop::sample::select(votes.to_vec());
    let step = prop_oneof![
        2 => millis(Duration::from_secs(40)).prop_map(Step::Wait),
        4 => Just(Step::Ask),
        1 => any::<prop::sample::Index>().prop_map(Step::Succeed),
        4 => (any::<prop::sample::Index>(), votes, prop::option::of(millis(LONGEST_RETRY_AFTER)))
            .prop_map(|(index, vote, retry_after)| Step::Fail(index, vote, retry_after)),
        1 => any::<prop::sample::Index>().prop_map(Step::Lose),
    ];
    prop::collection::vec(step, 0..80)
}

/// A breaker, the passes that are out, and the time.
struct World {
    breaker: Breaker,
    out: Vec<Pass>,
    now: Moment,
}

impl World {
    fn new() -> Self {
        let policy = BreakerPolicy { failures: NonZeroU32::MIN.saturating_add(1), ..BreakerPolicy::STANDARD };
        Self { breaker: Breaker::new(policy), out: Vec::new(), now: Moment::ORIGIN }
    }

    /// Takes the step, and says what was answered if it asked.
    fn step(&mut self, step: &Step) -> Option<Result<(), (Refusal, Moment)>> {
        match step {
            Step::Wait(time) => self.now = self.now + *time,
            Step::Ask => match self.breaker.ask(self.now) {
                Admission::Go(pass) => {
                    self.out.push(pass);
                    return Some(Ok(()));
                }
                Admission::Refused { reason, until } => return Some(Err((reason, until))),
            },
            // Without a pass that is out there is no outcome.
            _ if self.out.is_empty() => {}
            Step::Succeed(index) => {
                let pass = self.out.swap_remove(index.index(self.out.len()));
                self.breaker.succeeded(pass);
            }
            Step::Fail(index, vote, retry_after) => {
                let pass = self.out.swap_remove(index.index(self.out.len()));
                self.breaker.failed(pass, *vote, *retry_after, self.now);
            }
            Step::Lose(index) => drop(self.out.swap_remove(index.index(self.out.len()))),
        }
        None
    }
}

const ALL_VOTES: [Vote; 4] = [Vote::None, Vote::Failure, Vote::OpenNow, Vote::CoolDown];

proptest! {
    #[test]
    fn there_is_one_probe_at_a_time_and_nobody_beside_it(steps in steps(&ALL_VOTES)) {
        let mut world = World::new();
        let mut last_probe = None;
        for step in steps {
            let asked = world.step(&step);
            let Some(Ok(())) = asked else { continue };
            let cooldown_ago = world.now - BreakerPolicy::STANDARD.cooldown;
            if let Some((probe, given)) = last_probe.filter(|(_, given)| *given > cooldown_ago) {
                let is_out = world.out.iter().any(|pass| pass.given == probe);
                let closed_by_an_older_one = world.out.last().is_some_and(|pass| !pass.is_probe);
                prop_assert!(!is_out || closed_by_an_older_one, "a second probe while that of {given:?} is out");
            }
            if let Some(probe) = world.out.last().filter(|pass| pass.is_probe) {
                last_probe = Some((probe.given, world.now));
            }
        }
    }

    #[test]
    fn attempts_that_say_nothing_about_the_target_never_close_the_way(steps in steps(&[Vote::None])) {
        let mut world = World::new();
        for step in steps {
            let asked = world.step(&step);
            prop_assert!(asked.is_none_or(|answer| answer.is_ok()));
            prop_assert_eq!(world.breaker.state(world.now), State::Closed);
        }
    }

    #[test]
    fn after_a_cooldown_and_the_longest_rest_an_attempt_may_start(steps in steps(&ALL_VOTES)) {
        let mut world = World::new();
        for step in steps {
            world.step(&step);
        }
        world.now = world.now + BreakerPolicy::STANDARD.cooldown.max(LONGEST_RETRY_AFTER);
        let state = world.breaker.state(world.now);
        let Admission::Go(pass) = world.breaker.ask(world.now) else { panic!("refused in {state:?}") };
        prop_assert_eq!(state, if pass.is_probe() { State::HalfOpen } else { State::Closed });
    }

    #[test]
    fn a_refusal_tells_exactly_until_when(steps in steps(&ALL_VOTES)) {
        let mut world = World::new();
        for step in steps {
            if let Some(Err((reason, until))) = world.step(&step) {
                prop_assert!(until > world.now);
                prop_assert_eq!(world.breaker.until(until - Duration::from_nanos(1)), Some(until), "{:?}", reason);
                prop_assert_eq!(world.breaker.until(until), None);
            }
        }
    }

    #[test]
    fn between_two_probes_that_say_something_lies_a_cooldown(steps in steps(&[Vote::Failure, Vote::OpenNow])) {
        let mut world = World::new();
        let mut last_probe = None;
        for step in steps {
            if matches!(step, Step::Succeed(_)) {
                continue;
            }
            let asked = world.step(&step);
            if asked == Some(Ok(())) && world.out.last().is_some_and(Pass::is_probe) {
                let waited = last_probe.is_none_or(|last| world.now.since(last) >= BreakerPolicy::STANDARD.cooldown);
                prop_assert!(waited, "{last_probe:?} and {:?}", world.now);
                last_probe = Some(world.now);
            }
        }
    }
}

use tidegate_core::health::SkipReason;

use super::*;

fn provider() -> Arc<str> {
    "p".into()
}

fn open(standing: &Arc<Standing>, clock: Clock) {
    for _ in 0..5 {
        standing.admit(clock, Moment::ORIGIN).expect("it stands well").failed(Failure::UpstreamError, Vote::Failure, None, Moment::ORIGIN);
    }
}

#[test]
fn a_target_stands_for_itself_alone() {
    let (standings, clock) = (Standings::default(), Clock::start());
    open(&standings.of(&provider(), "a", BreakerPolicy::STANDARD), clock);
    let refused = standings.of(&provider(), "a", BreakerPolicy::STANDARD).admit(clock, Moment::ORIGIN);
    assert_eq!(refused.map(drop).map_err(|skip| skip.reason), Err(SkipReason::BreakerOpen));
    assert!(standings.of(&provider(), "b", BreakerPolicy::STANDARD).admit(clock, Moment::ORIGIN).is_ok());
}

#[test]
fn of_fifty_at_the_half_open_moment_one_is_admitted_and_its_first_output_lets_all_in() {
    let (standings, clock) = (Standings::default(), Clock::start());
    let standing = standings.of(&provider(), "a", BreakerPolicy::STANDARD);
    open(&standing, clock);
    let later = Moment::ORIGIN + BreakerPolicy::STANDARD.cooldown;
    let mut admitted: Vec<Ticket> = (0..50).filter_map(|_| standing.admit(clock, later).ok()).collect();
    assert_eq!(admitted.len(), 1);
    admitted[0].first_output(later);
    assert!((0..50).all(|_| standing.admit(clock, later).is_ok()));
}

#[test]
fn a_client_that_leaves_says_nothing_about_the_target() {
    let (standings, clock) = (Standings::default(), Clock::start());
    let standing = standings.of(&provider(), "a", BreakerPolicy::STANDARD);
    for _ in 0..50 {
        drop(standing.admit(clock, Moment::ORIGIN).expect("it stands well"));
    }
    assert_eq!(standing.load(Moment::ORIGIN), Load::default());
    assert_eq!(standing.snapshot(Moment::ORIGIN).state, State::Closed);
}

#[test]
fn names_without_end_share_one_standing() {
    let standings = Standings::default();
    for n in 0..MAX_TARGETS + 100 {
        let _ = standings.of(&provider(), &n.to_string(), BreakerPolicy::STANDARD);
    }
    assert_eq!(standings.snapshot(Moment::ORIGIN).len(), MAX_TARGETS + 1);
}

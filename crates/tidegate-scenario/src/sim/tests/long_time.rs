//! Simulated time costs nothing: what would take years to watch is played in a moment.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_hundred_thousand_hours_of_streams_are_played() {
    let scenario = scenario("a: 24h role 24h cut; b: repeat 400 (24h 'x') end");
    let profile = TimeoutProfile { first_byte: 25 * HOUR, idle: 25 * HOUR, total: 10_000 * HOUR, ..TimeoutProfile::STANDARD };
    let limits = Limits { keepalive: 6 * HOUR, ..Limits::with_profile(profile) };
    let mut simulated = Duration::ZERO;
    for mode in ALL_MODES.iter().cycle().take(12) {
        let view = Simulation::new(&scenario, *mode).limits(limits).early_head().run().view;
        assert_eq!((&view.ending, view.text()), (&Ending::Completed, "x".repeat(400)), "{mode:?}");
        assert!(view.longest_silence <= 6 * HOUR, "{mode:?}");
        simulated += view.ended;
    }
    assert_eq!(simulated, 12 * 9_648 * HOUR);
    assert!(simulated > 100_000 * HOUR);
}

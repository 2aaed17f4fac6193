//! Clients that do not wait for the end.

use super::*;

fn left_after(text: &str, mode: DeliveryMode, seconds: u64) -> String {
    let scenario = scenario(text);
    let Simulated { view, exchange, .. } = Simulation::new(&scenario, mode).client_leaves_after(Duration::from_secs(seconds)).run();
    let status = exchange.ending().map_or("none", |ending| ending.status.name());
    format!("{view}; {status}, {} attempts", exchange.tally().attempts.len())
}

#[test]
fn a_client_that_leaves_ends_its_stream_and_nobody_else_is_asked() {
    expect!["left at 2s; cancelled_before_output, 1 attempts"].assert_eq(&left_after("a: stall; b: 'WRONG' end", Stream, 2));
    expect!["200 at 5s: 10s keepalive 5s | left; cancelled_before_output, 1 attempts"].assert_eq(&left_after(
        "a: stall; b: 'WRONG' end",
        Stream,
        20,
    ));
    expect!["200 at 1s: 'hel' 1s | left; cancelled_after_output, 1 attempts"].assert_eq(&left_after(
        "a: 1s 'hel' stall; b: 'WRONG' end",
        Stream,
        2,
    ));
    expect!["left at 2s; cancelled_before_output, 1 attempts"].assert_eq(&left_after("a: 1s 'hel' stall; b: 'WRONG' end", Coherent, 2));
    expect!["200 at 1s: 'hel' | completed; completed, 1 attempts"].assert_eq(&left_after("a: 1s 'hel' end", Stream, 2));
}

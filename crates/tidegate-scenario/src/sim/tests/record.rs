//! What the gateway noted on the way.

use super::*;

/// One line for each attempt: who, when, what became of it and why.
fn attempts(text: &str, mode: DeliveryMode) -> String {
    let exchange = Simulation::new(&scenario(text), mode).run().exchange;
    let mut lines = String::new();
    for attempt in &exchange.tally().attempts {
        let fate = attempt.fate.as_ref().expect("a fate");
        let since = |moment: Option<Moment>| moment.map(|moment| moment.millis_since(Moment::ORIGIN));
        let (started, ended) = (since(Some(attempt.started)).expect("a start"), since(attempt.ended).expect("an end"));
        let (event, output) = (since(attempt.first_event), since(attempt.first_output));
        lines += &format!(
            "{} {started}..{ended} event {event:?} output {output:?} {} {}: {}\n",
            attempt.target.provider,
            fate.outcome.name(),
            fate.decision.name(),
            fate.reason
        );
    }
    lines
}

#[test]
fn each_attempt_has_its_times_its_fate_and_its_reason() {
    expect![[r#"
        a 0..1000 event None output None failed next_target: no connection to the provider could be made before output: the next target may answer
        b 1000..17000 event Some(1000) output Some(2000) failed next_target: the model stopped answering before output: the next target may answer
        c 17000..17500 event Some(17500) output Some(17500) used deliver: the end was proved without its marker
    "#]].assert_eq(&attempts("a: 1s refuse; b: role 1s 'WRONG' stall; c: 500ms 'hel' finish eof", Coherent));
    expect![[r#"
        a 0..1000 event None output None failed next_target: the provider reported an error before output: the next target may answer
        b 1000..3000 event Some(2000) output Some(2000) failed fail: the provider's stream ended before the answer was complete after output: nothing may follow output
    "#]].assert_eq(&attempts("a: 1s status 503; b: 1s 'hel' 1s cut; c: 'WRONG' end", Stream));
    expect![[r#"
        a 0..1000 event None output None failed fail: the provider refused the gateway's own credentials; its operator has to act before output: fails closed
    "#]].assert_eq(&attempts("a: 1s status 401; b: 'WRONG' end", Stream));
}

#[test]
fn only_the_events_of_the_last_attempt_are_counted() {
    let exchange =
        Simulation::new(&scenario("a: role 5 x 'x' 2 x (1s 'x') malformed; b: 'hel' 3s 'lo' comment end"), Coherent).run().exchange;
    let tally = exchange.tally();
    expect![[r#"
        EventCounts {
            lifecycle: 1,
            output: 2,
            usage: 1,
            completion: 1,
            error: 0,
            other: 1,
            keepalive: 0,
        }
    "#]]
    .assert_debug_eq(&tally.events);
    assert_eq!(tally.max_gap, Some(Duration::from_secs(3)));
}

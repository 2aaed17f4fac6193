//! A client that agreed to it has half an answer begun again.

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check_restarts(text: &str, expected: Expect) {
    let Simulated { view, exchange, before } = Simulation::new(&scenario(text), Stream).restarts(2).run();
    let all: Vec<_> = before.iter().chain([&exchange]).map(decisions).collect();
    expected.assert_eq(&format!("{view}; {}", all.join(" / ")));
}

#[test]
fn half_an_answer_begins_again_from_its_start() {
    check_restarts(
        "a: 'WR' 1s 'ON' cut | 'hel' 1s 'lo' end",
        expect!["200 at 0s: 'WR' 1s 'ON' restart 'hel' 1s 'lo' | completed; a fail / a deliver"],
    );
}

#[test]
fn it_begins_again_at_another_target_first() {
    check_restarts("a: 'WRONG' cut; b: 'hel' end", expect!["200 at 0s: 'WRONG' restart 'hel' | completed; a fail / b deliver"]);
    check_restarts(
        "a: 'WRONG' stall; b: 'hel' end",
        expect!["200 at 0s: 'WRONG' 10s keepalive 5s restart 'hel' | completed; a fail / b deliver"],
    );
    check_restarts(
        "a: 'WRONG' cut | 'hel' end; b: stall",
        expect!["200 at 0s: 'WRONG' restart 10s keepalive 10s keepalive 10s 'hel' | completed; a fail / b next_target, a deliver"],
    );
    check_restarts(
        "a: 'WRONG' cut | 'hel' end; b: 1s 'WRONG' malformed",
        expect!["200 at 0s: 'WRONG' restart 1s 'WRONG' restart 'hel' | completed; a fail / b fail / a deliver"],
    );
}

#[test]
fn it_begins_again_no_more_than_was_agreed() {
    check_restarts(
        "a: 'x' 1s cut",
        expect!["200 at 0s: 'x' 1s restart 'x' 1s restart 'x' 1s | error upstream_cut partial; a fail / a fail / a fail"],
    );
}

#[test]
fn what_fails_closed_or_was_never_seen_does_not_begin_again() {
    check_restarts(
        r#"a: 'x' data '{"error":{"code":"content_filter"}}' | 'WRONG' end"#,
        expect!["200 at 0s: 'x' | error content_blocked partial; a fail"],
    );
    check_restarts("a: role cut | 'WRONG' end", expect!["502 upstream_cut at 0s; a fail"]);
}

#[test]
fn all_of_it_shares_one_deadline() {
    check_restarts(
        "a: 17 x ('x' 10s) cut | 5s 'y' stall",
        expect![
            "200 at 0s: 'x' 10s 'x' 10s 'x' 10s 'x' 10s 'x' 10s 'x' 10s 'x' 10s 'x' 10s 'x' 10s 'x' 10s 'x' 10s 'x' 10s 'x' 10s 'x' 10s 'x' 10s 'x' 10s 'x' 10s restart 5s 'y' 5s | error deadline_exceeded partial; a fail / a fail"
        ],
    );
    check_restarts(
        "a: 18 x ('x' 9950ms) 500ms cut | 'WRONG' end",
        expect![
            "200 at 0s: 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 9950ms 'x' 10s keepalive 450ms | error upstream_cut partial; a fail"
        ],
    );
}

//! When the status line goes out, and how a silent stream is kept alive.

use super::*;

#[test]
fn the_head_goes_out_with_the_first_output_or_after_its_time() {
    check_all(
        &["a: 4999ms 'hel' end", "a: 5s 'hel' end", "a: 5001ms 'hel' end", "a: role 6s 'hel' end"],
        &[Stream],
        expect![[r#"
        a: 4999ms 'hel' end
            stream   200 at 4999ms: 'hel' | completed
        a: 5s 'hel' end
            stream   200 at 5s: 'hel' | completed
        a: 5001ms 'hel' end
            stream   200 at 5s: 1ms 'hel' | completed
        a: role 6s 'hel' end
            stream   200 at 5s: 1s 'hel' | completed
    "#]],
    );
}

#[test]
fn the_first_keepalive_comes_a_whole_interval_after_the_head() {
    check("a: 29s 'hel' end", Stream, expect!["200 at 5s: 10s keepalive 10s keepalive 4s 'hel' | completed"]);
    let view = Simulation::new(&scenario("a: 29s 'hel' end"), Stream).run().view;
    assert_eq!(view.keepalives(), [Duration::from_secs(15), Duration::from_secs(25)]);
}

#[test]
fn what_goes_to_the_client_puts_the_keepalive_off() {
    check_all(
        &["a: 'hel' 9s 'x' 9s 'lo' end", "a: 'hel' 12s 'x' 9s 'lo' end", "a: 'hel' 6s comment 8s 'lo' end"],
        &[Stream],
        expect![[r#"
            a: 'hel' 9s 'x' 9s 'lo' end
                stream   200 at 0s: 'hel' 9s 'x' 9s 'lo' | completed
            a: 'hel' 12s 'x' 9s 'lo' end
                stream   200 at 0s: 'hel' 10s keepalive 2s 'x' 9s 'lo' | completed
            a: 'hel' 6s comment 8s 'lo' end
                stream   200 at 0s: 'hel' 6s comment 8s 'lo' | completed
        "#]],
    );
}

#[test]
fn a_failover_does_not_put_the_keepalive_off() {
    check(
        "a: 14s cut; b: 14s cut; c: 14s 'hel' end",
        Stream,
        expect!["200 at 5s: 10s keepalive 10s keepalive 10s keepalive 7s 'hel' | completed"],
    );
    check(
        "a: 'hel' 14s cut; b: 'hel' 14s cut; c: 'hel' 14s end",
        Coherent,
        expect!["200 at 5s: 10s keepalive 10s keepalive 10s keepalive 7s 'hel' | completed"],
    );
}

#[test]
fn an_answer_that_is_held_back_is_kept_alive() {
    check(
        "a: 40 x ('x' 1s) end",
        Coherent,
        expect![
            "200 at 5s: 10s keepalive 10s keepalive 10s keepalive 5s 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' 'x' | completed"
        ],
    );
    let scenario = scenario("a: 40 x ('x' 1s) end");
    expect!["200 at 5s: 10s keepalive 10s keepalive 10s keepalive 5s whole 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' | completed"]
        .assert_eq(&Simulation::new(&scenario, Buffered).early_head().run().view.to_string());
    expect!["200 at 40s: whole 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' | completed"]
        .assert_eq(&Simulation::new(&scenario, Buffered).run().view.to_string());
}

#[test]
fn nothing_keeps_an_answer_alive_that_has_ended() {
    check("a: 'hel' cut; b: 60s 'WRONG' end", Stream, expect!["200 at 0s: 'hel' | error upstream_cut partial"]);
}

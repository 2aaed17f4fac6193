//! What runs out, and what does not put it off.

use super::*;

#[test]
fn silence_before_the_first_event_ends_at_the_first_byte_limit() {
    check_all(
        &["a: stall", "a: head stall", "a: 100 x (1s comment) stall"],
        &[Stream],
        expect![[r#"
        a: stall
            stream   200 at 5s: 10s keepalive 10s keepalive 5s | error first_byte_timeout
        a: head stall
            stream   200 at 5s: 10s keepalive 10s keepalive 5s | error first_byte_timeout
        a: 100 x (1s comment) stall
            stream   200 at 5s: 10s keepalive 10s keepalive 5s | error first_byte_timeout
    "#]],
    );
}

#[test]
fn silence_after_an_event_ends_at_the_idle_limit() {
    check_all(
        &["a: role stall", "a: 29s role stall", "a: 'hel' 14s 'lo' stall"],
        &[Stream],
        expect![[r#"
        a: role stall
            stream   200 at 5s: 10s | error idle_timeout
        a: 29s role stall
            stream   200 at 5s: 10s keepalive 10s keepalive 10s keepalive 9s | error idle_timeout
        a: 'hel' 14s 'lo' stall
            stream   200 at 0s: 'hel' 10s keepalive 4s 'lo' 10s keepalive 5s | error idle_timeout partial
    "#]],
    );
}

#[test]
fn comments_and_blank_lines_and_empty_deltas_are_no_progress() {
    check_all(
        &[
            "a: 'hel' 3 x (6s comment) end",
            "a: 'hel' 3 x (6s blank) end",
            "a: 'hel' 3 x (6s role) end",
            "a: role 3 x (6s role) 'hel' end",
            "a: 'hel' 3 x (6s 'x') end",
        ],
        &[Stream],
        expect![[r#"
            a: 'hel' 3 x (6s comment) end
                stream   200 at 0s: 'hel' 6s comment 6s comment 3s | error idle_timeout partial
            a: 'hel' 3 x (6s blank) end
                stream   200 at 0s: 'hel' 6s comment 6s comment 3s | error idle_timeout partial
            a: 'hel' 3 x (6s role) end
                stream   200 at 0s: 'hel' 15s | error idle_timeout partial
            a: role 3 x (6s role) 'hel' end
                stream   200 at 5s: 10s | error idle_timeout
            a: 'hel' 3 x (6s 'x') end
                stream   200 at 0s: 'hel' 6s 'x' 6s 'x' 6s 'x' | completed
        "#]],
    );
}

#[test]
fn a_drip_ends_at_the_total_whatever_it_shows() {
    let scenario = scenario("a: repeat 1000 (1s 'x') end");
    for mode in [Stream, Coherent, Buffered] {
        let view = Simulation::new(&scenario, mode).run().view;
        assert_eq!(view.ended, Duration::from_secs(180), "{mode:?}");
    }
}

#[test]
fn of_total_and_idle_at_one_moment_the_total_is_told() {
    let scenario = scenario("a: 1s 'hel' stall");
    let view = |idle, total| Simulation::new(&scenario, Stream).limits(limits_of(idle, total)).run().view.to_string();
    expect!["200 at 1s: 'hel' 10s keepalive 5s | error deadline_exceeded partial"].assert_eq(&view(15, 16));
    expect!["200 at 1s: 'hel' 10s keepalive 4s | error idle_timeout partial"].assert_eq(&view(14, 16));
    expect!["200 at 1s: 'hel' 10s keepalive 5s | error deadline_exceeded partial"].assert_eq(&view(16, 16));
}

#[test]
fn an_event_at_the_very_moment_of_its_limit_is_in_time() {
    check("a: 'hel' 15s 'lo' end", Stream, expect!["200 at 0s: 'hel' 10s keepalive 5s 'lo' | completed"]);
}

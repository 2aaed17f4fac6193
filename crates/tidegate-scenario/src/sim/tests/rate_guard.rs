//! Slow but alive: an answer that begins too slowly is replaced while nobody has seen it.

use tidegate_core::limits::RateGuard;

use super::*;

/// A guard that asks for ten bytes a second and measures for two seconds.
fn guarded() -> Limits {
    let rate_guard = Some(RateGuard { bytes_per_second: 10, window: Duration::from_secs(2) });
    Limits { rate_guard, ..Limits::with_profile(TimeoutProfile::STANDARD) }
}

#[test]
fn an_answer_at_its_rate_is_held_until_it_has_the_text_of_a_window_and_then_flows() {
    check_decisions(
        guarded(),
        &["a: 1s 20 x ('four' 200ms) end; b: 'WRONG' end", "a: 1s 'a whole answer in one piece' end; b: 'WRONG' end"],
        &[Stream],
        expect![[r#"
            a: 1s 20 x ('four' 200ms) end; b: 'WRONG' end
                stream   200 at 1800ms: 'four' 'four' 'four' 'four' 'four' 200ms 'four' 200ms 'four' 200ms 'four' 200ms 'four' 200ms 'four' 200ms 'four' 200ms 'four' 200ms 'four' 200ms 'four' 200ms 'four' 200ms 'four' 200ms 'four' 200ms 'four' 200ms 'four' 200ms 'four' 200ms | completed; a deliver
            a: 1s 'a whole answer in one piece' end; b: 'WRONG' end
                stream   200 at 1s: 'a whole answer in one piece' | completed; a deliver
        "#]],
    );
}

#[test]
fn an_answer_below_its_rate_is_replaced_unseen() {
    check_decisions(
        guarded(),
        &[
            "a: 1s 60 x ('x' 500ms) end; b: 1s 'hel' 1s 'lo' 2s '-----------------------' end",
            "a: 1s 'x' stall; b: 1s 'hello' end",
            "a: 60 x (500ms 'x') end; b: status 503; c: 'hel' end",
        ],
        &[Stream],
        expect![[r#"
            a: 1s 60 x ('x' 500ms) end; b: 1s 'hel' 1s 'lo' 2s '-----------------------' end
                stream   200 at 4s: 'hel' 1s 'lo' 2s '-----------------------' | completed; a next_target, b deliver
            a: 1s 'x' stall; b: 1s 'hello' end
                stream   200 at 4s: 'hello' | completed; a next_target, b deliver
            a: 60 x (500ms 'x') end; b: status 503; c: 'hel' end
                stream   200 at 2500ms: 'hel' | completed; a next_target, b next_target, c deliver
        "#]],
    );
}

#[test]
fn a_slow_answer_is_better_than_none() {
    check_decisions(
        guarded(),
        &[
            "a: 6 x (1s 'x') end",
            "a: 6 x (1s 'x') end; b: 6 x (1s 'y') end",
            "a: 6 x (1s 'x') end; b: 6 x (1s 'y') end; c: 6 x (1s 'z') end",
        ],
        &[Stream],
        expect![[r#"
            a: 6 x (1s 'x') end
                stream   200 at 1s: 'x' 1s 'x' 1s 'x' 1s 'x' 1s 'x' 1s 'x' | completed; a deliver
            a: 6 x (1s 'x') end; b: 6 x (1s 'y') end
                stream   200 at 4s: 'y' 1s 'y' 1s 'y' 1s 'y' 1s 'y' 1s 'y' | completed; a next_target, b deliver
            a: 6 x (1s 'x') end; b: 6 x (1s 'y') end; c: 6 x (1s 'z') end
                stream   200 at 5s: 2s 'z' 1s 'z' 1s 'z' 1s 'z' 1s 'z' 1s 'z' | completed; a next_target, b next_target, c deliver
        "#]],
    );
}

#[test]
fn what_is_held_to_its_end_anyway_is_not_measured() {
    check_decisions(
        guarded(),
        &["a: 3 x (1s 'x') end; b: 'WRONG' end"],
        &[Coherent, Buffered],
        expect![[r#"
        a: 3 x (1s 'x') end; b: 'WRONG' end
            coherent 200 at 3s: 'x' 'x' 'x' | completed; a deliver
            buffered 200 at 3s: whole 'xxx' | completed; a deliver
    "#]],
    );
}

#[test]
fn a_failure_inside_the_window_is_a_failure_like_any_other() {
    check_decisions(
        guarded(),
        &["a: 'x' 1s cut; b: 5s 'a good answer from here on' end", "a: 'x' 1s finish stall; b: 'WRONG' end"],
        &[Stream],
        expect![[r#"
            a: 'x' 1s cut; b: 5s 'a good answer from here on' end
                stream   200 at 5s: 1s 'a good answer from here on' | completed; a next_target, b deliver
            a: 'x' 1s finish stall; b: 'WRONG' end
                stream   200 at 3s: 'x' | completed; a deliver
        "#]],
    );
}

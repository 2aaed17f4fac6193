//! Answers that are whole, and what proves it.

use super::*;

#[test]
fn a_clean_answer_comes_as_it_is_said_or_at_its_end() {
    check_all(
        &["a: 1s 'hel' 20ms 'lo' end", "a: 500us reasoning 'hm' 1s 'hel' refusal 'no' end"],
        ALL_MODES,
        expect![[r#"
        a: 1s 'hel' 20ms 'lo' end
            stream   200 at 1s: 'hel' 20ms 'lo' | completed
            coherent 200 at 1020ms: 'hel' 'lo' | completed
            buffered 200 at 1020ms: whole 'hello' | completed
        a: 500us reasoning 'hm' 1s 'hel' refusal 'no' end
            stream   200 at 500us: reasoning 'hm' 1s 'hel' refusal 'no' | completed
            coherent 200 at 1000500us: reasoning 'hm' 'hel' refusal 'no' | completed
            buffered 200 at 1000500us: whole 'hel' | completed
    "#]],
    );
}

#[test]
fn an_end_is_proved_by_a_finish_reason_or_by_the_marker() {
    check_all(
        &["a: 'hel' finish eof", "a: 'hel' finish cut", "a: 'hel' done eof"],
        ALL_MODES,
        expect![[r#"
            a: 'hel' finish eof
                stream   200 at 0s: 'hel' | completed
                coherent 200 at 0s: 'hel' | completed
                buffered 200 at 0s: whole 'hel' | completed
            a: 'hel' finish cut
                stream   200 at 0s: 'hel' | completed
                coherent 200 at 0s: 'hel' | completed
                buffered 200 at 0s: whole 'hel' | completed
            a: 'hel' done eof
                stream   200 at 0s: 'hel' | completed
                coherent 200 at 0s: 'hel' | completed
                buffered 200 at 0s: whole 'hel' | completed
        "#]],
    );
}

#[test]
fn a_proved_answer_waits_two_seconds_for_its_marker_and_then_gets_one() {
    check_all(
        &["a: 'hel' finish stall", "a: 'hel' finish 1s usage stall", "a: 'hel' finish 10 x (1s comment) stall"],
        &[Stream, Coherent],
        expect![[r#"
            a: 'hel' finish stall
                stream   200 at 0s: 'hel' 2s | completed
                coherent 200 at 2s: 'hel' | completed
            a: 'hel' finish 1s usage stall
                stream   200 at 0s: 'hel' 2s | completed
                coherent 200 at 2s: 'hel' | completed
            a: 'hel' finish 10 x (1s comment) stall
                stream   200 at 0s: 'hel' 1s comment 1s comment | completed
                coherent 200 at 2s: 'hel' comment comment | completed
        "#]],
    );
}

#[test]
fn an_answer_that_was_proved_in_time_is_no_failure_when_the_total_ends_its_tail() {
    let limits = limits_of(15, 10);
    for text in ["a: 'hel' 9s finish stall", "a: 'hel' 9s finish 900ms usage 600ms done eof"] {
        let view = Simulation::new(&scenario(text), Stream).limits(limits).run().view;
        assert_eq!(view.to_string(), "200 at 0s: 'hel' 10s | completed", "{text}");
    }
}

#[test]
fn an_answer_without_text_is_complete_too() {
    check_all(
        &["a: end", "a: role end", "a: done eof"],
        ALL_MODES,
        expect![[r#"
        a: end
            stream   200 at 0s: | completed
            coherent 200 at 0s: | completed
            buffered 200 at 0s: whole '' | completed
        a: role end
            stream   200 at 0s: | completed
            coherent 200 at 0s: | completed
            buffered 200 at 0s: whole '' | completed
        a: done eof
            stream   200 at 0s: | completed
            coherent 200 at 0s: | completed
            buffered 200 at 0s: whole '' | completed
    "#]],
    );
}

#[test]
fn a_finish_without_output_is_no_output() {
    check_all(
        &["a: finish error 'no'; b: 1s 'hel' end", "a: finish 6s error 'no'"],
        &[Stream],
        expect![[r#"
            a: finish error 'no'; b: 1s 'hel' end
                stream   200 at 2s: 'hel' | completed
            a: finish 6s error 'no'
                stream   200 at 2s: | completed
        "#]],
    );
}

#[test]
fn a_cut_behind_the_proof_takes_nothing_away_but_a_fault_that_is_told_does() {
    check_all(
        &["a: 'hel' finish half", "a: 'hel' finish cut", "a: 'hel' finish error 'no'", "a: 'hel' finish malformed"],
        &[Stream],
        expect![[r#"
            a: 'hel' finish half
                stream   200 at 0s: 'hel' | completed
            a: 'hel' finish cut
                stream   200 at 0s: 'hel' | completed
            a: 'hel' finish error 'no'
                stream   200 at 0s: 'hel' | error upstream_error partial
            a: 'hel' finish malformed
                stream   200 at 0s: 'hel' | error upstream_malformed partial
        "#]],
    );
}

#[test]
fn how_the_bytes_are_split_makes_no_difference() {
    for how in ["bytes 1", "bytes 7", "burst", "burst 3", "lines cr", "lines crlf", "lines crlf bytes 1"] {
        let view = Simulation::new(&scenario(&format!("a: {how} 1s 'hel' 'lo' end")), Stream).run().view;
        assert_eq!(view.to_string(), "200 at 1s: 'hel' 'lo' | completed", "{how}");
    }
}

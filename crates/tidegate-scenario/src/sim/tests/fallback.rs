//! Another target before output, nothing after it.

use super::*;

#[test]
fn a_failure_before_output_leaves_no_trace_when_the_next_target_answers() {
    check_all(
        &[
            "a: refuse; b: 1s 'hel' end",
            "a: 1s status 503; b: 1s 'hel' end",
            "a: status 429; b: 1s 'hel' end",
            "a: role 1s cut; b: 1s 'hel' end",
            "a: role comment 1s error 'no'; b: 1s 'hel' end",
            "a: malformed 'WRONG' end; b: 'hel' end",
            "a: eof; b: half; c: 'hel' end",
        ],
        ALL_MODES,
        expect![[r#"
            a: refuse; b: 1s 'hel' end
                stream   200 at 2s: 'hel' | completed
                coherent 200 at 2s: 'hel' | completed
                buffered 200 at 2s: whole 'hel' | completed
            a: 1s status 503; b: 1s 'hel' end
                stream   200 at 4s: 'hel' | completed
                coherent 200 at 4s: 'hel' | completed
                buffered 200 at 4s: whole 'hel' | completed
            a: status 429; b: 1s 'hel' end
                stream   200 at 1s: 'hel' | completed
                coherent 200 at 1s: 'hel' | completed
                buffered 200 at 1s: whole 'hel' | completed
            a: role 1s cut; b: 1s 'hel' end
                stream   200 at 2s: 'hel' | completed
                coherent 200 at 2s: 'hel' | completed
                buffered 200 at 2s: whole 'hel' | completed
            a: role comment 1s error 'no'; b: 1s 'hel' end
                stream   200 at 4s: 'hel' | completed
                coherent 200 at 4s: 'hel' | completed
                buffered 200 at 4s: whole 'hel' | completed
            a: malformed 'WRONG' end; b: 'hel' end
                stream   200 at 0s: 'hel' | completed
                coherent 200 at 0s: 'hel' | completed
                buffered 200 at 0s: whole 'hel' | completed
            a: eof; b: half; c: 'hel' end
                stream   200 at 0s: 'hel' | completed
                coherent 200 at 0s: 'hel' | completed
                buffered 200 at 0s: whole 'hel' | completed
        "#]],
    );
}

#[test]
fn a_silent_target_is_replaced_after_its_limit() {
    check("a: stall; b: 1s 'hel' end", Stream, expect!["200 at 5s: 10s keepalive 10s keepalive 6s 'hel' | completed"]);
    check("a: role stall; b: 1s 'hel' end", Stream, expect!["200 at 5s: 10s keepalive 1s 'hel' | completed"]);
}

#[test]
fn after_output_no_other_target_is_asked() {
    check_all(
        &[
            "a: 1s 'hel' cut; b: 1s 'WRONG' end",
            "a: 1s 'hel' stall; b: 1s 'WRONG' end",
            "a: 1s 'hel' error 'no'; b: 1s 'WRONG' end",
            "a: 1s 'hel' malformed 'lo' end; b: 1s 'WRONG' end",
            "a: 1s reasoning 'hm' cut; b: 1s 'WRONG' end",
        ],
        &[Stream],
        expect![[r#"
            a: 1s 'hel' cut; b: 1s 'WRONG' end
                stream   200 at 1s: 'hel' | error upstream_cut partial
            a: 1s 'hel' stall; b: 1s 'WRONG' end
                stream   200 at 1s: 'hel' 10s keepalive 5s | error idle_timeout partial
            a: 1s 'hel' error 'no'; b: 1s 'WRONG' end
                stream   200 at 1s: 'hel' | error upstream_error partial
            a: 1s 'hel' malformed 'lo' end; b: 1s 'WRONG' end
                stream   200 at 1s: 'hel' | error upstream_malformed partial
            a: 1s reasoning 'hm' cut; b: 1s 'WRONG' end
                stream   200 at 1s: reasoning 'hm' | error upstream_cut partial
        "#]],
    );
}

#[test]
fn what_nobody_saw_may_be_replaced_in_the_middle() {
    check_all(
        &["a: 1s 'WRONG' cut; b: 1s 'hel' end", "a: 1s 'WRONG' stall; b: 1s 'hel' 'lo' end"],
        &[Coherent, Buffered],
        expect![[r#"
            a: 1s 'WRONG' cut; b: 1s 'hel' end
                coherent 200 at 2s: 'hel' | completed
                buffered 200 at 2s: whole 'hel' | completed
            a: 1s 'WRONG' stall; b: 1s 'hel' 'lo' end
                coherent 200 at 5s: 10s keepalive 2s 'hel' 'lo' | completed
                buffered 200 at 17s: whole 'hello' | completed
        "#]],
    );
}

#[test]
fn what_fails_closed_is_not_tried_elsewhere() {
    check_all(
        &[
            "a: status 400; b: 'WRONG' end",
            "a: status 401; b: 'WRONG' end",
            "a: status 400 code 'content_filter'; b: 'WRONG' end",
            "a: error 'no' ; b: 'hel' end",
        ],
        &[Stream],
        expect![[r#"
            a: status 400; b: 'WRONG' end
                stream   400 upstream_rejected at 0s
            a: status 401; b: 'WRONG' end
                stream   502 upstream_credentials at 0s
            a: status 400 code 'content_filter'; b: 'WRONG' end
                stream   400 content_blocked at 0s
            a: error 'no' ; b: 'hel' end
                stream   200 at 1s: 'hel' | completed
        "#]],
    );
}

#[test]
fn when_every_target_failed_the_last_failure_is_told() {
    check("a: 1s status 429; b: 1s status 503; c: 1s refuse", Stream, expect!["502 connect_failed at 3s"]);
    check("a: 1s refuse; b: 1s status 429", Stream, expect!["429 upstream_rate_limited at 4s"]);
}

#[test]
fn the_total_bounds_all_attempts_together() {
    let twelve: String = ('a'..='l').map(|name| format!("{name}: stall;")).collect();
    check(&twelve, Buffered, expect!["504 first_byte_timeout at 90s"]);
}

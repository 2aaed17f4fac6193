//! What providers do wrong, each with the best ending that it can have.

use super::*;

fn check_faults(texts: &[&str], expected: Expect) {
    check_decisions(Limits::with_profile(TimeoutProfile::STANDARD), texts, &[Stream, Coherent], expected);
}

#[test]
fn what_fails_before_output_is_rescued_by_the_same_target_or_the_next() {
    check_faults(
        &[
            "a: status 429 retry-after 2s | 'hel' end",
            "a: status 429 retry-after 2s; b: 'hel' end",
            "a: status 500 | 'hel' end; b: 'WRONG' end",
            "a: status 503; b: 'hel' end",
            "a: refuse | 'hel' end",
            "a: refuse; b: 'hel' end",
            "a: stall; b: 'hel' end",
            "a: head 20s 'hel' end; b: 'WRONG' end",
            "a: role malformed; b: 'hel' end",
        ],
        expect![[r#"
            a: status 429 retry-after 2s | 'hel' end
                stream   200 at 2s: 'hel' | completed; a retry_same, a deliver
                coherent 200 at 2s: 'hel' | completed; a retry_same, a deliver
            a: status 429 retry-after 2s; b: 'hel' end
                stream   200 at 2s: 'hel' | completed; a retry_same, a next_target, b deliver
                coherent 200 at 2s: 'hel' | completed; a retry_same, a next_target, b deliver
            a: status 500 | 'hel' end; b: 'WRONG' end
                stream   200 at 1s: 'hel' | completed; a retry_same, a deliver
                coherent 200 at 1s: 'hel' | completed; a retry_same, a deliver
            a: status 503; b: 'hel' end
                stream   200 at 1s: 'hel' | completed; a retry_same, a next_target, b deliver
                coherent 200 at 1s: 'hel' | completed; a retry_same, a next_target, b deliver
            a: refuse | 'hel' end
                stream   200 at 1s: 'hel' | completed; a retry_same, a deliver
                coherent 200 at 1s: 'hel' | completed; a retry_same, a deliver
            a: refuse; b: 'hel' end
                stream   200 at 1s: 'hel' | completed; a retry_same, a next_target, b deliver
                coherent 200 at 1s: 'hel' | completed; a retry_same, a next_target, b deliver
            a: stall; b: 'hel' end
                stream   200 at 5s: 10s keepalive 10s keepalive 5s 'hel' | completed; a next_target, b deliver
                coherent 200 at 5s: 10s keepalive 10s keepalive 5s 'hel' | completed; a next_target, b deliver
            a: head 20s 'hel' end; b: 'WRONG' end
                stream   200 at 5s: 10s keepalive 5s 'hel' | completed; a deliver
                coherent 200 at 5s: 10s keepalive 5s 'hel' | completed; a deliver
            a: role malformed; b: 'hel' end
                stream   200 at 0s: 'hel' | completed; a next_target, b deliver
                coherent 200 at 0s: 'hel' | completed; a next_target, b deliver
        "#]],
    );
}

#[test]
fn what_nobody_can_rescue_is_told_in_bounded_time() {
    check_faults(
        &["a: status 429", "a: status 429; b: status 429", "a: status 503", "a: stall", "a: stall; b: stall; c: stall; d: stall"],
        expect![[r#"
            a: status 429
                stream   429 upstream_rate_limited at 3s; a retry_same, a retry_same, a fail
                coherent 429 upstream_rate_limited at 3s; a retry_same, a retry_same, a fail
            a: status 429; b: status 429
                stream   429 upstream_rate_limited at 1s; a next_target, b retry_same, b fail
                coherent 429 upstream_rate_limited at 1s; a next_target, b retry_same, b fail
            a: status 503
                stream   502 upstream_error at 3s; a retry_same, a retry_same, a fail
                coherent 502 upstream_error at 3s; a retry_same, a retry_same, a fail
            a: stall
                stream   200 at 5s: 10s keepalive 10s keepalive 5s | error first_byte_timeout; a fail
                coherent 200 at 5s: 10s keepalive 10s keepalive 5s | error first_byte_timeout; a fail
            a: stall; b: stall; c: stall; d: stall
                stream   200 at 5s: 10s keepalive 10s keepalive 10s keepalive 10s keepalive 10s keepalive 10s keepalive 10s keepalive 10s keepalive 5s | error first_byte_timeout; a next_target, b next_target, c fail
                coherent 200 at 5s: 10s keepalive 10s keepalive 10s keepalive 10s keepalive 10s keepalive 10s keepalive 10s keepalive 10s keepalive 5s | error first_byte_timeout; a next_target, b next_target, c fail
        "#]],
    );
}

#[test]
fn what_breaks_off_in_the_middle_is_rescued_where_nobody_has_seen_it() {
    check_faults(
        &[
            "a: 20 x ('x' 100ms) cut; b: 'hel' end",
            "a: 10 x ('x' 100ms) stall; b: 'hel' end",
            "a: 'x' malformed 'x' end; b: 'hel' end",
            "a: 'x' error 'overloaded' done; b: 'hel' end",
        ],
        expect![[r#"
            a: 20 x ('x' 100ms) cut; b: 'hel' end
                stream   200 at 0s: 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms | error upstream_cut partial; a fail
                coherent 200 at 2s: 'hel' | completed; a next_target, b deliver
            a: 10 x ('x' 100ms) stall; b: 'hel' end
                stream   200 at 0s: 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 100ms 'x' 10s keepalive 5s | error idle_timeout partial; a fail
                coherent 200 at 5s: 10s keepalive 900ms 'hel' | completed; a next_target, b deliver
            a: 'x' malformed 'x' end; b: 'hel' end
                stream   200 at 0s: 'x' | error upstream_malformed partial; a fail
                coherent 200 at 0s: 'hel' | completed; a next_target, b deliver
            a: 'x' error 'overloaded' done; b: 'hel' end
                stream   200 at 0s: 'x' | error upstream_error partial; a fail
                coherent 200 at 1s: 'hel' | completed; a retry_same, a next_target, b deliver
        "#]],
    );
}

#[test]
fn a_missing_marker_alone_is_no_fault() {
    check_faults(
        &["a: 'hel' finish eof; b: 'WRONG' end", "a: 'hel' finish stall; b: 'WRONG' end"],
        expect![[r#"
        a: 'hel' finish eof; b: 'WRONG' end
            stream   200 at 0s: 'hel' | completed; a deliver
            coherent 200 at 0s: 'hel' | completed; a deliver
        a: 'hel' finish stall; b: 'WRONG' end
            stream   200 at 0s: 'hel' 2s | completed; a deliver
            coherent 200 at 2s: 'hel' | completed; a deliver
    "#]],
    );
}

#[test]
fn what_a_filter_refuses_is_asked_nowhere_else() {
    check_faults(
        &[
            "a: status 400 code 'content_policy_violation'; b: 'WRONG' end",
            r#"a: role data '{"error":{"code":"content_filter"}}'; b: 'WRONG' end"#,
            "a: finish 'content_filter' done; b: 'WRONG' end",
            "a: 'hel' finish 'content_filter' done; b: 'WRONG' end",
        ],
        expect![[r#"
            a: status 400 code 'content_policy_violation'; b: 'WRONG' end
                stream   400 content_blocked at 0s; a fail
                coherent 400 content_blocked at 0s; a fail
            a: role data '{"error":{"code":"content_filter"}}'; b: 'WRONG' end
                stream   400 content_blocked at 0s; a fail
                coherent 400 content_blocked at 0s; a fail
            a: finish 'content_filter' done; b: 'WRONG' end
                stream   200 at 0s: | completed; a deliver
                coherent 200 at 0s: | completed; a deliver
            a: 'hel' finish 'content_filter' done; b: 'WRONG' end
                stream   200 at 0s: 'hel' | completed; a deliver
                coherent 200 at 0s: 'hel' | completed; a deliver
        "#]],
    );
}

#[test]
fn what_is_too_long_or_wrong_is_asked_nowhere_else() {
    check_faults(
        &[
            "a: status 400 code 'context_length_exceeded'; b: 'WRONG' end",
            "a: status 422; b: 'WRONG' end",
            "a: status 401; b: 'WRONG' end",
            "a: 'hel' cut; b: status 400 message 'no assistant prefill'",
        ],
        expect![[r#"
            a: status 400 code 'context_length_exceeded'; b: 'WRONG' end
                stream   400 upstream_rejected at 0s; a fail
                coherent 400 upstream_rejected at 0s; a fail
            a: status 422; b: 'WRONG' end
                stream   422 upstream_rejected at 0s; a fail
                coherent 422 upstream_rejected at 0s; a fail
            a: status 401; b: 'WRONG' end
                stream   502 upstream_credentials at 0s; a fail
                coherent 502 upstream_credentials at 0s; a fail
            a: 'hel' cut; b: status 400 message 'no assistant prefill'
                stream   200 at 0s: 'hel' | error upstream_cut partial; a fail
                coherent 400 upstream_rejected at 0s; a next_target, b fail
        "#]],
    );
}

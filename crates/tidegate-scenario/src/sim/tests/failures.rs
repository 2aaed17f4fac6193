//! Every row of the failure table that a provider can cause, before and after output.

use super::*;

#[test]
fn a_provider_that_fails_before_its_answer_is_told_as_a_status() {
    check_all(
        &[
            "a: 1s refuse",
            "a: 1s cut",
            "a: 1s status 500",
            "a: 1s status 503",
            "a: 1s status 408",
            "a: 1s status 429 retry-after 2s",
            "a: 1s status 401",
            "a: 1s status 402",
            "a: 1s status 403",
            "a: 1s status 400",
            "a: 1s status 404",
            "a: 1s status 422",
            "a: 1s status 400 code 'content_filter'",
            "a: 1s status 429 code 'insufficient_quota'",
            "a: 1s status 307",
            "a: 1s answer 200 'text/html' '<html>'",
            "a: 1s answer 200 'application/json' '{\"error\":{\"message\":\"no\"}}'",
            "a: 1s answer 200 'text/event-stream' ''",
            "a: 1s answer 502 'text/html' '<html>'",
        ],
        &[Stream],
        expect![[r#"
            a: 1s refuse
                stream   502 connect_failed at 3s
            a: 1s cut
                stream   502 connect_failed at 3s
            a: 1s status 500
                stream   200 at 5s: 1s | error upstream_error
            a: 1s status 503
                stream   200 at 5s: 1s | error upstream_error
            a: 1s status 408
                stream   200 at 5s: 1s | error upstream_error
            a: 1s status 429 retry-after 2s
                stream   200 at 5s: 2s | error upstream_rate_limited
            a: 1s status 401
                stream   502 upstream_credentials at 1s
            a: 1s status 402
                stream   502 upstream_credentials at 1s
            a: 1s status 403
                stream   502 upstream_credentials at 1s
            a: 1s status 400
                stream   400 upstream_rejected at 1s
            a: 1s status 404
                stream   404 upstream_rejected at 1s
            a: 1s status 422
                stream   422 upstream_rejected at 1s
            a: 1s status 400 code 'content_filter'
                stream   400 content_blocked at 1s
            a: 1s status 429 code 'insufficient_quota'
                stream   502 upstream_credentials at 1s
            a: 1s status 307
                stream   502 upstream_malformed at 1s
            a: 1s answer 200 'text/html' '<html>'
                stream   502 upstream_malformed at 1s
            a: 1s answer 200 'application/json' '{"error":{"message":"no"}}'
                stream   200 at 5s: 1s | error upstream_error
            a: 1s answer 200 'text/event-stream' ''
                stream   502 upstream_cut at 1s
            a: 1s answer 502 'text/html' '<html>'
                stream   200 at 5s: 1s | error upstream_error
        "#]],
    );
}

#[test]
fn a_stream_that_fails_before_its_first_output_is_told_as_a_status() {
    check_all(
        &[
            "a: head 1s cut",
            "a: role 1s cut",
            "a: 1s eof",
            "a: 1s half",
            "a: 1s malformed 'lo' end",
            "a: 1s error 'no'",
            "a: 1s error-flat 'no'",
            "a: 1s error-openrouter 'no'",
            "a: role 1s error 'no' done",
        ],
        ALL_MODES,
        expect![[r#"
            a: head 1s cut
                stream   502 upstream_cut at 1s
                coherent 502 upstream_cut at 1s
                buffered 502 upstream_cut at 1s
            a: role 1s cut
                stream   502 upstream_cut at 1s
                coherent 502 upstream_cut at 1s
                buffered 502 upstream_cut at 1s
            a: 1s eof
                stream   502 upstream_cut at 1s
                coherent 502 upstream_cut at 1s
                buffered 502 upstream_cut at 1s
            a: 1s half
                stream   502 upstream_cut at 1s
                coherent 502 upstream_cut at 1s
                buffered 502 upstream_cut at 1s
            a: 1s malformed 'lo' end
                stream   502 upstream_malformed at 1s
                coherent 502 upstream_malformed at 1s
                buffered 502 upstream_malformed at 1s
            a: 1s error 'no'
                stream   200 at 5s: 1s | error upstream_error
                coherent 200 at 5s: 1s | error upstream_error
                buffered 502 upstream_error at 6s
            a: 1s error-flat 'no'
                stream   200 at 5s: 1s | error upstream_error
                coherent 200 at 5s: 1s | error upstream_error
                buffered 502 upstream_error at 6s
            a: 1s error-openrouter 'no'
                stream   200 at 5s: 1s | error upstream_error
                coherent 200 at 5s: 1s | error upstream_error
                buffered 502 upstream_error at 6s
            a: role 1s error 'no' done
                stream   200 at 5s: 1s | error upstream_error
                coherent 200 at 5s: 1s | error upstream_error
                buffered 502 upstream_error at 6s
        "#]],
    );
}

#[test]
fn a_stream_that_fails_after_output_is_partial_where_the_output_was_shown() {
    check_all(
        &[
            "a: 'hel' 1s cut",
            "a: 'hel' 1s eof",
            "a: 'hel' 1s half",
            "a: 'hel' stall",
            "a: 'hel' 1s malformed 'lo' end",
            "a: 'hel' 1s error 'no' done",
            "a: 'hel' 1s error-flat 'no' end",
            "a: 'hel' 1s error-openrouter 'no' done",
            "a: reasoning 'hm' 1s cut",
            "a: refusal 'no' 1s cut",
        ],
        ALL_MODES,
        expect![[r#"
            a: 'hel' 1s cut
                stream   200 at 0s: 'hel' 1s | error upstream_cut partial
                coherent 502 upstream_cut at 1s
                buffered 502 upstream_cut at 1s
            a: 'hel' 1s eof
                stream   200 at 0s: 'hel' 1s | error upstream_cut partial
                coherent 502 upstream_cut at 1s
                buffered 502 upstream_cut at 1s
            a: 'hel' 1s half
                stream   200 at 0s: 'hel' 1s | error upstream_cut partial
                coherent 502 upstream_cut at 1s
                buffered 502 upstream_cut at 1s
            a: 'hel' stall
                stream   200 at 0s: 'hel' 10s keepalive 5s | error idle_timeout partial
                coherent 200 at 5s: 10s | error idle_timeout
                buffered 504 idle_timeout at 15s
            a: 'hel' 1s malformed 'lo' end
                stream   200 at 0s: 'hel' 1s | error upstream_malformed partial
                coherent 502 upstream_malformed at 1s
                buffered 502 upstream_malformed at 1s
            a: 'hel' 1s error 'no' done
                stream   200 at 0s: 'hel' 1s | error upstream_error partial
                coherent 200 at 5s: 1s | error upstream_error
                buffered 502 upstream_error at 6s
            a: 'hel' 1s error-flat 'no' end
                stream   200 at 0s: 'hel' 1s | error upstream_error partial
                coherent 200 at 5s: 1s | error upstream_error
                buffered 502 upstream_error at 6s
            a: 'hel' 1s error-openrouter 'no' done
                stream   200 at 0s: 'hel' 1s | error upstream_error partial
                coherent 200 at 5s: 1s | error upstream_error
                buffered 502 upstream_error at 6s
            a: reasoning 'hm' 1s cut
                stream   200 at 0s: reasoning 'hm' 1s | error upstream_cut partial
                coherent 502 upstream_cut at 1s
                buffered 502 upstream_cut at 1s
            a: refusal 'no' 1s cut
                stream   200 at 0s: refusal 'no' 1s | error upstream_cut partial
                coherent 502 upstream_cut at 1s
                buffered 502 upstream_cut at 1s
        "#]],
    );
}

#[test]
fn after_the_head_a_failure_before_output_is_told_in_band_and_is_not_partial() {
    check_all(
        &["a: 6s cut", "a: 6s status 503", "a: 6s status 400", "a: role 6s error 'no'", "a: 6s malformed"],
        &[Stream, Coherent],
        expect![[r#"
            a: 6s cut
                stream   200 at 5s: 8s | error connect_failed
                coherent 200 at 5s: 8s | error connect_failed
            a: 6s status 503
                stream   200 at 5s: 10s keepalive 6s | error upstream_error
                coherent 200 at 5s: 10s keepalive 6s | error upstream_error
            a: 6s status 400
                stream   200 at 5s: 1s | error upstream_rejected
                coherent 200 at 5s: 1s | error upstream_rejected
            a: role 6s error 'no'
                stream   200 at 5s: 10s keepalive 6s | error upstream_error
                coherent 200 at 5s: 10s keepalive 6s | error upstream_error
            a: 6s malformed
                stream   200 at 5s: 1s | error upstream_malformed
                coherent 200 at 5s: 1s | error upstream_malformed
        "#]],
    );
}

#[test]
fn one_body_whose_status_is_out_breaks_off_because_it_has_no_place_for_an_error() {
    let scenario = scenario("a: 'hel' 12s cut");
    let simulated = Simulation::new(&scenario, Buffered).early_head().run();
    expect!["200 at 5s: 7s | broken off"].assert_eq(&simulated.view.to_string());
}

#[test]
fn no_target_at_all_is_no_healthy_route() {
    let simulated = Simulation::new(&Scenario { targets: Vec::new() }, Stream).run();
    expect!["503 routes_unavailable at 0s"].assert_eq(&simulated.view.to_string());
}

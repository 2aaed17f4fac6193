//! Where a whole scenario is too coarse: single calls, in orders that only a shell can produce.

mod properties;

use super::*;
use crate::health::AllHealthy;
use crate::record::Status;

fn at(millis: u64) -> Moment {
    Moment::after_origin(Duration::from_millis(millis))
}

fn target(name: &str) -> Target {
    Target::new(name, name)
}

/// The standard limits: pool wait 5 s, connect 5 s, send body 10 s, first byte 30 s, idle 15 s, total 180 s, head after 5 s, keepalive 10 s.
fn exchange(mode: DeliveryMode, targets: &[&str]) -> Exchange {
    let limits = Limits::with_profile(crate::limits::TimeoutProfile::STANDARD);
    Exchange::new(mode, limits, RoutePlan::new(targets.iter().map(|name| target(name))), Moment::ORIGIN)
}

/// An exchange whose first attempt's request was sent at once.
fn asking(mode: DeliveryMode, targets: &[&str]) -> Exchange {
    ask(exchange(mode, targets))
}

fn begin(exchange: &mut Exchange, now: u64) -> Next {
    exchange.begin_attempt(at(now), &mut AllHealthy)
}

fn fail(exchange: &mut Exchange, failure: Failure, now: u64) -> AfterFailure {
    exchange.failed(failure, None, at(now), &mut AllHealthy)
}

fn ask(mut exchange: Exchange) -> Exchange {
    begin(&mut exchange, 0);
    for phase in [Phase::Connecting, Phase::Connected, Phase::Sent] {
        exchange.reached(phase, at(0));
    }
    exchange
}

/// An exchange that has shown output.
fn committed(targets: &[&str]) -> Exchange {
    let mut exchange = asking(DeliveryMode::Stream, targets);
    assert_eq!(exchange.event(&output(), at(0)), Verdict::Commit);
    exchange
}

fn output() -> EventFacts {
    EventFacts::of(EventKind::Output)
}

fn proof() -> EventFacts {
    EventFacts { proves_end: true, ..EventFacts::of(EventKind::Completion) }
}

fn broken(failure: Failure) -> EventFacts {
    EventFacts { failure: Some(failure), ..EventFacts::of(EventKind::Error) }
}

#[test]
fn each_phase_of_an_attempt_has_its_own_limit_and_no_other() {
    let phases = [
        (None, 5_000, Failure::PoolExhausted),
        (Some(Phase::Connecting), 5_000, Failure::ConnectTimeout),
        (Some(Phase::Connected), 10_000, Failure::SendTimeout),
        (Some(Phase::Sent), 30_000, Failure::FirstByteTimeout),
    ];
    let mut exchange = exchange(DeliveryMode::Buffered, &["a"]).without_early_head();
    begin(&mut exchange, 0);
    let mut now = 0;
    for (phase, limit, failure) in phases {
        if let Some(phase) = phase {
            now += 1_000;
            exchange.reached(phase, at(now));
        }
        assert_eq!(exchange.wake_at(true), at(now + limit), "{phase:?}");
        assert_eq!(exchange.due(at(now + limit - 1), true), Due::Nothing, "{phase:?}");
        assert_eq!(exchange.due(at(now + limit), true), Due::Failed(failure), "{phase:?}");
    }
}

#[test]
fn a_whole_answer_is_awaited_under_the_total_alone() {
    let mut exchange = ask(exchange(DeliveryMode::Buffered, &["a"]).without_early_head().for_whole_answer());
    assert_eq!(exchange.wake_at(true), at(180_000));
    let answer = EventFacts { has_output: true, ..proof() };
    assert_eq!(exchange.whole_answer(&answer, at(100_000)), Verdict::Finish { write_sentinel: false });
    assert_eq!(exchange.ending().map(|ending| ending.status), Some(Status::Completed));
    assert_eq!(exchange.tally().first_output, Some(at(100_000)));
}

#[test]
fn a_whole_answer_that_is_an_error_may_be_asked_for_elsewhere() {
    let mut exchange = asking(DeliveryMode::Buffered, &["a", "b"]);
    assert_eq!(exchange.whole_answer(&broken(Failure::UpstreamMalformed), at(9)), Verdict::Fail(Failure::UpstreamMalformed));
    assert_eq!(fail(&mut exchange, Failure::UpstreamMalformed, 9), AfterFailure::TryNext);
    assert_eq!(begin(&mut exchange, 9), Next::Ask(target("b")));
}

#[test]
fn before_output_every_failure_does_what_its_row_says() {
    for failure in Failure::ALL {
        let mut exchange = asking(DeliveryMode::Stream, &["a", "b"]);
        let after = fail(&mut exchange, *failure, 1);
        let expected = match failure.facts().retry {
            // No target of this plan is marked for a larger context.
            Retry::Never | Retry::LargerContext => Decision::Fail,
            Retry::SameOnceThenNext | Retry::SameThenNext => Decision::RetrySame,
            // Nobody said for how long it is limited.
            Retry::NextTarget | Retry::AfterPushback => Decision::NextTarget,
        };
        let fate = exchange.tally().attempts[0].fate.as_ref().expect("the attempt is over");
        assert_eq!(fate.decision, expected, "{failure:?}");
        if let AfterFailure::End(ending) = after {
            assert_eq!((ending.head, ending.is_partial(), ending.failure), (Head::Unsent, false, Some(*failure)));
        }
    }
}

#[test]
fn after_output_every_failure_ends_the_stream_as_partial() {
    for failure in Failure::ALL {
        let mut exchange = committed(&["a", "b"]);
        let AfterFailure::End(ending) = fail(&mut exchange, *failure, 1) else { panic!("{failure:?} asks another target") };
        assert_eq!((ending.head, ending.is_partial(), ending.failure), (Head::Sent, true, Some(*failure)));
        assert_eq!(begin(&mut exchange, 1), Next::End(ending), "{failure:?}");
    }
}

#[test]
fn after_output_no_target_is_given_out_though_the_plan_had_more() {
    let mut exchange = committed(&["a", "b"]);
    assert!(exchange.is_committed());
    assert_eq!(begin(&mut exchange, 1), Next::Committed);
    assert_eq!(exchange.tally().attempts.len(), 1);
}

#[test]
fn who_leaves_is_cancelled_and_nobody_failed() {
    for failure in [Failure::ClientGone, Failure::SlowClient, Failure::Cancelled] {
        let before = asking(DeliveryMode::Stream, &["a", "b"]).abandoned(failure, at(1));
        assert_eq!(before.status, Status::CancelledBeforeOutput);
        let mut exchange = committed(&["a", "b"]);
        assert_eq!(exchange.abandoned(failure, at(1)).status, Status::CancelledAfterOutput);
        let fate = exchange.tally().attempts[0].fate.clone().expect("a fate");
        assert_eq!((fate.outcome, fate.decision), (AttemptOutcome::Cancelled, Decision::Fail));
    }
}

#[test]
fn the_first_ending_stays() {
    let mut exchange = committed(&["a"]);
    assert_eq!(exchange.body_ended(BodyEnd::Broken, at(1)), Verdict::Fail(Failure::UpstreamCut));
    let AfterFailure::End(first) = fail(&mut exchange, Failure::UpstreamCut, 1) else { panic!("it ended") };
    assert_eq!(fail(&mut exchange, Failure::IdleTimeout, 2), AfterFailure::End(first));
    assert_eq!(exchange.abandoned(Failure::ClientGone, at(3)), first);
    assert_eq!(exchange.ending(), Some(first));
    assert_eq!(exchange.tally().attempts[0].ended, Some(at(1)));
}

#[test]
fn to_a_client_that_is_behind_no_keepalive_is_sent_and_limits_run_on() {
    let mut exchange = committed(&["a"]);
    assert_eq!((exchange.wake_at(true), exchange.wake_at(false)), (at(10_000), at(15_000)));
    assert_eq!(exchange.due(at(12_000), false), Due::Nothing);
    assert_eq!(exchange.due(at(12_000), true), Due::Keepalive);
    assert_eq!(exchange.due(at(12_000), true), Due::Nothing);
    assert_eq!(exchange.wake_at(true), at(15_000));
    assert_eq!(exchange.due(at(15_000), false), Due::Failed(Failure::IdleTimeout));
    assert_eq!(exchange.tally().events.keepalive, 1);
}

#[test]
fn the_head_goes_out_once_and_leaves_fallback_open() {
    let mut exchange = asking(DeliveryMode::Stream, &["a", "b"]);
    assert_eq!(exchange.due(at(4_999), true), Due::Nothing);
    assert_eq!(exchange.due(at(5_000), true), Due::Head);
    assert_eq!((exchange.due(at(5_000), true), exchange.head(), exchange.is_committed()), (Due::Nothing, Head::Sent, false));
    assert_eq!(fail(&mut exchange, Failure::UpstreamCut, 6_000), AfterFailure::TryNext);
    assert_eq!(begin(&mut exchange, 6_000), Next::Ask(target("b")));
    let AfterFailure::End(ending) = fail(&mut exchange, Failure::IdleTimeout, 7_000) else { panic!("no target is left") };
    assert_eq!((ending.head, ending.status), (Head::Sent, Status::FailedBeforeOutput));
    assert_eq!(exchange.tally().head, Some(at(5_000)));
}

#[test]
fn after_the_proof_only_the_tail_and_the_total_run_and_both_complete_the_answer() {
    let mut exchange = committed(&["a"]);
    exchange.event(&proof(), at(1_000));
    assert_eq!(exchange.wake_at(false), at(3_000));
    for late in [EventKind::Output, EventKind::Usage, EventKind::Other] {
        exchange.event(&EventFacts::of(late), at(2_000));
        assert_eq!(exchange.wake_at(false), at(3_000), "{late:?} puts the end off");
    }
    assert_eq!(exchange.due(at(3_000), false), Due::Finish);

    let mut exchange = committed(&["a"]);
    (1..=12).for_each(|n| assert_eq!(exchange.event(&output(), at(n * 14_000)), Verdict::Forward));
    exchange.event(&proof(), at(179_000));
    assert_eq!((exchange.wake_at(false), exchange.due(at(180_000), false)), (at(180_000), Due::Finish));
    assert_eq!(exchange.ending().map(|ending| ending.status), Some(Status::Completed));
}

#[test]
fn half_an_event_behind_the_proof_is_dropped_and_the_end_of_the_body_completes() {
    let mut exchange = committed(&["a"]);
    exchange.event(&proof(), at(1));
    assert_eq!(exchange.event(&broken(Failure::UpstreamCut), at(2)), Verdict::Swallow);
    assert_eq!(exchange.body_ended(BodyEnd::Broken, at(2)), Verdict::Finish { write_sentinel: true });
}

#[test]
fn the_proof_of_a_failed_attempt_proves_nothing_for_the_next_one() {
    let mut exchange = asking(DeliveryMode::Coherent, &["a", "b"]);
    exchange.event(&output(), at(1));
    exchange.event(&proof(), at(2));
    assert_eq!(exchange.event(&broken(Failure::UpstreamError), at(3)), Verdict::Fail(Failure::UpstreamError));
    assert_eq!(fail(&mut exchange, Failure::UpstreamCut, 3), AfterFailure::TryNext);
    assert_eq!(exchange.due(at(180_000), false), Due::Failed(Failure::DeadlineExceeded), "no attempt runs while the client is behind");
    begin(&mut exchange, 4);
    assert_eq!(exchange.body_ended(BodyEnd::Clean, at(5)), Verdict::Fail(Failure::UpstreamCut));
}

#[test]
fn a_finish_without_output_does_not_cross_the_line() {
    let mut exchange = asking(DeliveryMode::Stream, &["a"]);
    assert_eq!(exchange.event(&EventFacts::of(EventKind::Lifecycle), at(1)), Verdict::Hold);
    assert_eq!(exchange.event(&proof(), at(1)), Verdict::Hold);
    let marker = EventFacts { proves_end: true, is_last: true, ..EventFacts::of(EventKind::Sentinel) };
    assert_eq!(exchange.event(&marker, at(1)), Verdict::Finish { write_sentinel: false });
    assert_eq!(exchange.tally().first_output, None);
}

#[test]
fn what_is_for_the_gateway_alone_is_noted_and_goes_nowhere() {
    let usage = crate::event::Usage { output_tokens: Some(7), ..crate::event::Usage::default() };
    let mut exchange = committed(&["a"]);
    let facts = EventFacts { for_gateway_only: true, usage: Some(usage), ..EventFacts::of(EventKind::Usage) };
    assert_eq!(exchange.event(&facts, at(1)), Verdict::Swallow);
    assert_eq!(exchange.tally().attempts[0].usage, Some(usage));
    assert_eq!(exchange.tally().last_output, Some(at(0)));
}

#[test]
fn a_repetition_waits_and_the_head_and_keepalives_go_on_meanwhile() {
    let mut exchange = asking(DeliveryMode::Stream, &["a"]);
    let pushback = Some(Duration::from_secs(20));
    assert_eq!(exchange.failed(Failure::UpstreamRateLimited, pushback, at(1), &mut AllHealthy), AfterFailure::Wait);
    assert_eq!(exchange.due(at(5_000), true), Due::Head);
    assert_eq!(exchange.due(at(15_000), true), Due::Keepalive);
    assert_eq!(exchange.wake_at(true), at(20_001));
    assert_eq!(exchange.due(at(20_001), true), Due::Attempt);
    assert_eq!(begin(&mut exchange, 20_001), Next::Ask(target("a")));
    let decisions: Vec<_> = exchange.tally().attempts.iter().map(|attempt| attempt.fate.as_ref().map(|fate| fate.decision)).collect();
    assert_eq!(decisions, [Some(Decision::RetrySame), None]);
}

/// Refuses the targets of these names.
struct Refuses(&'static [&'static str], SkipReason, Option<Moment>);

impl Health for Refuses {
    fn admit(&mut self, target: &Target, _: Moment) -> Result<(), Skip> {
        if self.0.contains(&&*target.model) { Err(Skip { reason: self.1, until: self.2 }) } else { Ok(()) }
    }
    fn could_admit(&self, target: &Target, _: Moment) -> bool {
        !self.0.contains(&&*target.model)
    }
    fn may_repeat(&mut self, _: Moment) -> bool {
        true
    }
    fn chance(&mut self) -> f64 {
        0.0
    }
}

#[test]
fn a_target_that_rests_is_skipped_and_the_record_says_why() {
    let mut exchange = exchange(DeliveryMode::Stream, &["a", "b"]);
    let mut health = Refuses(&["a"], SkipReason::BreakerOpen, Some(at(9_000)));
    assert_eq!(exchange.begin_attempt(at(0), &mut health), Next::Ask(target("b")));
    let attempts = &exchange.tally().attempts;
    assert_eq!((attempts[0].skipped, attempts[1].skipped), (Some(SkipReason::BreakerOpen), None));
    assert_eq!(attempts[0].fate.as_ref().map(|fate| fate.outcome), Some(AttemptOutcome::Skipped));
}

#[test]
fn when_every_target_rests_the_client_is_told_until_when() {
    for (reason, failure) in
        [(SkipReason::BreakerOpen, Failure::RoutesUnavailable), (SkipReason::CoolingDown, Failure::UpstreamRateLimited)]
    {
        let mut exchange = exchange(DeliveryMode::Stream, &["a", "b"]);
        let next = exchange.begin_attempt(at(1_000), &mut Refuses(&["a", "b"], reason, Some(at(9_000))));
        let Next::End(ending) = next else { panic!("somebody was asked") };
        assert_eq!(ending.failure, Some(failure));
        assert_eq!(exchange.pushback(at(1_000)), Some(Duration::from_secs(8)));
    }
}

#[test]
fn a_pause_that_is_over_is_not_told_and_of_two_the_shorter_is() {
    let limited = |exchange: &mut Exchange, seconds, now| {
        exchange.failed(Failure::UpstreamRateLimited, Some(Duration::from_secs(seconds)), at(now), &mut AllHealthy)
    };
    let mut waited = asking(DeliveryMode::Stream, &["a"]);
    assert_eq!(limited(&mut waited, 2, 0), AfterFailure::Wait);
    let Next::End(_) = waited.begin_attempt(at(2_000), &mut Refuses(&["a"], SkipReason::CoolingDown, Some(at(9_000)))) else {
        panic!("it was asked")
    };
    assert_eq!(waited.pushback(at(2_000)), Some(Duration::from_secs(7)));

    let mut two = asking(DeliveryMode::Stream, &["a", "b"]);
    assert_eq!(limited(&mut two, 20, 0), AfterFailure::TryNext);
    begin(&mut two, 0);
    limited(&mut two, 60, 1_000);
    assert_eq!(two.pushback(at(1_000)), Some(Duration::from_secs(19)));
}

#[test]
fn no_attempt_but_the_first_begins_without_time_for_it() {
    let mut exchange = asking(DeliveryMode::Stream, &["a", "b"]);
    assert_eq!(fail(&mut exchange, Failure::FirstByteTimeout, 179_500), AfterFailure::TryNext);
    let Next::End(ending) = begin(&mut exchange, 179_500) else { panic!("it was asked") };
    assert_eq!(ending.failure, Some(Failure::FirstByteTimeout), "the client reads why, not that another was skipped");
    assert_eq!(exchange.tally().attempts[1].skipped, Some(SkipReason::DeadlineTooShort));
}

#[test]
fn a_slow_answer_is_replaced_while_nobody_has_seen_it_and_another_target_is_left() {
    let guarded = |targets: &[&str]| {
        let mut exchange = exchange(DeliveryMode::Stream, targets);
        exchange.limits.rate_guard = Some(RateGuard { bytes_per_second: 10, window: Duration::from_secs(2) });
        ask(exchange)
    };
    let mut slow = guarded(&["a", "b", "c"]);
    assert_eq!(slow.event(&output(), at(1_000)), Verdict::Hold);
    assert_eq!(slow.event(&output(), at(2_999)), Verdict::Hold);
    assert_eq!(slow.due(at(3_000), true), Due::JudgeRate);
    assert_eq!(slow.judge_rate(19, at(3_000), &AllHealthy), Verdict::Fail(Failure::TooSlow));
    assert_eq!(fail(&mut slow, Failure::TooSlow, 3_000), AfterFailure::TryNext);
    begin(&mut slow, 3_000);
    assert_eq!(slow.event(&output(), at(4_000)), Verdict::Hold, "the next answer is measured too");
    assert_eq!(slow.judge_rate(19, at(6_000), &AllHealthy), Verdict::Fail(Failure::TooSlow));

    let mut quick = guarded(&["a", "b"]);
    quick.event(&output(), at(1_000));
    assert_eq!(quick.judge_rate(20, at(3_000), &AllHealthy), Verdict::Commit);
    assert_eq!(quick.event(&output(), at(3_001)), Verdict::Forward);

    let mut late = guarded(&["a", "b"]);
    late.event(&output(), at(177_500));
    assert_eq!(late.judge_rate(1, at(179_500), &AllHealthy), Verdict::Commit, "there is no time for another");

    let mut alone = guarded(&["a"]);
    assert_eq!(alone.event(&output(), at(1_000)), Verdict::Commit, "there is nobody to take over");

    let mut others_rest = guarded(&["a", "b"]);
    others_rest.event(&output(), at(1_000));
    let resting = Refuses(&["b"], SkipReason::BreakerOpen, None);
    assert_eq!(others_rest.judge_rate(0, at(3_000), &resting), Verdict::Commit, "a slow answer is better than none");
}

#[test]
fn half_an_answer_begins_again_only_with_the_clients_consent_and_where_that_can_help() {
    let ended = |failure| match fail(&mut committed(&["a"]), failure, 1) {
        AfterFailure::End(ending) => ending,
        other => panic!("{other:?}"),
    };
    let cut = ended(Failure::UpstreamCut);
    assert!(RestartConsent::after(cut, false).is_none());
    assert!(RestartConsent::after(ended(Failure::ContentBlocked), true).is_none());
    assert!(RestartConsent::after(ended(Failure::ClientGone), true).is_none());

    let consent = RestartConsent::after(cut, true).expect("it was given");
    let limits = Limits::with_profile(TimeoutProfile::STANDARD);
    let mut again = Exchange::restarted(consent, limits, RoutePlan::new([target("b")]), at(2));
    assert_eq!(begin(&mut again, 2), Next::Ask(target("b")));
    assert_eq!((again.head(), again.event(&output(), at(3))), (Head::Sent, Verdict::Commit));
}

#[test]
fn a_stream_that_nobody_waits_for_begins_with_its_plan_anew_until_its_deadline() {
    let plan = || RoutePlan::new([target("a"), target("b")]);
    let limits = Limits::with_profile(TimeoutProfile::STANDARD);
    let mut exchange = Exchange::new(DeliveryMode::Buffered, limits, plan(), at(0)).without_early_head().persevering(plan());
    assert_eq!(begin(&mut exchange, 0), Next::Ask(target("a")));
    assert_eq!(fail(&mut exchange, Failure::IdleTimeout, 1_000), AfterFailure::TryNext);
    begin(&mut exchange, 1_000);
    assert_eq!(fail(&mut exchange, Failure::IdleTimeout, 2_000), AfterFailure::Wait);
    assert_eq!(exchange.wake_at(true), at(12_000));
    assert_eq!(exchange.due(at(12_000), true), Due::Attempt);

    let mut health = Refuses(&["a", "b"], SkipReason::BreakerOpen, Some(at(40_000)));
    assert_eq!(exchange.begin_attempt(at(12_000), &mut health), Next::Wait, "every breaker is open");
    assert_eq!(exchange.wake_at(true), at(40_000));
    assert_eq!(begin(&mut exchange, 40_000), Next::Ask(target("a")));
    assert!(matches!(fail(&mut exchange, Failure::ContentBlocked, 41_000), AfterFailure::End(_)), "what fails closed is not tried again");
}

#[test]
fn a_request_that_had_to_be_sent_again_counts_as_two_attempts_at_its_target() {
    let mut exchange = asking(DeliveryMode::Stream, &["a", "b"]);
    exchange.sent_again();
    assert_eq!(fail(&mut exchange, Failure::ConnectFailed, 1), AfterFailure::TryNext, "once more was enough");
    assert_eq!(begin(&mut exchange, 1), Next::Ask(target("b")));
    assert!(matches!(fail(&mut exchange, Failure::UpstreamError, 2), AfterFailure::End(_)), "three requests were made");
}

#[test]
fn a_whole_answer_that_does_not_come_leaves_the_other_target_half_of_the_time() {
    let mut exchange = ask(exchange(DeliveryMode::Buffered, &["a", "b"]).without_early_head().for_whole_answer());
    assert_eq!(exchange.due(at(90_000), true), Due::Failed(Failure::FirstByteTimeout));
    assert_eq!(fail(&mut exchange, Failure::FirstByteTimeout, 90_000), AfterFailure::TryNext);
    let mut exchange = ask(exchange);
    assert_eq!(exchange.wake_at(true), at(180_000), "nobody is left after it");
    let answer = EventFacts { has_output: true, ..proof() };
    assert_eq!(exchange.whole_answer(&answer, at(170_000)), Verdict::Finish { write_sentinel: false });
}

#[test]
fn a_refusal_whose_reason_does_not_come_is_judged_by_its_status() {
    for mode in [DeliveryMode::Stream, DeliveryMode::Buffered] {
        let mut exchange = ask(exchange(mode, &["a"]).without_early_head().for_whole_answer());
        exchange.refused(at(1_000));
        assert_eq!(exchange.wake_at(true), at(3_000));
        assert_eq!(exchange.due(at(3_000), true), Due::JudgeRefusal);
    }
}

//! A primary that is away for a while under steady traffic.

use std::num::NonZeroU32;

use tidegate_core::breaker::BreakerPolicy;

use super::crowd::Crowd;
use super::*;

const COOLDOWN: Duration = BreakerPolicy::STANDARD.cooldown;
const FIRST_BYTE: Duration = TimeoutProfile::STANDARD.first_byte;

/// Steady requests for `a`, with `b` as its fallback.
struct Drill {
    /// Requests in a second.
    rate: u32,
    /// What `a` does while it is away.
    away: &'static str,
    /// When it goes away and when it is back, in seconds.
    outage: (u64, u64),
    /// When the last request comes, in seconds.
    until: u64,
}

/// How it went.
struct Report {
    crowd: Crowd,
    streams: Vec<Stream>,
}

/// What is remembered of one stream.
struct Stream {
    arrived: Moment,
    /// Whose answer the client read; empty if nobody's.
    answer: String,
    took: Duration,
    attempts: usize,
}

fn second(seconds: u64) -> Moment {
    Moment::ORIGIN + Duration::from_secs(seconds)
}

impl Drill {
    fn play(&self) -> Report {
        self.play_with(BreakerPolicy::STANDARD, "; b: 50ms norole 'b' done")
    }

    fn play_with(&self, policy: BreakerPolicy, others: &str) -> Report {
        let well = scenario(&format!("a: 50ms norole 'a' done{others}"));
        let away = scenario(&format!("a: {}{others}", self.away));
        let (from, to) = (second(self.outage.0), second(self.outage.1));
        let gap = Duration::from_secs(1) / self.rate;
        let moments = (0..).map(|n| Moment::ORIGIN + gap * n).take_while(|at| *at < second(self.until));
        let request = |at| (at, Simulation::new(&well, DeliveryMode::Stream).from_then_on(from, &away).from_then_on(to, &well));
        let mut crowd = Crowd::new(policy);
        let played = crowd.play(moments.clone().map(request));
        let streams = moments.zip(played).map(|(arrived, Simulated { view, exchange, .. })| {
            let (answer, attempts) = (view.text(), exchange.tally().asked().count());
            Stream { arrived, answer, took: view.ended, attempts }
        });
        Report { streams: streams.collect(), crowd }
    }
}

impl Report {
    /// Nobody was left without an answer.
    fn all_are_answered(&self) {
        assert!(self.streams.iter().all(|stream| stream.answer == "a" || stream.answer == "b"));
    }

    fn attempts(&self) -> usize {
        self.streams.iter().map(|stream| stream.attempts).sum()
    }

    /// From when on every request is answered by the primary.
    fn back_at(&self) -> Moment {
        self.streams.iter().rev().take_while(|stream| stream.answer == "a").last().map_or(Moment::FAR, |stream| stream.arrived)
    }

    /// The longest answer but one in a hundred.
    fn p99(&self) -> Duration {
        let mut took: Vec<_> = self.streams.iter().map(|stream| stream.took).collect();
        took.sort_unstable();
        took[took.len() * 99 / 100]
    }

    fn shortest_time_between_probes(&self) -> Duration {
        self.crowd.probes.windows(2).map(|pair| pair[1].since(pair[0])).min().unwrap_or(Duration::MAX)
    }
}

#[test]
fn a_minute_of_errors_is_served_by_the_fallback_and_multiplies_nothing() {
    let report = Drill { rate: 200, away: "50ms status 503", outage: (10, 70), until: 105 }.play();
    report.all_are_answered();
    let requests = report.streams.len();
    assert_eq!(requests, 21_000);
    assert!(report.attempts() * 10 <= requests * 12, "{} attempts", report.attempts());
    assert!(report.attempts() - requests < 50, "only what was under way when the breaker opened: {}", report.attempts());
    assert!(report.shortest_time_between_probes() >= COOLDOWN, "{:?}", report.crowd.probes);
    assert!(report.back_at() <= second(70) + COOLDOWN, "{:?}", report.back_at());
    assert_eq!(report.p99(), Duration::from_millis(50));
    let by_fallback = report.streams.iter().filter(|stream| stream.answer == "b").count();
    assert!((12_000..12_100).contains(&by_fallback), "{by_fallback}");
}

/// Nobody knows of the silence before the first-byte limit has run out once, so each request of that time waits for it. A wait in vain is
/// no repetition: it takes nothing out of the retry budget, and the budget could not make it shorter.
#[test]
fn a_minute_of_silence_costs_each_request_of_the_first_half_minute_one_wait() {
    let report = Drill { rate: 100, away: "stall", outage: (10, 70), until: 105 }.play();
    report.all_are_answered();
    let requests = report.streams.len();
    let waited = report.streams.iter().filter(|stream| stream.attempts > 1).count();
    assert_eq!(report.attempts(), requests + waited);
    assert!((3_000..3_010).contains(&waited), "the requests of 30 s, and five that opened the breaker: {waited}");
    assert_eq!((report.crowd.allowed, report.crowd.refused), (0, 0), "the budget is not asked");
    let longest = report.streams.iter().map(|stream| stream.took).max();
    assert_eq!(longest, Some(FIRST_BYTE + Duration::from_millis(50)), "the first-byte limit and one attempt");
    assert!(report.shortest_time_between_probes() >= COOLDOWN, "{:?}", report.crowd.probes);
    assert!(report.back_at() <= second(70) + COOLDOWN, "{:?}", report.back_at());
}

#[test]
fn whenever_the_primary_returns_it_is_asked_again_within_a_cool_down() {
    for back in [41, 55, 70, 71, 72, 100] {
        let report = Drill { rate: 5, away: "50ms status 503", outage: (10, back), until: back + 40 }.play();
        report.all_are_answered();
        assert!(report.shortest_time_between_probes() >= COOLDOWN, "{back}: {:?}", report.crowd.probes);
        assert!(report.back_at() <= second(back) + COOLDOWN, "{back}: {:?}", report.back_at());
    }
}

/// The probe of a silent target needs the first-byte limit to find out that it is still silent.
#[test]
fn a_silent_primary_that_returns_during_its_probe_is_asked_again_a_cool_down_after_that_has_failed() {
    for back in [50, 69, 71, 99, 101] {
        let report = Drill { rate: 5, away: "stall", outage: (10, back), until: back + 70 }.play();
        report.all_are_answered();
        assert!(report.shortest_time_between_probes() >= COOLDOWN, "{back}: {:?}", report.crowd.probes);
        assert!(report.back_at() <= second(back) + FIRST_BYTE + COOLDOWN, "{back}: {:?}", report.back_at());
    }
}

#[test]
fn a_limited_primary_rests_as_long_as_it_asks_and_opens_no_breaker() {
    let report = Drill { rate: 20, away: "50ms status 429 retry-after 20s", outage: (10, 70), until: 95 }.play();
    report.all_are_answered();
    assert!(report.attempts() - report.streams.len() <= 3 * 2, "whoever was under way when it began to rest: {}", report.attempts());
    assert_eq!(report.crowd.probes, []);
    assert!(report.back_at() <= second(70) + Duration::from_secs(20), "{:?}", report.back_at());
    assert_eq!(report.crowd.allowed, 0, "the fallback answers sooner");
}

#[test]
fn without_a_fallback_most_are_told_at_once_that_nobody_can_answer() {
    let report = Drill { rate: 20, away: "50ms status 503", outage: (10, 70), until: 105 }.play_with(BreakerPolicy::STANDARD, "");
    let unanswered: Vec<_> = report.streams.iter().filter(|stream| stream.answer.is_empty()).collect();
    assert!((1_200..1_220).contains(&unanswered.len()), "{}", unanswered.len());
    assert!(unanswered.iter().filter(|stream| stream.attempts > 0).count() < 20);
    assert!(report.attempts() < report.streams.len());
    assert!(report.back_at() <= second(70) + COOLDOWN, "{:?}", report.back_at());
}

#[test]
fn where_no_breaker_opens_the_budget_bounds_the_repetitions() {
    let never = BreakerPolicy { failures: NonZeroU32::MAX, ..BreakerPolicy::STANDARD };
    let report = Drill { rate: 100, away: "50ms status 503", outage: (10, 40), until: 40 }.play_with(never, "");
    let repeated = report.attempts() - report.streams.len();
    assert_eq!(report.crowd.allowed, repeated);
    // In each ten seconds a fifth of their requests, and the floor.
    assert!((500..=3 * (200 + 10)).contains(&repeated), "{repeated}");
    assert!(report.crowd.refused > repeated);
}

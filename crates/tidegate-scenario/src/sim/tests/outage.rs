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
    /// Nobody was left without an answer, and no request was multiplied beyond `share`.
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

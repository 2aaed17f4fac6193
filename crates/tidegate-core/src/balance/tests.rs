use std::iter;

use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> Moment {
    Moment::after_origin(Duration::from_millis(millis))
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn idle(weight: u32) -> Candidate {
    Candidate { weight, load: Load::default() }
}

fn loaded(weight: u32, latency: Option<u64>, outstanding: u32) -> Candidate {
    Candidate { weight, load: Load { latency: latency.map(millis), outstanding } }
}

/// A small generator with a seed (`SplitMix64`), so that a test draws the same numbers each time.
fn numbers(mut seed: u64) -> impl FnMut() -> f64 {
    move || {
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = seed;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let upper = u32::try_from((bits ^ (bits >> 31)) >> 32).expect("32 bits");
        f64::from(upper) / 2_f64.powi(32)
    }
}

fn ordered(balance: Balance, candidates: &[Candidate], random: &mut impl FnMut() -> f64) -> Vec<usize> {
    order(balance, candidates, random).collect()
}

/// How many of 10,000 orders have each candidate in this place.
fn share_of_place(place: usize, balance: Balance, candidates: &[Candidate]) -> Vec<u32> {
    let mut random = numbers(7);
    let mut shares = vec![0; candidates.len()];
    for _ in 0..10_000 {
        shares[ordered(balance, candidates, &mut random)[place]] += 1;
    }
    shares
}

#[test]
fn the_written_order_asks_neither_weights_nor_chance() {
    let candidates = [idle(0), idle(9), idle(1)];
    assert_eq!(ordered(Balance::Order, &candidates, &mut || panic!("drew")), [0, 1, 2]);
    for balance in [Balance::Weight, Balance::Latency, Balance::LeastOutstanding] {
        assert_eq!(ordered(balance, &[idle(3)], &mut || panic!("drew")), [0]);
        assert_eq!(ordered(balance, &[], &mut || panic!("drew")), [0; 0]);
    }
}

#[test]
fn each_place_is_drawn_by_weight_among_those_that_are_left() {
    let candidates = [idle(6), idle(0), idle(3), idle(1)];
    let first = share_of_place(0, Balance::Weight, &candidates);
    let second = share_of_place(1, Balance::Weight, &candidates);
    // Second: 0.3 × 6/7 + 0.1 × 6/9, 0.6 × 3/4 + 0.1 × 3/9, 0.6 × 1/4 + 0.3 × 1/7.
    for (drawn, expected) in first.iter().zip([6_000, 0, 3_000, 1_000]).chain(second.iter().zip([3_238, 0, 4_833, 1_929])) {
        assert!(drawn.abs_diff(expected) <= 150, "{first:?} and {second:?}");
    }
    assert_eq!(share_of_place(3, Balance::Weight, &candidates), [0, 10_000, 0, 0]);
}

#[test]
fn targets_without_weight_come_last_as_written_and_first_only_among_themselves() {
    for balance in [Balance::Weight, Balance::Latency, Balance::LeastOutstanding] {
        let busy = loaded(1, Some(9_000), 9);
        assert_eq!(ordered(balance, &[idle(0), busy, idle(0)], &mut numbers(1)), [1, 0, 2], "{balance:?}");
        assert_eq!(ordered(balance, &[idle(0), idle(0)], &mut numbers(1)), [0, 1], "{balance:?}");
    }
}

#[test]
fn the_quicker_of_two_is_first_and_the_rest_follows_by_cost() {
    // Costs 300, 400, 200 and 1,000 ms.
    let candidates = [loaded(1, Some(300), 0), loaded(1, Some(100), 3), loaded(1, Some(200), 0), loaded(1, Some(500), 1)];
    let first = share_of_place(0, Balance::Latency, &candidates);
    assert_eq!(first[3], 0, "the slowest wins against nobody");
    // Of six pairs the cheapest is in three, the second in two without it, the third in one.
    for (drawn, expected) in first.iter().zip([3_333, 1_667, 5_000, 0]) {
        assert!(drawn.abs_diff(expected) <= 200, "{first:?}");
    }
    let mut random = numbers(3);
    for _ in 0..100 {
        let order = ordered(Balance::Latency, &candidates, &mut random);
        let mut by_cost = vec![2, 0, 1, 3];
        by_cost.retain(|index| *index != order[0]);
        assert_eq!(order[1..], by_cost);
    }
}

#[test]
fn an_unknown_target_is_tried_first_but_by_one_request_at_a_time() {
    let known = loaded(1, Some(10), 3);
    let mut random = numbers(5);
    assert_eq!(ordered(Balance::Latency, &[known, loaded(1, None, 0)], &mut random), [1, 0]);
    assert_eq!(ordered(Balance::Latency, &[known, loaded(1, None, 1)], &mut random), [0, 1]);
    assert_eq!(ordered(Balance::Latency, &[known, loaded(1, Some(0), 1)], &mut random), [0, 1], "so long unheard that it is unknown again");
}

#[test]
fn fewer_attempts_under_way_win_in_proportion_to_the_weight() {
    let mut random = numbers(11);
    for (a, b, first) in [((1, 5), (1, 4), 1), ((2, 5), (1, 4), 0), ((1, 3), (3, 8), 1), ((1, 0), (100, 1), 0)] {
        let candidates = [a, b].map(|(weight, outstanding)| loaded(weight, None, outstanding));
        assert_eq!(ordered(Balance::LeastOutstanding, &candidates, &mut random).first(), Some(&first), "{a:?} {b:?}");
    }
}

#[test]
fn numbers_outside_their_range_do_no_harm() {
    let candidates = [idle(1), idle(2), idle(3)];
    for number in [-1.0, 1.0, 2.0, f64::NAN, f64::INFINITY] {
        let mut order = ordered(Balance::Weight, &candidates, &mut || number);
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2], "{number}");
    }
}

/// Three targets behind the latency-aware choice, with one request each 10 ms.
struct Traffic {
    /// How long each target takes now.
    takes: [Duration; 3],
    averages: [PeakEwma; 3],
    /// Of each target, when its requests began and end.
    under_way: [Vec<(Moment, Moment)>; 3],
    random: Box<dyn FnMut() -> f64>,
    now: Moment,
}

impl Traffic {
    fn new(takes: [u64; 3]) -> Self {
        let under_way = iter::repeat_with(Vec::new).take(3).collect::<Vec<_>>().try_into().expect("three");
        Self { takes: takes.map(millis), averages: Default::default(), under_way, random: Box::new(numbers(42)), now: Moment::ORIGIN }
    }

    /// Runs for this many seconds. Returns how many requests each target was asked first.
    fn run(&mut self, seconds: u32) -> [u32; 3] {
        let mut asked = [0; 3];
        for _ in 0..seconds * 100 {
            self.now = self.now + millis(10);
            let now = self.now;
            for (average, under_way) in self.averages.iter_mut().zip(&mut self.under_way) {
                for (began, ended) in under_way.extract_if(.., |(_, end)| *end <= now) {
                    average.observe(ended.since(began), ended);
                }
            }
            let candidates: Vec<_> = (0..3)
                .map(|target| {
                    let outstanding = u32::try_from(self.under_way[target].len()).expect("few");
                    Candidate { weight: 1, load: Load { latency: self.averages[target].value(now), outstanding } }
                })
                .collect();
            let first = order(Balance::Latency, &candidates, &mut self.random).next().expect("three");
            self.under_way[first].push((now, now + self.takes[first]));
            asked[first] += 1;
        }
        asked
    }
}

#[test]
fn a_target_that_becomes_slow_gets_little_and_much_again_once_it_is_well() {
    let mut traffic = Traffic::new([100, 100, 100]);
    let even = traffic.run(30);
    assert!(even.iter().all(|asked| (700..1_300).contains(asked)), "{even:?}");

    traffic.takes[2] = millis(2_000);
    traffic.run(5);
    let slow = traffic.run(60);
    assert!((1..=120).contains(&slow[2]), "2 % at most, but some, or its recovery would stay unseen: {slow:?}");

    traffic.takes[2] = millis(100);
    traffic.run(60);
    let well = traffic.run(30);
    assert!(well.iter().all(|asked| (700..1_300).contains(asked)), "{well:?}");
}

#[test]
fn the_average_jumps_to_a_peak_and_sinks_to_what_is_newer_within_tens_of_seconds() {
    let mut average = PeakEwma::default();
    assert_eq!(average.value(at(0)), None);
    average.observe(millis(100), at(0));
    average.observe(millis(1_000), at(1));
    assert_eq!(average.value(at(1)), Some(millis(1_000)));
    // 1,000 / e + 100 × (1 - 1 / e).
    average.observe(millis(100), at(10_001));
    assert_eq!(average.value(at(10_001)).map(|value| value.as_millis()), Some(431));
    (11..=60).for_each(|second| average.observe(millis(100), at(second * 1_000)));
    assert_eq!(average.value(at(60_000)).map(|value| value.as_millis()), Some(102));
}

#[test]
fn when_nothing_is_heard_the_average_sinks_to_nothing() {
    let mut average = PeakEwma::default();
    average.observe(millis(1_000), at(0));
    assert_eq!(average.value(at(10_000)).map(|value| value.as_millis()), Some(367));
    assert_eq!(average.value(Moment::FAR), Some(Duration::ZERO));
    average.observe(Duration::MAX, at(0));
    assert_eq!(average.value(at(0)), Some(Duration::MAX));
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let weight = prop_oneof![Just(0), 1_u32..10, any::<u32>()];
    let candidate = (weight, any::<Option<Duration>>(), any::<u32>())
        .prop_map(|(weight, latency, outstanding)| Candidate { weight, load: Load { latency, outstanding } });
    prop::collection::vec(candidate, 0..8)
}

proptest! {
    #[test]
    fn every_candidate_comes_once_and_those_without_weight_behind_the_others(candidates in candidates(), seed in any::<u64>()) {
        for balance in [Balance::Order, Balance::Weight, Balance::Latency, Balance::LeastOutstanding] {
            let order = ordered(balance, &candidates, &mut numbers(seed));
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert!(sorted.into_iter().eq(0..candidates.len()), "{:?}", balance);
            let weightless: Vec<_> = order.iter().map(|index| candidates[*index].weight == 0).collect();
            prop_assert!(balance == Balance::Order || weightless.is_sorted(), "{:?}: {:?}", balance, order);
        }
    }

    #[test]
    fn the_average_lies_between_nothing_and_the_longest_and_never_rises_in_silence(
        heard in prop::collection::vec((0_u64..100_000, 0_u64..60_000), 1..20), silence in 0_u64..100_000,
    ) {
        let mut average = PeakEwma::default();
        let (mut now, mut longest) = (0, 0);
        for (rtt, wait) in heard {
            now += wait;
            longest = longest.max(rtt);
            average.observe(millis(rtt), at(now));
            let value = average.value(at(now)).expect("observed");
            // A nanosecond for rounding.
            prop_assert!(value + Duration::from_nanos(1) >= millis(rtt) && value <= millis(longest) + Duration::from_nanos(1));
        }
        prop_assert!(average.value(at(now + silence)) <= average.value(at(now)));
    }
}

//! In which order a model's targets are asked.

use std::ops::Range;
use std::time::Duration;
use std::vec;

use crate::clock::Moment;

/// How the first target is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Balance {
    /// In the order written.
    #[default]
    Order,
    /// Drawn by weight.
    Weight,
    /// The quicker of two drawn by weight: peak-EWMA of the time to the first output.
    Latency,
    /// The one of two drawn by weight with fewer attempts under way.
    LeastOutstanding,
}

/// One of a model's targets, as the choice sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// How often it is drawn, against the others' weights. Zero: never first, unless all are zero.
    pub weight: u32,
    /// What it is doing.
    pub load: Load,
}

/// What a target is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// [`PeakEwma::value`] of its time to the first output. `None`: it never answered.
    pub latency: Option<Duration>,
    /// Attempts under way.
    pub outstanding: u32,
}

/// The order in which candidates are asked, as indices into them; each comes once. See [`order`].
#[derive(Debug, Clone)]
pub enum Order {
    /// As written. Nothing is allocated.
    Written(Range<usize>),
    /// As drawn.
    Drawn(vec::IntoIter<usize>),
}

/// The order in which `candidates` are asked. `random` gives numbers from 0 up to, not including, 1.
///
/// - [`Balance::Order`]: as written, whatever the weights.
/// - [`Balance::Weight`]: each place is drawn by weight among those that are left.
/// - [`Balance::Latency`], [`Balance::LeastOutstanding`]: two are drawn by weight and the one with the lower cost is first; the rest
///   follows by cost. Two and not all, so that not every request of a moment runs to the same best target.
///
/// The cost by latency is `latency × (outstanding + 1)`, the time that one more request would wait. A target that never answered costs
/// nothing, so that it is tried, but only while nothing is under way there: then it costs more than any other until it answers, or all
/// requests would follow the first into the unknown. The cost by outstanding attempts is their number divided by the weight.
///
/// Candidates of weight zero come last, as written.
pub fn order(balance: Balance, candidates: &[Candidate], random: &mut impl FnMut() -> f64) -> Order {
    let drawn = candidates.iter().filter(|candidate| candidate.weight > 0).count();
    if balance == Balance::Order || candidates.len() < 2 || drawn == 0 {
        return Order::Written(0..candidates.len());
    }
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|index| candidates[*index].weight == 0);
    let by_weight = &mut order[..drawn];
    match balance {
        Balance::Order | Balance::Weight => draw(drawn, by_weight, candidates, random),
        Balance::Latency => best_of_two(by_weight, candidates, latency_cost, random),
        Balance::LeastOutstanding => best_of_two(by_weight, candidates, outstanding_cost, random),
    }
    Order::Drawn(order.into_iter())
}

/// Puts the cheaper of two that are drawn by weight first, and the rest behind it by cost.
fn best_of_two(order: &mut [usize], candidates: &[Candidate], cost: fn(&Candidate) -> f64, random: &mut impl FnMut() -> f64) {
    let by_cost = |a: &usize, b: &usize| cost(&candidates[*a]).total_cmp(&cost(&candidates[*b]));
    let drawn = order.len().min(2);
    draw(drawn, order, candidates, random);
    order[..drawn].sort_by(by_cost);
    order[1..].sort_by(by_cost);
}

/// Draws the first `places` of `order` by weight, each among those that are left.
fn draw(places: usize, order: &mut [usize], candidates: &[Candidate], random: &mut impl FnMut() -> f64) {
    for place in 0..places {
        let left = &mut order[place..];
        let weights = || left.iter().map(|index| f64::from(candidates[*index].weight));
        let point = random() * weights().sum::<f64>();
        let ends = weights().scan(0.0, |end, weight| {
            *end += weight;
            Some(*end)
        });
        // The last end is the sum, and `point` lies below it unless it was rounded up.
        let drawn = ends.take(left.len() - 1).take_while(|end| *end <= point).count();
        left.swap(0, drawn);
    }
}

fn latency_cost(candidate: &Candidate) -> f64 {
    let Load { latency, outstanding } = candidate.load;
    let latency = latency.unwrap_or_default();
    if latency.is_zero() && outstanding > 0 { f64::INFINITY } else { latency.as_secs_f64() * (f64::from(outstanding) + 1.0) }
}

fn outstanding_cost(candidate: &Candidate) -> f64 {
    f64::from(candidate.load.outstanding) / f64::from(candidate.weight)
}

impl Iterator for Order {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        match self {
            Self::Written(indices) => indices.next(),
            Self::Drawn(indices) => indices.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Written(indices) => indices.size_hint(),
            Self::Drawn(indices) => indices.size_hint(),
        }
    }
}

impl ExactSizeIterator for Order {}

/// How long a target takes, pessimistic at once and optimistic slowly: a moving average that jumps to each peak.
///
/// A time at or above the average becomes the average, because a target that was slow once is probably slow now. Shorter times pull it
/// down with a time constant of ten seconds. When nothing is heard the value sinks towards zero at the same pace, so that a target
/// which is avoided is tried again some day.
#[derive(Debug, Clone, Copy, Default)]
pub struct PeakEwma {
    /// The average when it was last observed, in seconds, and when that was.
    last: Option<(f64, Moment)>,
}

impl PeakEwma {
    /// The time in which the weight of what was heard falls to 1/e. Twitter's Finagle, which the method is from, has ten seconds too.
    pub const DECAY: Duration = Duration::from_secs(10);

    /// Takes in that something took `rtt` and ended now.
    pub fn observe(&mut self, rtt: Duration, now: Moment) {
        let rtt = rtt.as_secs_f64();
        self.last = Some(match self.last {
            Some((average, then)) if rtt < average => {
                let kept = kept(then, now);
                (average * kept + rtt * (1.0 - kept), then.max(now))
            }
            _ => (rtt, now),
        });
    }

    /// How long the target would take now. `None`: nothing was ever observed.
    #[must_use]
    pub fn value(&self, now: Moment) -> Option<Duration> {
        let (average, then) = self.last?;
        Some(Duration::try_from_secs_f64(average * kept(then, now)).unwrap_or(Duration::MAX))
    }
}

/// The weight of what was heard `then`, 1 down to 0.
fn kept(then: Moment, now: Moment) -> f64 {
    (-now.since(then).as_secs_f64() / PeakEwma::DECAY.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests;

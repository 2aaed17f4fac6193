//! What all streams of a process know together about the targets, as one stream's decisions ask it.

use crate::breaker::Refusal;
use crate::clock::Moment;
use crate::route::Target;

/// Asked before each attempt. The gateway answers from breakers, caches and the retry budget; a test answers what it wants.
pub trait Health {
    /// Whether `target` may be asked at `now`. `Ok` takes whatever place the attempt needs there, for example that of a breaker's probe.
    ///
    /// # Errors
    ///
    /// [`Skip`]: the target is passed over and the record says why.
    fn admit(&mut self, target: &Target, now: Moment) -> Result<(), Skip>;

    /// Whether `target` could be asked at `now`, as far as can be told without taking the place that [`Health::admit`] takes.
    fn could_admit(&self, _target: &Target, _now: Moment) -> bool {
        true
    }

    /// Whether the retry budget has room for one more repetition at the same target. `true` takes it.
    fn may_repeat(&mut self, now: Moment) -> bool;

    /// A random number from 0 to 1, for jitter.
    fn chance(&mut self) -> f64;
}

/// Why a target is passed over, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skip {
    /// Why.
    pub reason: SkipReason,
    /// When it may be asked again, where that is known.
    pub until: Option<Moment>,
}

impl Skip {
    /// What a breaker's refusal means for the target behind it.
    #[must_use]
    pub fn refused(reason: Refusal, until: Moment) -> Self {
        let reason = match reason {
            Refusal::Open => SkipReason::BreakerOpen,
            Refusal::CoolingDown => SkipReason::CoolingDown,
            Refusal::Probing => SkipReason::Probing,
        };
        Self { reason, until: Some(until) }
    }
}

/// Why a target is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// Its breaker is open.
    BreakerOpen,
    /// Its breaker lets one probe through, and that is another stream.
    Probing,
    /// It asked to be left alone for a while (429 with `Retry-After`).
    CoolingDown,
    /// The deadline leaves no time for an answer.
    DeadlineTooShort,
    /// The caller's key may not use the model.
    NotAllowed,
    /// The cache holds no answer to this request.
    NotCached,
}

impl SkipReason {
    /// In an attempt's `decision_reason`.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::BreakerOpen => "skipped: its breaker is open",
            Self::Probing => "skipped: its breaker is half open and another request probes it",
            Self::CoolingDown => "skipped: it asked for a pause that is not over",
            Self::DeadlineTooShort => "skipped: the deadline leaves no time for it",
            Self::NotAllowed => "skipped: the key may not use this model",
            Self::NotCached => "skipped: nothing cached",
        }
    }
}

/// A world in which everything may be asked and chance is nought, for whoever decides about one stream alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllHealthy;

impl Health for AllHealthy {
    fn admit(&mut self, _target: &Target, _now: Moment) -> Result<(), Skip> {
        Ok(())
    }

    fn may_repeat(&mut self, _now: Moment) -> bool {
        true
    }

    fn chance(&mut self) -> f64 {
        0.0
    }
}

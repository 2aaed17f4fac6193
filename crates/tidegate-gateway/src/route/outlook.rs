//! What one stream's decisions ask of everything that all streams share.

use std::time::Duration;

use bytes::Bytes;
use tidegate_core::Moment;
use tidegate_core::health::{Health, Skip, SkipReason};
use tidegate_core::route::Target;

use super::places::Place;
use super::standing::Ticket;
use crate::gateway::Gateway;
use crate::route::cache::CacheKey;

/// Breakers, the retry budget, the cache and chance, as one stream sees them.
#[derive(Debug)]
pub struct Outlook<'a> {
    /// What all streams share.
    pub gateway: &'a Gateway,
    /// What stands behind the targets. Empty once the line is crossed.
    pub places: &'a [Place],
    /// Under which the answer may be cached.
    pub cache_key: Option<&'a CacheKey>,
    /// The attempt that was admitted.
    pub ticket: &'a mut Option<Ticket>,
    /// The cached answer that was found.
    pub cached: &'a mut Option<Bytes>,
}

impl Health for Outlook<'_> {
    fn admit(&mut self, target: &Target, now: Moment) -> Result<(), Skip> {
        match self.places.get(target.place) {
            Some(Place::Provider(place)) if !place.is_allowed => Err(Skip { reason: SkipReason::NotAllowed, until: None }),
            Some(Place::Provider(place)) => {
                *self.ticket = Some(place.standing.admit(self.gateway.clock, now)?);
                Ok(())
            }
            Some(Place::Cached(oldest)) => {
                *self.cached = self.cache_key.and_then(|key| self.gateway.cache.get(key, *oldest, now));
                self.cached.as_ref().map(drop).ok_or(Skip { reason: SkipReason::NotCached, until: None })
            }
            Some(Place::Static(_) | Place::Notify) | None => Ok(()),
        }
    }

    fn rests_for(&mut self, target: &Target, now: Moment) -> Option<Duration> {
        match self.places.get(target.place)? {
            Place::Provider(place) => place.standing.rests_for(now),
            Place::Cached(_) | Place::Static(_) | Place::Notify => None,
        }
    }

    fn may_repeat(&mut self, now: Moment) -> bool {
        let may = self.gateway.retry_budget().may_repeat(now);
        if !may {
            self.gateway.metrics.retry_refused();
        }
        may
    }

    fn chance(&mut self) -> f64 {
        rand::random()
    }
}

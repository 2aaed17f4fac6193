//! What one stream's decisions ask of everything that all streams share.

use bytes::Bytes;
use tidegate_core::Moment;
use tidegate_core::health::{Health, Skip, SkipReason};
use tidegate_core::route::Target;

use super::places::Place;
use super::standing::Ticket;
use crate::gateway::Gateway;
use crate::relay::prospects::Prospects;
use crate::route::cache::CacheKey;

/// Breakers, the retry budget, the cache and chance, as one stream sees them.
#[derive(Debug)]
pub struct Outlook<'a> {
    gateway: &'a Gateway,
    /// What stands behind the targets. Empty once the line is crossed.
    places: &'a [Place],
    cache_key: Option<&'a CacheKey>,
    /// The attempt that was admitted.
    pub ticket: Option<Ticket>,
    /// The cached answer that was found.
    pub cached: Option<Bytes>,
}

impl<'a> Outlook<'a> {
    /// As seen by a stream with these prospects; one that may ask nobody any more has none.
    #[must_use]
    pub fn of(gateway: &'a Gateway, prospects: Option<&'a Prospects>) -> Self {
        Self {
            gateway,
            places: prospects.map_or(&[], |prospects| &prospects.places),
            cache_key: prospects.and_then(|prospects| prospects.cache_key.as_ref()),
            ticket: None,
            cached: None,
        }
    }
}

impl Health for Outlook<'_> {
    fn admit(&mut self, target: &Target, now: Moment) -> Result<(), Skip> {
        match self.places.get(target.place) {
            Some(Place::Provider(place)) if !place.is_allowed => Err(Skip { reason: SkipReason::NotAllowed, until: None }),
            Some(Place::Provider(place)) => {
                self.ticket = Some(place.standing.admit(self.gateway.clock, now)?);
                Ok(())
            }
            Some(Place::Cached(oldest)) => {
                self.cached = self.cache_key.and_then(|key| self.gateway.cache.get(key, *oldest, now));
                self.cached.as_ref().map(drop).ok_or(Skip { reason: SkipReason::NotCached, until: None })
            }
            Some(Place::Static(_) | Place::Notify) | None => Ok(()),
        }
    }

    fn could_admit(&self, target: &Target, now: Moment) -> bool {
        match self.places.get(target.place) {
            Some(Place::Provider(place)) => place.is_allowed && !place.standing.rests(now),
            Some(Place::Cached(_) | Place::Static(_) | Place::Notify) | None => true,
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

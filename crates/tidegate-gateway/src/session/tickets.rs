//! One-time tickets: a page opens its session with one, so that no key has to be in its code or its address.
//!
//! A program that holds a key asks for a ticket and gives it to the page; whoever comes with it first is that key's caller. Tickets are
//! memory of one process: with several gateways, a ticket has to be used at the one that gave it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tidegate_core::Moment;
use tidegate_core::failure::Failure;
use tidegate_core::id::KeyId;
use tidegate_ledger::KeyTable;

use crate::admit::Caller;

/// How long a ticket may be used: a page loads and connects within it.
pub const VALID_FOR: Duration = Duration::from_secs(60);
/// Unused tickets of all callers. A ticket costs about a hundred bytes.
const MOST: usize = 10_000;
/// Unused tickets of one caller, so that none takes the others' places.
const MOST_OF_ONE: usize = 1_000;

/// The tickets that were given and not used yet. What is kept of one is its hash.
#[derive(Debug, Default)]
pub struct Tickets {
    unused: Mutex<HashMap<[u8; 32], Ticket>>,
}

#[derive(Debug)]
struct Ticket {
    /// Whose; `None` where the gateway was open.
    key: Option<KeyId>,
    expires: Moment,
}

impl Tickets {
    /// A new ticket for `caller`: 256 random bits, to be used once within [`VALID_FOR`].
    ///
    /// # Errors
    ///
    /// `rate_limited` where this caller, and `gateway_overloaded` where all callers together have too many unused ones.
    pub fn issue(&self, caller: &Caller, now: Moment) -> Result<String, Failure> {
        let key = match caller {
            Caller::Open => None,
            Caller::Key(key) => Some(key.id),
        };
        let text = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        // One pass over a bounded table, and only who holds a key can ask for it.
        let mut of_this_caller = 0;
        unused.retain(|_, ticket| {
            let is_kept = now < ticket.expires;
            of_this_caller += usize::from(is_kept && ticket.key == key);
            is_kept
        });
        if of_this_caller >= MOST_OF_ONE {
            return Err(Failure::RateLimited);
        }
        if unused.len() >= MOST {
            return Err(Failure::GatewayOverloaded);
        }
        unused.insert(hash(&text), Ticket { key, expires: now + VALID_FOR });
        Ok(text)
    }

    /// Uses a ticket up and tells whose it was, as `keys` describes that caller now. `None` if it is unknown, used or expired, or was given
    /// by the right of a key that is revoked since, or of a gateway that is open no longer.
    #[must_use]
    pub fn redeem(&self, text: &str, keys: &KeyTable, now: Moment) -> Option<Caller> {
        let ticket = self.unused.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(text))?;
        if now >= ticket.expires {
            return None;
        }
        match ticket.key {
            Some(id) => keys.by_id(id).cloned().map(Caller::Key),
            None => keys.is_open().then_some(Caller::Open),
        }
    }
}

/// What a ticket is kept as. It is 256 random bits, so a plain hash cannot be guessed back, and the time of a look-up tells nothing.
fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests;

//! Answers that may serve again when no target answers: the `cached` step of a degradation chain.
//!
//! They live in memory, are found by an exact match of the normalised request, and never cross from one team to another. Nothing is stored
//! for a model whose chain has no such step.

use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache as Moka;
use sha2::{Digest, Sha256};
use tidegate_core::Moment;
use tidegate_wire::openai_chat::ChatRequest;

use crate::admit::auth::Caller;

/// Most bytes of answers that are kept; the least used go first.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// An answer larger than this is not kept.
pub const MAX_ANSWER: usize = 1024 * 1024;

/// What makes two requests the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// Of a request by `caller`. Callers of one team share answers, others do not. `None` for a request that cannot be compared.
    #[must_use]
    pub fn of(chat: &ChatRequest, caller: &Caller) -> Option<Self> {
        let request = chat.normalised()?;
        let (kind, whose) = match (caller.team(), caller.key_id()) {
            (Some(team), _) => (b't', team),
            (None, Some(key)) => (b'k', key),
            (None, None) => (b'o', String::new()),
        };
        let mut hash = Sha256::new();
        hash.update([kind]);
        hash.update(u64::try_from(whose.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(whose);
        hash.update(request);
        Some(Self(hash.finalize().into()))
    }
}

/// The stored answers.
#[derive(Debug)]
pub struct Cache {
    answers: Moka<CacheKey, Stored>,
}

#[derive(Debug, Clone)]
struct Stored {
    answer: Bytes,
    at: Moment,
}

impl Default for Cache {
    fn default() -> Self {
        let weight = |_: &CacheKey, stored: &Stored| u32::try_from(stored.answer.len()).unwrap_or(u32::MAX);
        Self { answers: Moka::builder().max_capacity(MAX_BYTES).weigher(weight).build() }
    }
}

impl Cache {
    /// The stored whole answer, where there is one and it is no older than `oldest`.
    #[must_use]
    pub fn get(&self, key: &CacheKey, oldest: Duration, now: Moment) -> Option<Bytes> {
        let stored = self.answers.get(key)?;
        (now.since(stored.at) <= oldest).then_some(stored.answer)
    }

    /// Stores a whole answer in place of an older one.
    pub fn put(&self, key: CacheKey, answer: Bytes, now: Moment) {
        if answer.len() <= MAX_ANSWER {
            self.answers.insert(key, Stored { answer, at: now });
        }
    }
}

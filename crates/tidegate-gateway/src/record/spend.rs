//! What each attempt used and what it cost, and the end of a record that waits for it.
//!
//! Where a provider counted, its numbers stand. Where it did not (it was cut, or its client left), a tokenizer estimates from what was asked and
//! what was shown; that takes milliseconds, so it happens on a thread of its own, and the record is handed over from there.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tidegate_core::event::{Usage, UsageSource};
use tidegate_core::record::{AttemptOutcome, AttemptRecord, StreamRecord};
use tidegate_ledger::Entry;
use tidegate_ledger::spend::{self, PriceTable, Sample};
use tidegate_wire::names::place;
use tidegate_wire::openai_chat::{self, TextSample};

use crate::gateway::Gateway;

/// An attempt that was answered and whose usage nobody told.
#[derive(Debug)]
pub struct Uncounted {
    /// Its place among the stream's attempts.
    pub attempt: usize,
    /// The request that the provider got.
    pub asked: Bytes,
    /// What it answered.
    pub shown: Shown,
}

/// What an uncounted attempt answered.
#[derive(Debug)]
pub enum Shown {
    /// A piece of its events' text; `None` if there was none.
    Piece(Option<TextSample>),
    /// Its whole body.
    Body(Bytes),
}

/// A finished record that lacks nothing but numbers of tokens and money.
#[derive(Debug)]
pub struct Settlement {
    /// The record.
    pub record: StreamRecord,
    /// Its place in the ledger.
    pub entry: Entry,
    /// What models cost, by the settings that the stream began with.
    pub prices: Arc<PriceTable>,
    /// For the metrics.
    pub gateway: Arc<Gateway>,
}

impl Settlement {
    /// Hands the record over, at once where every attempt was counted, otherwise once the rest is estimated. Neither waits nor fails: where
    /// there is no room to estimate, usage stays unknown.
    pub fn settle(self, uncounted: Vec<Uncounted>) {
        if uncounted.is_empty() {
            return self.finish(&[]);
        }
        let gateway = Arc::clone(&self.gateway);
        let shared = Arc::new(Mutex::new(Some(self)));
        let theirs = Arc::clone(&shared);
        let refused = gateway.estimator.submit(Box::new(move || {
            if let Some(settlement) = take(&theirs) {
                settlement.finish(&uncounted);
            }
        }));
        if refused.is_err()
            && let Some(settlement) = take(&shared)
        {
            settlement.finish(&[]);
        }
    }

    fn finish(mut self, uncounted: &[Uncounted]) {
        for Uncounted { attempt, asked, shown } in uncounted {
            if let Some(attempt) = self.record.attempts.get_mut(*attempt).filter(|attempt| is_uncounted(attempt)) {
                attempt.usage = Some(estimate(asked, shown));
            }
        }
        price(&mut self.record, &self.prices);
        self.gateway.metrics.stream_ended(&self.record);
        super::live::log_ending(&self.record);
        self.entry.settle(self.record);
    }
}

/// Each attempt's cost, and the stream's: the sum, where every part of it is known.
pub(super) fn price(record: &mut StreamRecord, prices: &PriceTable) {
    for attempt in &mut record.attempts {
        attempt.cost_usd = match (&attempt.usage, is_own(attempt)) {
            (_, true) => Some(0.0),
            (Some(usage), false) => prices.cost(&attempt.provider, &attempt.model, usage),
            (None, false) => None,
        };
    }
    let asked = || record.attempts.iter().filter(|attempt| attempt.outcome != AttemptOutcome::Skipped);
    let usage = asked().next_back().and_then(|attempt| attempt.usage);
    let costs: Option<Vec<f64>> =
        asked().filter(|attempt| was_answered(attempt) || is_own(attempt)).map(|attempt| attempt.cost_usd).collect();
    record.usage = usage;
    record.cost_usd = costs.filter(|costs| !costs.is_empty()).map(|costs| costs.iter().sum());
}

fn take(shared: &Mutex<Option<Settlement>>) -> Option<Settlement> {
    shared.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn is_uncounted(attempt: &AttemptRecord) -> bool {
    attempt.usage.is_none_or(|usage| usage.source == UsageSource::Unknown)
}

/// The provider began to answer, which is what providers charge for.
fn was_answered(attempt: &AttemptRecord) -> bool {
    attempt.http_status.is_some_and(|status| (200..300).contains(&status))
}

/// The gateway answered by itself.
fn is_own(attempt: &AttemptRecord) -> bool {
    attempt.http_status.is_none()
        && attempt.provider == attempt.model
        && [place::CACHE, place::STATIC, place::NOTIFY].contains(&attempt.provider.as_str())
}

fn estimate(asked: &[u8], shown: &Shown) -> Usage {
    let prompt = openai_chat::prompt_sample(asked);
    let of_body;
    let output = match shown {
        Shown::Piece(piece) => piece.as_ref(),
        Shown::Body(body) => {
            of_body = openai_chat::answer_sample(body);
            of_body.as_ref()
        }
    };
    // An answer that showed nothing has, as far as anybody can tell, no tokens.
    let nothing = Sample { text: "", total_bytes: 0 };
    spend::estimate(prompt.as_ref().map(sample), Some(output.map_or(nothing, sample)))
}

fn sample(piece: &TextSample) -> Sample<'_> {
    Sample { text: &piece.text, total_bytes: piece.total_bytes }
}

//! Records of clients that left are written after everything more urgent.
//!
//! When a proxy in front restarts, thousands of clients leave at the same moment. What matters then is that every provider hears of it, for
//! each token more is paid for; a record may wait for some milliseconds. So records of departed clients queue up on their worker and are
//! written one at a time, and between two of them the event loop serves whoever else is ready.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::live::{Live, Receipt};
use crate::tasks::Tasks;

thread_local! {
    /// This worker's departed streams. Each still holds its permit, so `max_streams` bounds the queue.
    static DEPARTED: RefCell<Departed> = const { RefCell::new(Departed { streams: VecDeque::new(), is_served: false }) };
}

struct Departed {
    streams: VecDeque<(Box<Live>, Receipt)>,
    /// A task works on the queue.
    is_served: bool,
}

/// Settles `live` soon, on this worker. A shutdown waits for it; dropped before, the record is written at once.
pub fn settle(live: Box<Live>, receipt: Receipt, tasks: &Tasks) {
    let starts = DEPARTED.with_borrow_mut(|departed| {
        departed.streams.push_back((live, receipt));
        !std::mem::replace(&mut departed.is_served, true)
    });
    if starts {
        tasks.spawn(work_off(Serving));
    }
}

/// Marks the queue as served for as long as it lives: a task that is dropped, or was never spawned, leaves it to the next.
struct Serving;

impl Drop for Serving {
    fn drop(&mut self) {
        let left = DEPARTED.with_borrow_mut(|departed| {
            departed.is_served = false;
            std::mem::take(&mut departed.streams)
        });
        for (live, receipt) in left {
            settle_now(live, receipt);
        }
    }
}

async fn work_off(_serving: Serving) {
    while let Some((live, receipt)) = DEPARTED.with_borrow_mut(|departed| departed.streams.pop_front()) {
        settle_now(live, receipt);
        tokio::task::yield_now().await;
    }
}

fn settle_now(live: Box<Live>, receipt: Receipt) {
    let delivered = live.delivered;
    live.settle(delivered, receipt);
}

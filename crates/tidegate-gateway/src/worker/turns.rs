//! Whose turn it is on a worker: those whose clients have nothing yet go first.
//!
//! An event loop wakes for many sockets at once, and what it does for each takes some 20 µs. In the order in which they became ready, a new
//! request, or the first event of an answer, waits for all before it: with 500 streams often a quarter of a millisecond, after a pause of the
//! machine several. Whoever reads an answer does not notice a tenth of a millisecond more between two words. So a connection whose client has
//! output of its answer stands back ([`in_turn`]) until everyone else was served who was ready with it, and then a few go on at a time, a
//! quarter at most ([`usher`]), between which the event loop looks who has come.
//!
//! It is an order, not a privilege: a share of those who stand back goes on with each round of the loop, whoever else is ready.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Poll, Waker};

/// Tasks that a worker's event loop runs between two looks at its sockets: one look more for some seven relayed events.
pub(super) const LOOK_EVERY: u32 = 16;
/// And between two looks at those whom another thread woke, such as the ledger's: as often as the usher has its turn, or their wait would not end
/// before that of all who stand back.
pub(super) const ASK_EVERY: u32 = 8;
/// So many of those who stand back go on together, at least.
const TOGETHER: usize = 4;
/// And at least one in so many: a hundred are through in eleven rounds of the loop, a thousand in nineteen.
const SHARE: usize = 4;
/// Places of the list that are kept while it is empty.
const PLACES: usize = 256;

thread_local! {
    static STANDING_BACK: RefCell<StandingBack> = const { RefCell::new(StandingBack { connections: VecDeque::new(), usher: None }) };
}

/// The connections of this worker that let others go first.
struct StandingBack {
    /// In the order in which they became ready.
    connections: VecDeque<Waker>,
    /// The sleeping usher.
    usher: Option<Waker>,
}

/// Runs a client's connection, which stands back whenever it is woken while it `gives_way`.
///
/// It needs the worker's [`usher`].
///
/// # Cancel safety
///
/// As that of `connection`.
pub(crate) async fn in_turn(gives_way: impl Fn() -> bool, mut connection: Pin<&mut impl Future<Output = ()>>) {
    let mut stood_back = false;
    poll_fn(|cx| {
        if !stood_back && gives_way() {
            stood_back = true;
            stand_back(cx.waker().clone());
            return Poll::Pending;
        }
        // Whoever woke it: when the usher comes to it later, it stands back once for nothing.
        stood_back = false;
        connection.as_mut().poll(cx)
    })
    .await;
}

fn stand_back(connection: Waker) {
    let usher = STANDING_BACK.with_borrow_mut(|standing_back| {
        standing_back.connections.push_back(connection);
        standing_back.usher.take()
    });
    if let Some(usher) = usher {
        usher.wake();
    }
}

/// Lets those go on who stand back on this worker; a task like all others, so that everyone who was ready comes before those whom it lets go on.
///
/// # Cancel safety
///
/// It ends with its worker's event loop, not before: without it nobody who stands back goes on.
pub(crate) async fn usher() -> Infallible {
    poll_fn(|cx| {
        let count = STANDING_BACK.with_borrow(|standing_back| standing_back.connections.len());
        let go_on = (count / SHARE).max(TOGETHER);
        for _ in 0..go_on {
            let Some(next) = STANDING_BACK.with_borrow_mut(|standing_back| standing_back.connections.pop_front()) else { break };
            next.wake();
        }
        if go_on < count {
            cx.waker().wake_by_ref();
        } else {
            STANDING_BACK.with_borrow_mut(|standing_back| {
                standing_back.connections.shrink_to(PLACES);
                standing_back.usher = Some(cx.waker().clone());
            });
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests;

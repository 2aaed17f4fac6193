//! A worker: it leases prompts from the queue and runs them, and knows nothing of their sessions but what it is handed.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::failure::Failure;
use tidegate_queue::{Lease, Piece, Queue, QueueError, Stop};

use super::elsewhere::json;
use super::pool::Slot;
use super::run::{Farewell, Happening, Run};
use super::work::{self, Work};
use crate::drain::Stage;
use crate::gateway::Gateway;

/// How long a worker waits before it asks a queue again that could not be reached.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Most of an answer that is told at once: what came in one read, and no more than the other sessions' readers can wait for.
const MOST_AT_ONCE: usize = 64;
/// The same in bytes, but for the last piece.
const MOST_BYTES_AT_ONCE: u64 = 32 * 1024;

/// Leases and runs prompts until the process drains: then it takes no more, and the running ones go on.
///
/// # Cancel safety
///
/// Safe: a lease that was not begun goes to another worker.
pub async fn work(gateway: Arc<Gateway>, queue: Queue) {
    let mut stage = gateway.drain.watch();
    loop {
        let leased = async {
            let place = gateway.sessions.pool.reserve().await;
            queue.lease().await.map(|lease| (lease, place.filled()))
        };
        let leased = tokio::select! {
            biased;
            _ = stage.wait_for(|stage| *stage != Stage::Serving) => return,
            leased = leased => leased,
        };
        match leased {
            Ok((lease, slot)) => gateway.tasks.spawn(run(Arc::clone(&gateway), queue.clone(), lease, slot)),
            // The queue says so itself, once.
            Err(_) => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
}

/// What a worker turns to next.
enum Next {
    Told(Vec<Happening>),
    Stop(Stop),
    /// The process ends.
    Ending,
}

/// Runs one prompt to its end, or to that of its lease.
async fn run(gateway: Arc<Gateway>, queue: Queue, mut lease: Lease, slot: Slot) {
    let Ok(work) = serde_json::from_slice::<Work>(lease.payload()) else {
        // Another version wrote it; nobody else of this version can read it either.
        tracing::error!(task = %lease.task(), "a prompt in the queue cannot be read");
        let _settled = settle(&mut lease, json(&work::refused(Failure::Internal, None))).await;
        return;
    };
    let mut run = Run::leased(&gateway, work, slot);
    let (mut stop, mut stage) = (Box::pin(lease.stopped()), gateway.drain.watch());
    // What was asked for once is not asked for again.
    let (mut is_stopped, mut is_ending) = (false, false);
    loop {
        // At its end the process waits for no client.
        let has_room = is_ending || lease.has_room();
        let next = tokio::select! {
            told = poll_fn(|cx| poll_batch(&mut run, cx, has_room)) => Next::Told(told),
            () = lease.room(), if !has_room => continue,
            stop = &mut stop, if !is_stopped => Next::Stop(stop),
            _ = stage.wait_for(|stage| *stage == Stage::Ending), if !is_ending => Next::Ending,
        };
        match next {
            Next::Told(told) => {
                let (pieces, end) = parted(told);
                if emit(&mut lease, pieces).await.is_err() {
                    return run.abandon(Failure::ClientGone);
                }
                run.account.taken = run.account.said;
                if let Some(end) = end {
                    return finish(&queue, lease, end, run.into_farewell()).await;
                }
            }
            Next::Stop(Stop::Cancelled(why)) => match serde_json::from_slice(&why).unwrap_or(Failure::Cancelled) {
                // It is given up, and its session with it.
                Failure::SlowClient => return run.abandon(Failure::SlowClient),
                why => {
                    is_stopped = true;
                    run.cancel(why);
                }
            },
            Next::Stop(Stop::Lost) => return run.abandon(Failure::ClientGone),
            // Another worker can run it as if nothing had been: its client saw nothing yet.
            Next::Ending if run.account.said.output_events == 0 => return run.abandon(Failure::ClientGone),
            Next::Ending => {
                is_ending = true;
                run.cancel(Failure::GatewayDraining);
            }
        }
    }
}

/// Ends a prompt. Its record goes into the queue with its end, in one step, and stays there until the ledger has it: whichever of both a worker's
/// death comes before, they agree once it is back ([`mend`](super::mend)).
async fn finish(queue: &Queue, mut lease: Lease, end: Bytes, farewell: Option<Farewell>) {
    let (session, task) = (lease.session(), lease.task());
    let memo = farewell.as_ref().and_then(Farewell::record).map(|record| json(&record));
    lease.memo(memo.clone().unwrap_or_default());
    let is_told = match settle(&mut lease, end).await {
        Ok(()) => true,
        // The word that it was may have been lost with the queue, and with it the lease.
        Err(_) => memo.is_some() && queue.memos(&[(session, task)]).await.is_ok_and(|kept| kept.get(&task) == memo.as_ref()),
    };
    drop(lease);
    if let Some(farewell) = farewell.filter(|_| is_told)
        && farewell.taken_for_good().await
        && let Err(error) = queue.forget_memo(task).await
    {
        tracing::debug!(%task, %error, "a record stays in the queue, too");
    }
}

/// Everything that is told right now, one at least. Where there is no room for it, that is a failure, or nothing.
fn poll_batch(run: &mut Run, cx: &mut Context<'_>, has_room: bool) -> Poll<Vec<Happening>> {
    let (mut told, before) = (Vec::new(), run.account.said.bytes);
    while told.len() < MOST_AT_ONCE && run.account.said.bytes - before < MOST_BYTES_AT_ONCE {
        let Poll::Ready(happening) = run.poll(cx, has_room) else { break };
        let is_last = matches!(happening, Happening::Ended(_));
        told.push(happening);
        if is_last {
            break;
        }
    }
    if told.is_empty() { Poll::Pending } else { Poll::Ready(told) }
}

/// The pieces of an answer as the log takes them, and its end.
fn parted(told: Vec<Happening>) -> (Vec<Piece>, Option<Bytes>) {
    let (mut pieces, mut end) = (Vec::with_capacity(told.len()), None);
    for happening in told {
        match &happening {
            Happening::Ended(how) => end = Some(json(how)),
            _ => pieces.push(Piece { data: json(&happening), visible: matches!(happening, Happening::Token(_)) }),
        }
    }
    (pieces, end)
}

/// Writes pieces, however long the queue cannot be reached: the lease runs out meanwhile, and that is the end of it.
async fn emit(lease: &mut Lease, pieces: Vec<Piece>) -> Result<(), QueueError> {
    let mut new = pieces;
    loop {
        match lease.emit(std::mem::take(&mut new)).await {
            // The lease has kept them.
            Err(QueueError::Unavailable(_)) => tokio::time::sleep(ASK_AGAIN).await,
            written => return written,
        }
    }
}

/// Writes the end, in the same way.
async fn settle(lease: &mut Lease, end: Bytes) -> Result<(), QueueError> {
    loop {
        match lease.settle(end.clone()).await {
            Err(QueueError::Unavailable(_)) => tokio::time::sleep(ASK_AGAIN).await,
            settled => return settled,
        }
    }
}

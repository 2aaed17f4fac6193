//! Completes the records of prompts whose worker was killed after their clients had read the end and before the ledger had their last row.
//!
//! A prompt's end and what its record says go into the queue in one step, and the record is taken out once the ledger has it. So what is found there of a
//! stream that a killed worker left open is how it ended for its client; of which nothing is found, that has no end by this worker.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tidegate_core::id::{SessionId, StreamId, TaskId};
use tidegate_core::record::StreamRecord;
use tidegate_ledger::{Interrupted, LedgerError};
use tidegate_queue::Queue;

use crate::drain::Stage;
use crate::gateway::Gateway;

/// How long after it was marked a record is looked for. A worker that dies while it looks goes on when it is back.
const LOOKS_BACK: Duration = Duration::from_secs(3600);
/// How long is waited for a queue that cannot be reached.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Records that are completed together: each waits for the ledger's next write, and holds a place there.
const AT_ONCE: usize = 256;

/// A stream that the ledger takes for interrupted.
#[derive(Debug, Clone, Copy)]
struct Left {
    stream: StreamId,
    session: SessionId,
    task: TaskId,
}

/// Completes what this worker left open when it was killed, until the process drains.
///
/// # Cancel safety
///
/// Safe: what is not complete stays interrupted until the next start.
pub async fn mend(gateway: Arc<Gateway>, queue: Queue) {
    let mut stage = gateway.drain.watch();
    tokio::select! {
        _ = stage.wait_for(|stage| *stage != Stage::Serving) => {}
        mended = mend_all(&gateway, &queue) => match mended {
            Ok(0) => {}
            Ok(records) => tracing::info!(records, "prompts that had ended when their worker died have their records"),
            Err(error) => tracing::warn!(%error, "what ended when this worker died cannot be looked for"),
        },
    }
}

async fn mend_all(gateway: &Gateway, queue: &Queue) -> Result<usize, LedgerError> {
    let path = gateway.setup().config.ledger.path.clone();
    let interrupted = tokio::task::spawn_blocking(move || Interrupted::open(path)).await.unwrap_or(Err(LedgerError::Unavailable))?;
    let looks_back = u64::try_from(LOOKS_BACK.as_millis()).unwrap_or(u64::MAX);
    let (records, up_to) = interrupted.list(gateway.clock.unix_millis().saturating_sub(looks_back)).await?;
    let left: Vec<Left> = records.into_iter().filter_map(Left::of).collect();
    let tasks: Vec<(SessionId, TaskId)> = left.iter().map(|left| (left.session, left.task)).collect();
    let memos = loop {
        match queue.memos(&tasks).await {
            Ok(memos) => break memos,
            // Nothing may count as compared before it was.
            Err(_) => tokio::time::sleep(ASK_AGAIN).await,
        }
    };
    let ended = left.iter().filter_map(|left| {
        let record: StreamRecord = serde_json::from_slice(memos.get(&left.task)?).ok()?;
        // Another worker may have run the prompt again, and its record is its own.
        (record.id == left.stream.to_string()).then_some((*left, record))
    });
    let ended: Vec<(Left, StreamRecord)> = ended.collect();
    for some in ended.chunks(AT_ONCE) {
        let amend = async |(left, record): &(Left, StreamRecord)| gateway.ledger.amend(left.stream, record).await;
        join_all(some.iter().map(amend)).await.into_iter().collect::<Result<(), _>>()?;
        for (left, _) in some {
            // What is not forgotten now is forgotten in time.
            drop(queue.forget_memo(left.task).await);
        }
    }
    interrupted.compared(up_to).await?;
    Ok(ended.len())
}

impl Left {
    fn of(record: StreamRecord) -> Option<Self> {
        let stream = StreamId::parse(&record.id)?;
        let (session, task) = (SessionId::parse(&record.session_id?)?, TaskId::parse(&record.task_id?)?);
        Some(Self { stream, session, task })
    }
}

//! Completes the records of prompts whose worker was killed after their clients had read the end and before the ledger had their last row.
//!
//! A prompt's end and what its record says go into the queue in one step, and the record is taken out once the ledger has it. So what is found there of a
//! stream that a killed worker left open is how it ended for its client; of which nothing is found, that has no end by this worker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::id::{SessionId, StreamId, TaskId};
use tidegate_core::record::{Status, StreamRecord};
use tidegate_ledger::{Filter, LedgerError, Reader, StatusFilter};
use tidegate_queue::{Queue, QueueError};

use crate::drain::Stage;
use crate::gateway::Gateway;

/// How long after it was marked a record is looked for. A worker that dies while it looks goes on when it is back.
const LOOKS_BACK: Duration = Duration::from_secs(3600);
/// How long is waited for a queue that cannot be reached.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A stream that the ledger takes for interrupted.
struct Interrupted {
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
    let (path, now) = (gateway.setup().config.ledger.path.clone(), gateway.clock.unix_millis());
    let since = now.saturating_sub(u64::try_from(LOOKS_BACK.as_millis()).unwrap_or(u64::MAX));
    let interrupted = tokio::task::spawn_blocking(move || interrupted(path, since)).await.unwrap_or(Err(LedgerError::Unavailable))?;
    let mut mended = 0;
    for Interrupted { stream, session, task } in interrupted {
        let memo = loop {
            match queue.memo(session, task).await {
                Err(QueueError::Unavailable(_)) => tokio::time::sleep(ASK_AGAIN).await,
                memo => break memo.ok().flatten(),
            }
        };
        let record = memo.and_then(|memo| serde_json::from_slice::<StreamRecord>(&memo).ok());
        // Another worker may have run the prompt again, and its record is its own.
        if let Some(record) = record.filter(|record| record.id == stream.to_string()) {
            gateway.ledger.amend(stream, &record).await?;
            mended += 1;
            // What is not forgotten now is forgotten in time.
            drop(queue.forget_memo(task).await);
        }
    }
    Ok(mended)
}

fn interrupted(ledger: PathBuf, since_unix_ms: u64) -> Result<Vec<Interrupted>, LedgerError> {
    let filter = Filter { status: Some(StatusFilter::Is(Status::Interrupted)), since_unix_ms: Some(since_unix_ms), ..Filter::default() };
    let of_task = |record: StreamRecord| {
        let stream = StreamId::parse(&record.id)?;
        let (session, task) = (SessionId::parse(&record.session_id?)?, TaskId::parse(&record.task_id?)?);
        Some(Interrupted { stream, session, task })
    };
    Ok(Reader::open(ledger)?.list(&filter, u32::MAX)?.into_iter().filter_map(of_task).collect())
}

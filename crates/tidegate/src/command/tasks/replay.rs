//! What Kafka's log says of prompts, told by ids and numbers. What was asked and answered stays in the log: whoever may read that reads it there.

use std::time::SystemTime;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_config::Kafka;
use tidegate_core::id::StreamId;
use tidegate_core::session::TaskEnd;
use tidegate_gateway::session;
use tidegate_queue::{Attempt, Fate, Replayed, Topics};

use super::Replay as Wanted;
use crate::command::{print, while_it_is_read};

/// Reads the log up to where it ends now.
pub(super) fn run(wanted: &Wanted, kafka: &Kafka) -> Result<()> {
    let brokers = kafka.brokers.join(",");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    while_it_is_read(runtime.block_on(tell(wanted, &brokers, kafka))).context(brokers)
}

async fn tell(wanted: &Wanted, brokers: &str, kafka: &Kafka) -> Result<()> {
    let topics = Topics { prefix: kafka.topics.clone(), partitions: kafka.partitions };
    let mut replay = tidegate_queue::Replay::begin(brokers, topics, wanted.since, wanted.session).await?;
    if !wanted.json {
        print(row(["SUBMITTED", "SESSION", "TASK", "KEY", "ATTEMPTS", "OUTPUTS", "AFTER", "END"]))?;
    }
    while let Some(task) = replay.next().await? {
        let end = End::of(&task.fate);
        if wanted.json { print(object(&task, &end))? } else { print(line(&task, &end))? }
    }
    Ok(())
}

/// How a prompt ended. All is `None` while it waits or runs.
#[derive(Default)]
struct End {
    at: Option<SystemTime>,
    status: Option<&'static str>,
    code: Option<&'static str>,
    partial: Option<bool>,
    stream: Option<StreamId>,
}

impl End {
    fn of(fate: &Fate) -> Self {
        match fate {
            Fate::Open => Self::default(),
            Fate::SessionOver { at } => Self { at: Some(*at), status: Some("session_over"), ..Self::default() },
            Fate::Ended { at, end } => match session::end_of(end) {
                TaskEnd::Completed { stream, .. } => {
                    Self { at: Some(*at), status: Some("completed"), code: None, partial: Some(false), stream: Some(stream) }
                }
                TaskEnd::Failed { failure, partial, stream, .. } => {
                    Self { at: Some(*at), status: Some("failed"), code: Some(failure.code()), partial: Some(partial), stream }
                }
            },
        }
    }
}

fn object(task: &Replayed, end: &End) -> Value {
    let attempt = |attempt: &Attempt| json!({"begun_at": moment(attempt.begun), "outputs": outputs(attempt)});
    json!({
        "session_id": task.session.to_string(), "task_id": task.task.to_string(), "key_id": session::key_of(&task.holder),
        "submitted_at": moment(task.submitted),
        "attempts": task.attempts.iter().map(attempt).collect::<Vec<_>>(), "cancelled_at": task.cancelled.map(moment),
        "ended_at": end.at.map(moment), "status": end.status, "code": end.code, "partial": end.partial,
        "stream_id": end.stream.map(|stream| stream.to_string()),
    })
}

fn line(task: &Replayed, end: &End) -> String {
    let after = end.at.and_then(|at| at.duration_since(task.submitted).ok());
    let outputs: usize = task.attempts.iter().map(outputs).sum();
    row([
        &moment(task.submitted),
        &task.session.to_string(),
        &task.task.to_string(),
        session::key_of(&task.holder).unwrap_or("-"),
        &task.attempts.len().to_string(),
        &outputs.to_string(),
        &after.map_or_else(|| "-".to_owned(), |after| format!("{} ms", after.as_millis())),
        end.code.or(end.status).unwrap_or("-"),
    ])
}

/// In columns that all fit: a long replay is printed as it is read.
fn row([submitted, session, task, key, attempts, outputs, after, end]: [&str; 8]) -> String {
    format!("{submitted:24}  {session:31}  {task:31}  {key:30}  {attempts:>8}  {outputs:>7}  {after:>12}  {end}")
}

/// How many pieces its client may have seen.
fn outputs(attempt: &Attempt) -> usize {
    attempt.pieces.iter().filter(|piece| piece.visible).count()
}

fn moment(time: SystemTime) -> String {
    format!("{:.3}", Timestamp::try_from(time).unwrap_or(Timestamp::MAX))
}

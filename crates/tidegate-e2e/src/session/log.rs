//! What a client saw of one session, and what has to be true of it whatever happens.

use std::collections::VecDeque;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::message::Message;

/// The messages of one session in order, over all of its connections.
///
/// Every message is checked as it comes: numbers without a gap; a repeated message that is the same; tasks that were accepted first, run one
/// at a time in that order, and end once; a `partial` that tells the truth.
#[derive(Clone, Default)]
pub struct Log {
    messages: Vec<Message>,
    last_seq: u64,
    /// In the order in which they were accepted.
    tasks: Vec<Task>,
    /// Were seen already, and are expected again in this order.
    again: VecDeque<Message>,
}

/// What is known of an accepted task. `ack` and `end` are places in the log.
#[derive(Debug, Clone)]
struct Task {
    id: String,
    ack: usize,
    tokens: usize,
    end: Option<usize>,
}

/// Its last messages: a test that fails shows them.
impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 40;
        f.debug_list().entries(&self.messages[self.messages.len().saturating_sub(SHOWN)..]).finish()
    }
}

impl Log {
    /// All that was seen.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The number of the last message, 0 before the first.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// How a task ended, once it has.
    #[must_use]
    pub fn end(&self, task: &str) -> Option<&Message> {
        self.messages.get(self.task(task)?.end?)
    }

    /// How many pieces of a task's answer came.
    #[must_use]
    pub fn token_count(&self, task: &str) -> usize {
        self.task(task).map_or(0, |task| task.tokens)
    }

    /// The pieces of a task's answer.
    pub fn tokens(&self, task: &str) -> impl Iterator<Item = &str> {
        self.messages.iter().filter_map(move |message| match message {
            Message::Token { task_id, data } if task_id == task => Some(data.as_str()),
            _ => None,
        })
    }

    /// A task's answer so far.
    #[must_use]
    pub fn text(&self, task: &str) -> String {
        self.tokens(task).collect()
    }

    /// Tasks in the order in which they were accepted.
    pub fn tasks(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.tasks.iter().map(|task| task.id.as_str())
    }

    /// What the notices of a task say, and where they place it.
    pub fn notices(&self, task: &str) -> impl Iterator<Item = (&str, Option<usize>)> {
        self.messages.iter().filter_map(move |message| match message {
            Message::Notice { task_id, message, queue_position, .. } if task_id == task => Some((message.as_str(), *queue_position)),
            _ => None,
        })
    }

    /// A client that forgets everything behind `seq`, and expects to be told it again.
    #[must_use]
    pub fn forgetting(self, seq: u64) -> Self {
        let mut log = Self::default();
        for message in self.messages.into_iter().chain(self.again) {
            if log.last_seq == seq && message.is_numbered() {
                log.again.push_back(message);
            } else {
                log.last_seq += u64::from(message.is_numbered());
                log.remember(message);
            }
        }
        log
    }

    /// The client reads one more message.
    pub(super) fn take(&mut self, text: &str) -> Result<()> {
        self.judge(text).with_context(|| format!("{text}\nafter {self:#?}"))
    }

    fn judge(&mut self, text: &str) -> Result<()> {
        let mut members: Value = serde_json::from_str(text)?;
        let seq = members.as_object_mut().and_then(|members| members.remove("seq"));
        let message: Message = serde_json::from_value(members)?;
        if message.is_numbered() {
            let expected = self.last_seq + 1;
            ensure!(seq == Some(expected.into()), "the number should be {expected}");
            self.last_seq = expected;
            if let Some(before) = self.again.pop_front() {
                ensure!(before.clone().without_estimate() == message.clone().without_estimate(), "said otherwise before: {before:?}");
            }
        } else {
            ensure!(seq.is_none(), "it is not repeated by a resume, so it has no number");
        }
        if let Some(task) = message.task() {
            self.check_order(task, &message)?;
        }
        self.remember(message);
        Ok(())
    }

    fn check_order(&self, task: &str, message: &Message) -> Result<()> {
        let known = self.task(task);
        if let Message::Ack { id, .. } = message {
            let same = |known: &Task| id.is_some() && self.messages[known.ack] == *message;
            ensure!(known.is_none_or(same), "a task is accepted twice");
            return Ok(());
        }
        let known = known.context("of a task that was not accepted")?;
        ensure!(known.end.is_none(), "of a task that is over");
        if matches!(message, Message::Token { .. } | Message::Complete { .. }) {
            let first = self.tasks.iter().find(|task| task.end.is_none());
            ensure!(first.is_some_and(|first| first.id == task), "before the tasks that were accepted before it");
        }
        if let Some(problem) = message.problem() {
            let partial = known.tokens > 0;
            ensure!(problem.partial == partial, "`partial` should be {partial}");
        }
        Ok(())
    }

    fn remember(&mut self, message: Message) {
        let at = self.messages.len();
        let known = message.task().and_then(|task| self.tasks.iter_mut().find(|known| known.id == task));
        match (&message, known) {
            (Message::Ack { task_id, .. }, None) => self.tasks.push(Task { id: task_id.clone(), ack: at, tokens: 0, end: None }),
            (Message::Token { .. }, Some(known)) => known.tokens += 1,
            (message, Some(known)) if message.ends_its_task() => known.end = Some(at),
            _ => {}
        }
        self.messages.push(message);
    }

    fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }

    /// Compares what the client saw of a task with its record.
    ///
    /// A client that left cannot know what was still on its way to it, so there the record may say more than it saw, never less.
    ///
    /// # Errors
    ///
    /// They disagree, or the client never heard of the task; the message shows both.
    pub fn agree(&self, task: &str, record: &Value) -> Result<()> {
        self.compare(task, record).with_context(|| format!("client: {self:#?}\nrecord: {record}"))
    }

    fn compare(&self, task: &str, record: &Value) -> Result<()> {
        let known = self.task(task).context("the task was never accepted")?;
        let Message::Ack { session_id, .. } = &self.messages[known.ack] else { bail!("an ACK that is none") };
        ensure!(record["session_id"] == *session_id, "the session");
        ensure!(record["task_id"] == task && record["endpoint_family"] == "session", "the task, or the family");
        let tokens = known.tokens;
        let delivered = usize::try_from(record["delivered"]["output_events"].as_u64().context("output_events")?)?;
        let bytes: usize = self.tokens(task).map(str::len).sum();
        let Some(end) = self.end(task) else {
            ensure!(delivered >= tokens, "the client saw {tokens} tokens before it left");
            let cancelled = if delivered > 0 { "cancelled_after_output" } else { "cancelled_before_output" };
            let ended_first = ["completed", "failed_before_output", "failed_after_output"].into_iter().any(|end| record["status"] == end);
            ensure!(record["status"] == cancelled || ended_first, "the client left");
            return Ok(());
        };
        ensure!(record["id"] == end.stream().context("its end names no stream")?, "the stream");
        ensure!(delivered == tokens && record["delivered"]["bytes"] == bytes, "the client saw {tokens} tokens, {bytes} bytes");
        let code = end.code();
        let status = match (code, tokens > 0) {
            ("", _) => "completed",
            ("cancelled", true) => "cancelled_after_output",
            ("cancelled", false) => "cancelled_before_output",
            (_, true) => "failed_after_output",
            (_, false) => "failed_before_output",
        };
        ensure!(record["status"] == status, "the client saw {status}");
        ensure!(record["code"].as_str().unwrap_or_default() == code, "the client read the code {code:?}");
        ensure!(record["partial"] == (tokens > 0 && !code.is_empty()), "`partial`");
        if let Message::Complete { usage, .. } = end {
            let told = |kind: &str| usage[kind].is_null() || usage[kind] == record["usage"][kind];
            ensure!(told("input_tokens") && told("output_tokens"), "the client read the usage {usage}");
        }
        Ok(())
    }
}

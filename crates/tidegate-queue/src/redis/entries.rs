//! Entries of a session's log, and the order in which its owner saw them.

use std::collections::VecDeque;

use bytes::Bytes;
use tidegate_core::id::TaskId;
use tracing::error;

use crate::error::QueueError;
use crate::log::{End, Entry, Output};

/// An entry's id: milliseconds, and a number within them.
pub(super) type Position = (u64, u64);

/// Entries as Redis tells them.
pub(super) type Raw = Vec<RawEntry>;

/// One of them: an id, then fields and values in turns.
pub(super) type RawEntry = (String, Vec<Bytes>);

/// One entry.
#[derive(Debug)]
pub(super) struct LogEntry {
    pub(super) at: Position,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// From here on there is another owner.
    Owner,
    /// An owner's entry, which had read until here.
    Journal { read: Position, data: Bytes },
    /// Said about a task.
    Output(Output),
    /// Not by this version of the program. It is passed over.
    Unknown,
}

impl LogEntry {
    /// Reads one that Redis told. Fails on an id that is none, which Redis doesn't tell.
    pub(super) fn read((id, fields): RawEntry) -> Result<Self, QueueError> {
        let what = What::read(&Fields(fields)).unwrap_or_else(|| {
            error!(id, "an entry of a log can't be read and is passed over");
            What::Unknown
        });
        Ok(Self { at: position(&id)?, what })
    }
}

impl What {
    fn read(fields: &Fields) -> Option<Self> {
        Some(match fields.text("kind")? {
            "owner" => Self::Owner,
            "journal" => Self::Journal { read: position(fields.text("read")?).ok()?, data: fields.data()? },
            "piece" => Self::Output(Output::Piece { task: fields.task()?, data: fields.data()? }),
            "end" => Self::Output(Output::Ended { task: fields.task()?, end: fields.end()? }),
            _ => return None,
        })
    }
}

struct Fields(Vec<Bytes>);

impl Fields {
    fn data(&self) -> Option<Bytes> {
        self.value("data").cloned()
    }

    fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.value(name)?).ok()
    }

    fn value(&self, name: &str) -> Option<&Bytes> {
        let place = self.0.iter().step_by(2).position(|field| field == name)?;
        self.0.get(2 * place + 1)
    }

    fn task(&self) -> Option<TaskId> {
        TaskId::parse(self.text("task")?)
    }

    fn end(&self) -> Option<End> {
        Some(match self.text("end")? {
            "settled" => End::Settled(self.data()?),
            "lost" => End::Lost,
            "given_up" => End::GivenUp,
            "cancelled" => End::Cancelled,
            _ => return None,
        })
    }
}

/// Reads an id.
pub(super) fn position(id: &str) -> Result<Position, QueueError> {
    let parsed = id.split_once('-').and_then(|(millis, number)| Some((millis.parse().ok()?, number.parse().ok()?)));
    parsed.ok_or_else(|| QueueError::Unavailable(format!("{id:?} is no id of a log's entry")))
}

/// Writes an id.
pub(super) fn id((millis, number): Position) -> String {
    format!("{millis}-{number}")
}

/// Puts a log into the order in which its owners saw it.
///
/// An output may lie in the log before a journal entry whose writer had not read it yet; for that owner it came later, and an heir has to
/// see it there. At a change of hands the new owner had read everything.
pub(super) fn in_owners_order(log: Vec<LogEntry>) -> Vec<Entry> {
    let (mut seen, mut unread) = (Vec::with_capacity(log.len()), VecDeque::new());
    for LogEntry { at, what } in log {
        match what {
            What::Output(output) => unread.push_back((at, output)),
            What::Journal { read, data } => {
                while unread.front().is_some_and(|(at, _)| *at <= read) {
                    seen.extend(unread.pop_front().map(|(_, output)| Entry::Output(output)));
                }
                seen.push(Entry::Journal(data));
            }
            What::Owner => seen.extend(unread.drain(..).map(|(_, output)| Entry::Output(output))),
            What::Unknown => {}
        }
    }
    seen.extend(unread.into_iter().map(|(_, output)| Entry::Output(output)));
    seen
}

#[cfg(test)]
mod tests;

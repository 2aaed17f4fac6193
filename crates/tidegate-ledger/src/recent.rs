//! The rows of the last moments, in files of their own until they are in the database.
//!
//! A commit of SQLite writes whole pages, some ten of them for a single row. So while rows keep coming, they are written here, which is
//! one small write and survives the end of the process just as well, and the database takes them together a little later. After a crash the
//! next start reads what is left here.
//!
//! There are two files, because rows are added while the database takes those before. New rows go into one of them; [`Recent::turn`], called
//! when the writer takes what waits, lets the next ones go into the other. So when the database has what the writer had taken, every row of
//! the file that rests is among it, and the file is free again.
//!
//! One line is one row: `round o|e id record round`, where `o` and `e` say that the stream opened or ended. A file that is free begins a new
//! round, which writes over the lines of the last one, because pages that the system has at hand are cheaper than new ones.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::mem;
use std::path::{Path, PathBuf};

use tidegate_core::id::StreamId;

use crate::row::Texts;
use crate::tables::Fact;

/// The files `<ledger>.recent` and `<ledger>.recent2`.
#[derive(Debug)]
pub(crate) struct Recent {
    /// Takes the rows that come.
    current: Half,
    /// Rests until the database has its rows, then waits for its turn.
    other: Half,
    other_is_free: bool,
    lines: Vec<u8>,
}

#[derive(Debug)]
struct Half {
    path: PathBuf,
    file: File,
    round: u64,
    /// A write went wrong, so that the last line may be half a line; nothing may follow it in this round.
    is_torn: bool,
}

/// A row that was left by a gateway that died.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left<'a> {
    pub(crate) ended: bool,
    pub(crate) id: &'a str,
    pub(crate) record: &'a str,
}

impl Recent {
    /// Where the files of the ledger at `ledger` are.
    pub(crate) fn paths(ledger: &Path) -> [PathBuf; 2] {
        [".recent", ".recent2"].map(|ending| {
            let mut path = ledger.as_os_str().to_owned();
            path.push(ending);
            path.into()
        })
    }

    /// Makes the files, or empties them: read them before.
    pub(crate) fn create([current, other]: [PathBuf; 2]) -> io::Result<Self> {
        Ok(Self { current: Half::create(current)?, other: Half::create(other)?, other_is_free: true, lines: Vec::new() })
    }

    /// Adds streams' open rows. True when they will survive the end of the process.
    pub(crate) fn append_open<'a>(&mut self, rows: impl IntoIterator<Item = (StreamId, &'a [u8])>) -> bool {
        self.lines.clear();
        for (id, text) in rows {
            self.current.line(&mut self.lines, "o", id, text);
        }
        self.current.append(&self.lines)
    }

    /// Adds the rows that are not here yet. True when all will survive the end of the process; false when the database has to take them at once.
    pub(crate) fn append(&mut self, facts: &[Fact], texts: &Texts) -> bool {
        self.lines.clear();
        for fact in facts {
            match fact {
                Fact::Open { is_noted: true, .. } => {}
                Fact::Open { id, text, .. } => self.current.line(&mut self.lines, "o", *id, texts.get(*text)),
                Fact::End { id, text, .. } => self.current.line(&mut self.lines, "e", *id, texts.get(*text)),
                // Rare, and about what is in the database.
                Fact::Amend { .. } | Fact::GiveUp { .. } => return false,
            }
        }
        self.lines.is_empty() || self.current.append(&self.lines)
    }

    /// Lets the next rows go into the other file, if that is free.
    ///
    /// What is here must then be taken before another row is added: [`Self::free`] relies on it.
    pub(crate) fn turn(&mut self) {
        if self.other_is_free {
            mem::swap(&mut self.current, &mut self.other);
            self.other_is_free = false;
        }
    }

    /// The database has all rows that were added before the last [`Self::turn`].
    ///
    /// They stay in their file until they are written over, and do no harm: rows that the database has are not taken from here again.
    pub(crate) fn free(&mut self) {
        self.other.begin_round();
        self.other_is_free = true;
    }

    /// As [`Self::free`], and empties the file: a row that the database deletes must not come back from here.
    pub(crate) fn forget(&mut self) {
        self.free();
        // Where it fails, it is tried again.
        let _ = self.other.file.set_len(0);
    }

    /// Takes the files away after the last row.
    pub(crate) fn remove(&self) {
        for half in [&self.current, &self.other] {
            // One that stays does no harm, as above.
            let _ = fs::remove_file(&half.path);
        }
    }
}

impl Half {
    fn create(path: PathBuf) -> io::Result<Self> {
        let file = File::create(&path)?;
        Ok(Self { path, file, round: 1, is_torn: false })
    }

    fn line(&mut self, lines: &mut Vec<u8>, kind: &str, id: StreamId, text: &[u8]) {
        let round = self.round;
        // Memory takes every line.
        self.is_torn |= write!(lines, "{round} {kind} {id} ").is_err();
        lines.extend_from_slice(text);
        self.is_torn |= writeln!(lines, " {round}").is_err();
    }

    fn append(&mut self, lines: &[u8]) -> bool {
        self.is_torn = self.is_torn || self.file.write_all(lines).is_err();
        !self.is_torn
    }

    fn begin_round(&mut self) {
        self.round += 1;
        self.is_torn = self.file.rewind().is_err();
    }
}

/// The whole rows of a file's last round, in the order in which they were written.
///
/// A line that the crash cut short begins in its own round and ends in an older one, or not at all; it was not counted as written.
pub(crate) fn left(text: &str) -> impl Iterator<Item = Left<'_>> {
    let round = text.split(' ').next().unwrap_or_default();
    text.split_inclusive('\n').map_while(move |line| {
        let row = line.strip_prefix(round)?.strip_suffix('\n')?.strip_suffix(round)?;
        let (kind, rest) = row.strip_prefix(' ')?.strip_suffix(' ')?.split_once(' ')?;
        let (id, record) = rest.split_once(' ')?;
        Some(Left { ended: kind == "e", id, record })
    })
}

#[cfg(test)]
mod tests;

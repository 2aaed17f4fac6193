//! The rows of the last moments, in a file of their own until they are in the database.
//!
//! A commit of SQLite writes whole pages, some ten of them for a single row. So while rows keep coming, each batch is written here, which is
//! one small write and survives the end of the process just as well, and the database takes them together a little later. After a crash the
//! next start reads what is left here.
//!
//! One line is one row: `round o|e id record round`, where `o` and `e` say that the stream opened or ended. When the database has the rows, a new
//! round writes over the lines of the last one, because pages that the system has at hand are cheaper than new ones.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use crate::tables::Fact;

/// The file `<ledger>.recent`.
#[derive(Debug)]
pub(crate) struct Recent {
    path: PathBuf,
    file: File,
    round: u64,
    /// A write went wrong, so that the last line may be half a line; nothing may follow it in this round.
    is_torn: bool,
    lines: Vec<u8>,
}

/// A row that was left by a gateway that died.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left<'a> {
    pub(crate) ended: bool,
    pub(crate) id: &'a str,
    pub(crate) record: &'a str,
}

impl Recent {
    /// Where the file of the ledger at `ledger` is.
    pub(crate) fn path(ledger: &Path) -> PathBuf {
        let mut path = ledger.as_os_str().to_owned();
        path.push(".recent");
        path.into()
    }

    /// Makes the file, or empties it: read it before.
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        let file = File::create(&path)?;
        Ok(Self { path, file, round: 1, is_torn: false, lines: Vec::new() })
    }

    /// Adds rows. True when they will survive the end of the process; false when the database has to take them at once.
    pub(crate) fn append(&mut self, facts: &[Fact]) -> bool {
        if self.is_torn {
            return false;
        }
        let round = &self.round.to_string();
        self.lines.clear();
        for fact in facts {
            let (kind, id, record) = match fact {
                Fact::Open { id, record, .. } => ("o", id, record),
                Fact::End { id, record, .. } => ("e", id, record),
                // Rare, and its record is made inside the database.
                Fact::GiveUp { .. } => return false,
            };
            self.lines.extend_from_slice([round, kind, id, record, round].join(" ").as_bytes());
            self.lines.push(b'\n');
        }
        self.is_torn |= self.file.write_all(&self.lines).is_err();
        !self.is_torn
    }

    /// Begins a new round: the database has the rows of this one.
    ///
    /// They stay in the file until they are written over, and do no harm: rows that the database has are not taken from here again.
    pub(crate) fn clear(&mut self) {
        self.round += 1;
        self.is_torn = self.file.rewind().is_err();
    }

    /// Takes the file away after the last row.
    pub(crate) fn remove(&self) {
        // One that stays does no harm, as above.
        let _ = fs::remove_file(&self.path);
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

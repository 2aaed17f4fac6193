use std::path::PathBuf;
use std::process::Command;

use rusqlite::Connection;
use tidegate_core::record::Status;

use super::*;
use crate::testing::{Folder, ended_record, eventually, new_id, opening};
use crate::{Ledger, Reader};

/// Streams that begin and end while the ledger cannot be written: refused, kept, and written when it is over.
async fn endure(ledger: &Ledger, break_it: impl FnOnce(), repair_it: impl FnOnce()) {
    let before = new_id();
    let running = ledger.begin(&opening(before)).await.expect("a place");
    eventually("all is written", async || (ledger.pending() == 0).then_some(())).await;

    break_it();
    // What was found shortly before still counts for some streams; their rows are safe.
    let mut taken = Vec::new();
    let (began, refused) = loop {
        let (began, id) = (Instant::now(), new_id());
        match ledger.begin(&opening(id)).await {
            Ok(entry) => taken.push((id, entry)),
            Err(error) => {
                assert!(matches!(error, LedgerError::Unavailable));
                break (began, id);
            }
        }
    };
    assert!(began.elapsed() < Duration::from_secs(3), "the refusal took {:?}", began.elapsed());
    let began = Instant::now();
    assert!(matches!(ledger.begin(&opening(new_id())).await, Err(LedgerError::Unavailable)));
    assert!(began.elapsed() < Duration::from_millis(500) && !ledger.is_available(), "what is known is told at once");
    taken.push((before, running));
    let settle = |(id, entry): (StreamId, Entry)| {
        entry.settle(ended_record(id, Status::Completed));
        id
    };
    let taken: Vec<StreamId> = taken.into_iter().map(settle).collect();
    assert!(ledger.pending() > 0);

    repair_it();
    let id = new_id();
    let entry = eventually("it recovers", async || ledger.begin(&opening(id)).await.ok()).await;
    for settled in taken.into_iter().chain([settle((id, entry))]) {
        assert_eq!(ledger.stream(settled).await.expect("it reads"), Some(ended_record(settled, Status::Completed)));
    }
    let told = async || ledger.stream(refused).await.expect("it reads").filter(|record| record.status.is_some());
    let record = eventually("the refused stream is told too", told).await;
    assert_eq!((record.status, record.code.as_deref()), (Some(Status::FailedBeforeOutput), Some("ledger_unavailable")));
}

#[tokio::test]
async fn a_locked_file_refuses_new_streams_loses_no_end_and_recovers() {
    let folder = Folder::new();
    let ledger = folder.open();
    let other = Connection::open(folder.ledger()).expect("it opens");
    endure(&ledger, || other.execute_batch("BEGIN EXCLUSIVE").expect("a lock"), || other.execute_batch("ROLLBACK").expect("no lock")).await;
    ledger.close().await.expect("it closes");
}

#[tokio::test]
async fn an_end_that_came_while_the_file_was_locked_survives_the_process() {
    let folder = Folder::new();
    let ledger = folder.open();
    let ids = [new_id(), new_id()];
    let entries = [ledger.begin(&opening(ids[0])).await.expect("a place"), ledger.begin(&opening(ids[1])).await.expect("a place")];
    eventually("all is written", async || (ledger.pending() == 0).then_some(())).await;
    let other = Connection::open(folder.ledger()).expect("it opens");
    other.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    for (entry, id) in entries.into_iter().zip(ids) {
        entry.settle(ended_record(id, Status::Completed));
    }
    // Nobody repairs it, and the writer gives up at the end.
    assert!(matches!(ledger.close().await, Err(LedgerError::Unavailable)));
    other.execute_batch("ROLLBACK").expect("no lock");

    let (ledger, opened) = Ledger::open(LedgerSettings::new(folder.ledger())).expect("it opens");
    assert_eq!(opened.interrupted, 0);
    for id in ids {
        assert_eq!(ledger.stream(id).await.expect("it reads"), Some(ended_record(id, Status::Completed)));
    }
}

#[tokio::test]
async fn a_full_disk_refuses_new_streams_loses_no_end_and_recovers() {
    let Some(disk) = Disk::small() else { return };
    let (ledger, _) = Ledger::open(LedgerSettings::new(disk.path.join("ledger.db"))).expect("it opens");
    let ballast = disk.path.join("ballast");
    endure(&ledger, || drop(std::fs::write(&ballast, vec![1; 64 << 20])), || std::fs::remove_file(&ballast).expect("room")).await;
    ledger.close().await.expect("it closes");
}

#[tokio::test]
async fn a_disk_that_became_read_only_refuses_new_streams_and_recovers() {
    let Some(disk) = Disk::small() else { return };
    let path = disk.path.join("ledger.db");
    let (ledger, _) = Ledger::open(LedgerSettings::new(&path)).expect("it opens");
    ledger.begin(&opening(new_id())).await.expect("a place");
    ledger.close().await.expect("it closes");
    assert!(disk.remount("ro"));
    let error = Ledger::open(LedgerSettings::new(&path)).expect_err("it cannot be written");
    assert!(matches!(error, LedgerError::Start { .. }), "{error}");
    assert!(disk.remount("rw"));
    Ledger::open(LedgerSettings::new(&path)).expect("it opens again");
}

#[tokio::test]
async fn a_database_that_is_damaged_while_it_runs_refuses_new_streams_without_hanging() {
    let folder = Folder::new();
    let ledger = folder.open();
    let other = Connection::open(folder.ledger()).expect("it opens");
    other.execute_batch("DROP VIEW streams; DROP TABLE ended_streams").expect("damage");
    let id = new_id();
    let entry = ledger.begin(&opening(id)).await;
    if let Ok(entry) = entry {
        entry.settle(ended_record(id, Status::Completed));
    }
    let refused = async || ledger.begin(&opening(new_id())).await.err();
    assert!(matches!(eventually("it refuses", refused).await, LedgerError::Unavailable));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_streams_at_once_are_all_written_with_the_short_ones_written_once() {
    let folder = Folder::new();
    let ledger = folder.open();
    let mut streams = tokio::task::JoinSet::new();
    for number in 0..1000_u32 {
        let ledger = ledger.clone();
        streams.spawn(async move {
            let id = new_id();
            let entry = ledger.begin(&opening(id)).await.expect("a place");
            if number.is_multiple_of(3) {
                tokio::time::sleep(APPLY_SPACING * 2).await;
            }
            match number % 5 {
                0 => drop(entry),
                _ => entry.settle(ended_record(id, Status::Completed)),
            }
            (id, if number.is_multiple_of(5) { Status::Interrupted } else { Status::Completed })
        });
    }
    let ends = streams.join_all().await;
    ledger.close().await.expect("it closes");
    let reader = Reader::open(folder.ledger()).expect("it opens");
    for (id, status) in ends {
        assert_eq!(reader.get(id).expect("it reads").and_then(|record| record.status), Some(status));
    }
}

/// A file system of its own, small enough to be filled. Only root can make one; elsewhere the tests that need it have nothing to test with,
/// and `tables` shows the same with SQLite's own limit.
struct Disk {
    path: PathBuf,
    _folder: Folder,
}

impl Disk {
    fn small() -> Option<Self> {
        let folder = Folder::new();
        let path = folder.path().join("disk");
        std::fs::create_dir(&path).expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(&path).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { path, _folder: folder });
        }
        eprintln!("skipped: this user cannot mount a file system");
        None
    }

    fn remount(&self, mode: &str) -> bool {
        let options = format!("remount,{mode}");
        Command::new("mount").args(["-o", &options]).arg(&self.path).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because the writer's files may still be open for a moment.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

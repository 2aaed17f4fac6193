use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::thread;

use super::*;
use crate::queue::{Batch, Queue, Request, Row};
use crate::recent;
use crate::testing::{Folder, new_id};

fn shortcut(folder: &Folder) -> Shortcut {
    Shortcut::new(Recent::create(Recent::paths(&folder.ledger())).expect("the files"))
}

fn row() -> (StreamId, &'static [u8]) {
    (new_id(), b"{}")
}

/// What the next start would find after `kill -9`.
fn left(folder: &Folder) -> HashSet<String> {
    let texts = Recent::paths(&folder.ledger()).map(|path| fs::read_to_string(path).expect("the file is there"));
    texts.iter().flat_map(|text| recent::left(text)).map(|row| row.id.to_owned()).collect()
}

#[test]
fn it_is_open_for_a_tenth_of_a_second_after_each_look_at_the_database() {
    let folder = Folder::new();
    let shortcut = shortcut(&folder);
    let look = Instant::now() + BATCH_SPACING;
    assert_eq!(shortcut.note(look, [row()]).err(), Some(Missed::Closed), "nobody has vouched yet");
    shortcut.vouch(look);
    assert!(shortcut.note(look + VOUCHED / 2, [row()]).is_ok());
    assert!(shortcut.note(look + VOUCHED, [row()]).is_err());
    shortcut.vouch(look + VOUCHED);
    assert!(shortcut.note(look + VOUCHED + BATCH_SPACING, [row()]).is_ok());
    shortcut.close();
    assert!(shortcut.note(look + VOUCHED + 2 * BATCH_SPACING, [row()]).is_err());
    assert_eq!(left(&folder).len(), 2);
}

#[test]
fn a_few_rows_at_once_are_no_crowd_and_a_crowd_ends_when_fewer_come() {
    let folder = Folder::new();
    let shortcut = shortcut(&folder);
    let now = Instant::now();
    for _ in 0..AT_ONCE {
        assert!(!shortcut.is_in_crowd(now));
    }
    for number in 0..10 {
        assert!(shortcut.is_in_crowd(now + number * BATCH_SPACING / 2), "they keep coming");
    }
    let later = now + 5 * BATCH_SPACING;
    assert!(!shortcut.is_in_crowd(later + BATCH_SPACING), "this one had time");
    assert!(shortcut.is_in_crowd(later + BATCH_SPACING), "and the next one had not");
}

#[test]
fn nobody_waits_for_files_that_are_in_use() {
    let folder = Folder::new();
    let shortcut = shortcut(&folder);
    let now = Instant::now() + BATCH_SPACING;
    shortcut.vouch(now);
    let in_use = shortcut.recent();
    assert!(thread::scope(|scope| scope.spawn(|| shortcut.note(now, [row()]).err() == Some(Missed::Busy)).join().expect("no panic")));
    drop(in_use);
    assert!(shortcut.note(now + BATCH_SPACING, [row()]).is_ok());
}

#[tokio::test]
async fn after_a_write_that_waited_for_the_disk_the_long_way_is_taken_for_a_while() {
    let folder = Folder::new();
    let shortcut = shortcut(&folder);
    let before = Instant::now() + BATCH_SPACING;
    tokio::time::sleep(BATCH_SPACING + SLOW).await;
    shortcut.vouch(before);
    assert!(shortcut.note(before, [row()]).is_ok(), "the row is durable all the same");
    for later in [REST / 2, REST - BATCH_SPACING] {
        shortcut.vouch(before + later);
        assert!(shortcut.note(before + later, [row()]).is_err(), "the database's lock says nothing about the disk");
    }
    shortcut.vouch(before + REST);
    assert!(shortcut.note(before + REST, [row()]).is_ok());
}

/// Four threads note a thousand rows, some between any two steps of a writer that turns, takes, fails and frees.
#[test]
fn at_every_moment_each_row_is_in_a_file_or_in_the_database() {
    const ROWS: usize = 1000;
    let folder = Folder::new();
    let (shortcut, queue) = (shortcut(&folder), Queue::default());
    let noted = Mutex::new(HashSet::new());
    let left_to_note = AtomicUsize::new(ROWS);
    let moment = AtomicU32::new(1);
    let note = || {
        while left_to_note.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            let id = new_id();
            loop {
                let now = shortcut.made + BATCH_SPACING * moment.fetch_add(1, Ordering::Relaxed);
                shortcut.vouch(now);
                if let Ok(_recent) = shortcut.note(now, [(id, b"{}".as_slice())]) {
                    queue.write(Row::Noted { id }, b"{}");
                    noted.lock().expect("no panic").insert(id.to_string());
                    break;
                }
                thread::yield_now();
            }
        }
    };
    let others_go_on = || {
        let seen = noted.lock().expect("no panic").len();
        while seen < ROWS && noted.lock().expect("no panic").len() == seen {
            thread::yield_now();
        }
    };
    let (mut taken, mut database) = (HashSet::new(), HashSet::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(note);
        }
        for round in 0_u32.. {
            let mut batch = Batch::default();
            {
                let mut recent = shortcut.recent();
                recent.turn();
                queue.take(&mut batch);
            }
            taken.extend(batch.requests.into_iter().filter_map(|request| match request {
                Request::Write { row: Row::Noted { id }, .. } => Some(id.to_string()),
                _ => None,
            }));
            others_go_on();
            if !round.is_multiple_of(3) {
                database.extend(taken.drain());
                shortcut.recent().free();
            }
            others_go_on();
            let is_safe = {
                // Nobody notes a row meanwhile.
                let (_recent, noted) = (shortcut.recent(), noted.lock().expect("no panic"));
                let left = left(&folder);
                noted.iter().all(|id| left.contains(id) || database.contains(id))
            };
            assert!(is_safe, "in round {round}");
            if database.len() == ROWS {
                break;
            }
        }
    });
}

use tidegate_core::record::Status;

use super::*;
use crate::Durability;
use crate::recent;
use crate::store;
use crate::testing::{Folder, ended_record, new_id, open_record};

fn tables(folder: &Folder) -> (Tables, Numbers) {
    Tables::new(store::open(&folder.ledger(), Durability::Process).expect("it opens")).expect("it reads")
}

fn open(numbers: &mut Numbers, id: StreamId, texts: &mut Texts) -> Fact {
    let text = row::with_text(&open_record(id), |text| texts.add(text));
    Fact::Open { n: numbers.next(), id, text, is_noted: false }
}

/// Writes an open row with this text.
fn write_open(tables: &Tables, numbers: &mut Numbers, id: StreamId, text: &str) {
    let mut texts = Texts::default();
    let text = texts.add(text.as_bytes());
    tables.apply(&[Fact::Open { n: numbers.next(), id, text, is_noted: false }], &texts).expect("it writes");
}

fn text(record: &StreamRecord) -> String {
    row::with_text(record, |text| String::from_utf8(text.to_vec()).expect("text"))
}

fn count(tables: &Tables, table: &str) -> i64 {
    tables.conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a number")
}

#[test]
fn writing_the_same_changes_twice_is_the_same_as_once() {
    let folder = Folder::new();
    let (tables, mut numbers) = tables(&folder);
    let mut texts = Texts::default();
    let facts: Vec<Fact> = (0..3).map(|_| open(&mut numbers, new_id(), &mut texts)).collect();
    tables.apply(&facts, &texts).expect("it writes");
    tables.apply(&facts, &texts).expect("it writes again");
    assert_eq!(count(&tables, "streams"), 3);
}

#[test]
fn a_database_at_its_limit_takes_all_changes_later_or_none() {
    let folder = Folder::new();
    let (tables, mut numbers) = tables(&folder);
    let mut texts = Texts::default();
    let facts: Vec<Fact> = (0..500).map(|_| open(&mut numbers, new_id(), &mut texts)).collect();
    tables.conn.pragma_update_and_check(None, "max_page_count", 20, |_| Ok(())).expect("a limit");
    let error = tables.apply(&facts, &texts).expect_err("the database is full");
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
    assert_eq!(count(&tables, "streams"), 0);
    tables.conn.pragma_update_and_check(None, "max_page_count", 100_000, |_| Ok(())).expect("no limit");
    tables.apply(&facts, &texts).expect("there is room");
    assert_eq!(count(&tables, "streams"), 500);
}

#[test]
fn a_row_that_was_left_never_brings_an_ended_stream_back() {
    let folder = Folder::new();
    let (tables, mut numbers) = tables(&folder);
    let (id, other) = (new_id(), new_id());
    let ended = text(&ended_record(id, Status::Completed));
    let open = text(&open_record(id));
    let text = format!("4 o {id} {open} 4\n4 o {other} {open} 4\n4 e {id} {ended} 4\n");
    for _ in 0..2 {
        tables.take_left(recent::left(&text), &mut numbers).expect("it takes them");
        assert_eq!((count(&tables, "open_streams"), count(&tables, "ended_streams")), (1, 1));
    }
    assert_eq!(tables.interrupt_open(&mut numbers).expect("it writes"), 1);
    assert_eq!(tables.get(id).expect("it reads").and_then(|record| record.status), Some(Status::Completed));
    assert_eq!(tables.get(other).expect("it reads").and_then(|record| record.status), Some(Status::Interrupted));
}

#[test]
fn an_interrupted_stream_keeps_what_is_known_even_what_only_another_version_knows() {
    let folder = Folder::new();
    let (tables, mut numbers) = tables(&folder);
    let id = new_id();
    write_open(&tables, &mut numbers, id, r#"{"team":"search","colour":"blue","deadline_ms":90000}"#);
    tables.interrupt_open(&mut numbers).expect("it writes");
    let record = tables.get(id).expect("it reads").expect("it is there");
    assert_eq!((record.status, record.team.as_deref(), record.deadline_ms), (Some(Status::Interrupted), Some("search"), Some(90_000)));
    let colour: String = tables.conn.query_row("SELECT record ->> 'colour' FROM ended_streams", [], |row| row.get(0)).expect("a colour");
    assert_eq!(colour, "blue");
}

#[test]
fn a_damaged_open_row_does_not_keep_the_ledger_from_opening() {
    let folder = Folder::new();
    let (tables, mut numbers) = tables(&folder);
    let id = new_id();
    write_open(&tables, &mut numbers, id, "{\"team\":");
    assert_eq!(tables.interrupt_open(&mut numbers).expect("it writes"), 1);
    assert_eq!(tables.get(id).expect("it reads").and_then(|record| record.status), Some(Status::Interrupted));
}

#[test]
fn only_what_is_older_than_the_retention_is_deleted_and_running_streams_never() {
    let folder = Folder::new();
    let (tables, mut numbers) = tables(&folder);
    let hour = Duration::from_secs(3600);
    let mut old = number_at(unix_millis() - 3_600_001);
    for table in ["open_streams", "ended_streams"] {
        for row in 0..(SWEEP_ROWS + 10) {
            let insert = format!("INSERT INTO {table} (n, id, record) VALUES (?1, ?2, '{{}}')");
            old += 1;
            tables.conn.execute(&insert, params![old, row.to_string()]).expect("a row");
        }
    }
    let mut texts = Texts::default();
    let young = open(&mut numbers, new_id(), &mut texts);
    tables.apply(&[young], &texts).expect("it writes");
    assert_eq!(tables.sweep(hour * 2).expect("it deletes"), 0);
    assert_eq!(tables.sweep(hour).expect("it deletes"), SWEEP_ROWS);
    assert_eq!(tables.sweep(hour).expect("it deletes"), 10);
    assert_eq!(count(&tables, "streams"), i64::try_from(SWEEP_ROWS).expect("small") + 11);
}

#[test]
fn numbers_grow_when_the_clock_goes_back_and_after_a_restart() {
    let folder = Folder::new();
    let last = number_at(unix_millis() + 60_000);
    let mut numbers = Numbers::after(last - 1);
    let mut texts = Texts::default();
    let fact = open(&mut numbers, new_id(), &mut texts);
    tables(&folder).0.apply(&[fact], &texts).expect("it writes");
    assert_eq!(numbers.next(), last + 1);
    assert_eq!(tables(&folder).1.next(), last + 1);
}

use super::*;
use crate::testing::Folder;
use crate::{Keys, Ledger, LedgerSettings, Reader};

#[test]
fn a_second_gateway_on_the_same_ledger_is_refused_with_a_remedy() {
    let folder = Folder::new();
    let ledger = folder.open();
    let error = Ledger::open(LedgerSettings::new(folder.ledger())).expect_err("it is in use");
    assert!(matches!(error, LedgerError::InUse { .. }) && error.to_string().contains("ledger.path"), "{error}");
    drop(ledger);
}

#[test]
fn keys_can_be_made_while_a_gateway_writes() {
    let folder = Folder::new();
    let ledger = folder.open();
    Keys::open(folder.ledger()).and_then(|mut keys| keys.create(&crate::NewKey::default())).expect("a key");
    drop(ledger);
}

#[test]
fn a_ledger_of_a_newer_version_is_left_alone() {
    let folder = Folder::new();
    drop(open(&folder.ledger(), Durability::Process).expect("it opens"));
    let conn = Connection::open(folder.ledger()).expect("it opens");
    conn.pragma_update(None, "user_version", MIGRATIONS.len() + 1).expect("a version");
    for error in [
        open(&folder.ledger(), Durability::Process).expect_err("it is newer"),
        open_to_read(&folder.ledger()).expect_err("it is newer"),
        Ledger::open(LedgerSettings::new(folder.ledger())).expect_err("it is newer"),
    ] {
        assert!(matches!(error, LedgerError::Newer { found: 4, known: 3, .. }), "{error}");
    }
}

#[test]
fn an_older_ledger_is_brought_up_to_date_once() {
    let folder = Folder::new();
    drop(Connection::open(folder.ledger()).expect("an empty file"));
    for _ in 0..2 {
        let conn = open(&folder.ledger(), Durability::Process).expect("it opens");
        assert_eq!(version(&conn).expect("a version"), MIGRATIONS.len());
    }
}

#[test]
fn a_ledger_keeps_the_pages_that_it_was_made_with_and_its_log_the_same_bound() {
    let bound = |folder: &Folder| {
        let conn = open(&folder.ledger(), Durability::Process).expect("it opens");
        let number = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).expect("a number");
        (number("page_size"), number("page_size") * number("wal_autocheckpoint"))
    };
    assert_eq!(bound(&Folder::new()), (PAGE, LOG_BYTES));
    let folder = Folder::new();
    let conn = Connection::open(folder.ledger()).expect("a new file");
    conn.execute_batch("PRAGMA page_size = 4096; CREATE TABLE made (n)").expect("it is made");
    drop(conn);
    assert_eq!(bound(&folder), (4096, LOG_BYTES));
}

#[test]
fn a_file_that_is_no_database_is_refused_and_stays_as_it_is() {
    let folder = Folder::new();
    let text = "a shopping list\n".repeat(1000);
    std::fs::write(folder.ledger(), &text).expect("a file");
    let error = Ledger::open(LedgerSettings::new(folder.ledger())).expect_err("it is no database");
    assert!(matches!(error, LedgerError::Open { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(folder.ledger()).expect("a file"), text);
}

#[test]
fn a_folder_that_is_not_there_is_told_at_the_start() {
    let folder = Folder::new();
    let error = Ledger::open(LedgerSettings::new(folder.path().join("missing/ledger.db"))).expect_err("no folder");
    assert!(matches!(error, LedgerError::Start { .. }), "{error}");
    let error = Reader::open(folder.ledger()).expect_err("no ledger");
    assert!(matches!(error, LedgerError::Absent { .. }), "{error}");
}

use super::*;
use crate::testing::{Folder, eventually, new_id};

const HOUR: u64 = 3_600_000;

fn count(folder: &Folder) -> i64 {
    let conn = Connection::open(folder.ledger()).expect("it opens");
    conn.query_row("SELECT count(*) FROM results", [], |row| row.get(0)).expect("a number")
}

#[tokio::test]
async fn a_result_is_kept_byte_for_byte_beside_a_running_ledger_and_over_a_restart() {
    let folder = Folder::new();
    let ledger = folder.open();
    let results = Results::open(folder.ledger()).expect("it opens");
    let (id, body) = (new_id(), Bytes::from("{\"text\":\"h\u{e9}\"}".repeat(100_000)));
    results.put(id, unix_millis() + HOUR, body.clone()).await.expect("it is kept");
    assert_eq!(results.get(id).await.expect("it reads"), Some(body.clone()));
    assert_eq!(results.get(new_id()).await.expect("it reads"), None);
    drop((results, ledger));

    let results = Results::open(folder.ledger()).expect("it opens again");
    assert_eq!(results.get(id).await.expect("it reads"), Some(body));
}

#[tokio::test]
async fn a_later_result_of_a_stream_takes_the_place_of_the_earlier() {
    let folder = Folder::new();
    let results = Results::open(folder.ledger()).expect("it opens");
    let id = new_id();
    for body in ["1", "2"] {
        results.put(id, unix_millis() + HOUR, Bytes::from(body)).await.expect("it is kept");
    }
    assert_eq!(results.get(id).await.expect("it reads"), Some(Bytes::from("2")));
}

#[tokio::test]
async fn an_expired_result_is_gone_at_once_and_its_room_is_given_back_by_the_running_gateway() {
    let folder = Folder::new();
    let results = Results::open(folder.ledger()).expect("it opens");
    let (old, fresh) = (new_id(), new_id());
    results.put(old, unix_millis(), Bytes::from("old")).await.expect("it is kept");
    results.put(fresh, unix_millis() + HOUR, Bytes::from("fresh")).await.expect("it is kept");
    assert_eq!(results.get(old).await.expect("it reads"), None);
    assert_eq!(count(&folder), 2);
    let ledger = folder.open();
    eventually("the old result is deleted", async || (count(&folder) == 1).then_some(())).await;
    assert_eq!(results.get(fresh).await.expect("it reads"), Some(Bytes::from("fresh")));
    drop(ledger);
}

#[test]
fn a_sweep_deletes_a_bounded_number_of_rows_and_locks_nothing_where_there_is_nothing_to_delete() {
    let folder = Folder::new();
    let conn = crate::store::open(&folder.ledger(), crate::Durability::Process).expect("it opens");
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO results SELECT i, i, x'' FROM n";
    conn.execute_batch(fill).expect("a hundred results");
    let swept: Vec<usize> = (0..3).map(|_| sweep(&conn, 90).expect("it sweeps")).collect();
    assert_eq!(swept, [64, 26, 0]);

    let other = Connection::open(folder.ledger()).expect("it opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    assert_eq!(sweep(&conn, 90).expect("it does not ask for the lock"), 0);
}

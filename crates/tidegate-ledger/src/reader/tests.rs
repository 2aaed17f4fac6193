use super::*;
use crate::testing::{Folder, ended_record, new_id, opening};

/// Runs streams to their ends in this order, the last one (`None`) left open, and returns their ids.
async fn streams(folder: &Folder, ends: &[Option<Status>]) -> Vec<StreamId> {
    let ledger = folder.open();
    let mut ids = Vec::new();
    for end in ends {
        let id = new_id();
        let entry = ledger.begin(&opening(id)).await.expect("a place");
        match end {
            Some(status) => entry.settle(ended_record(id, *status)),
            // Never dropped, as in a process that dies.
            None => std::mem::forget(entry),
        }
        ids.push(id);
    }
    ledger.close().await.expect("it closes");
    ids
}

fn ids(records: &[StreamRecord]) -> Vec<StreamId> {
    records.iter().filter_map(|record| StreamId::parse(&record.id)).collect()
}

#[tokio::test]
async fn a_list_shows_the_last_changes_first_and_filters() {
    let folder = Folder::new();
    let all = streams(&folder, &[Some(Status::Completed), Some(Status::FailedAfterOutput), Some(Status::Completed), None]).await;
    let reader = Reader::open(folder.ledger()).expect("it opens");
    let list = |filter: Filter<'_>| ids(&reader.list(&filter, 10).expect("a list"));

    let mut newest_first = all.clone();
    newest_first.reverse();
    assert_eq!(list(Filter::default()), newest_first);
    assert_eq!(ids(&reader.list(&Filter::default(), 2).expect("a list")), newest_first[..2]);
    assert_eq!(list(Filter { status: Some(StatusFilter::Open), ..Filter::default() }), all[3..]);
    assert_eq!(list(Filter { status: Some(StatusFilter::Is(Status::FailedAfterOutput)), ..Filter::default() }), all[1..2]);
    assert_eq!(list(Filter { team: Some("search"), model: Some("gpt-4o"), since_unix_ms: Some(0), ..Filter::default() }).len(), 4);
    assert_eq!(list(Filter { team: Some("ads"), ..Filter::default() }), []);
    assert_eq!(list(Filter { key: Some("key_1"), ..Filter::default() }), []);
    assert_eq!(list(Filter { since_unix_ms: Some(unix_millis() + 1000), ..Filter::default() }), []);
    assert_eq!(reader.get(all[0]).expect("it reads").map(|record| record.id), Some(all[0].to_string()));
    assert_eq!(reader.get(new_id()).expect("it reads"), None);
}

#[tokio::test]
async fn a_tail_shows_every_change_once_and_in_order() {
    let folder = Folder::new();
    let before = Cursor::at(unix_millis());
    let all = streams(&folder, &[Some(Status::Completed), Some(Status::Completed), None]).await;
    let reader = Reader::open(folder.ledger()).expect("it opens");
    let (first, cursor) = reader.tail(before, 2).expect("a tail");
    let (second, cursor) = reader.tail(cursor, 10).expect("a tail");
    assert_eq!([ids(&first), ids(&second)].concat(), all);
    assert_eq!(reader.tail(cursor, 10).expect("a tail"), (Vec::new(), cursor));

    // The next start closes the open one, which is a change.
    folder.open().close().await.expect("it closes");
    let (third, _) = reader.tail(cursor, 10).expect("a tail");
    assert_eq!((ids(&third), third[0].status), (all[2..].to_vec(), Some(Status::Interrupted)));
}

#[tokio::test]
async fn a_row_that_cannot_be_understood_does_not_hide_the_others() {
    let folder = Folder::new();
    streams(&folder, &[Some(Status::Completed); 3]).await;
    let conn = store::open(&folder.ledger(), crate::Durability::Process).expect("it opens");
    let reader = Reader::open(folder.ledger()).expect("it opens");
    for record in [r#"{"status":"paused"}"#, r#"{"status":"#] {
        conn.execute("UPDATE ended_streams SET record = ?1 WHERE n = (SELECT min(n) FROM ended_streams)", [record]).expect("a row");
        let list = reader.list(&Filter::default(), 10).expect("a list");
        assert_eq!((list.len(), list[2].status), (3, None));
        assert_eq!(reader.list(&Filter { team: Some("search"), ..Filter::default() }, 10).expect("a list").len(), 2);
    }
}

#[tokio::test]
async fn lists_and_tails_are_read_in_the_order_of_the_key_without_sorting() {
    let folder = Folder::new();
    streams(&folder, &[]).await;
    let conn = store::open_to_read(&folder.ledger()).expect("it opens");
    for sql in [
        "SELECT n, id, record FROM streams WHERE n >= 5 AND (1 OR team = 'x') ORDER BY n DESC LIMIT 3",
        "SELECT id FROM streams WHERE id = 'x'",
    ] {
        let mut select = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a plan");
        let plan: Vec<String> = select.query_map([], |row| row.get("detail")).expect("a plan").map(|line| line.expect("a line")).collect();
        assert!(plan.iter().all(|line| !line.contains("TEMP B-TREE") && !line.starts_with("SCAN ")), "{plan:#?}");
    }
}

use super::*;
use crate::store::unix_millis;
use crate::testing::{Folder, ended_record, new_id, opening};

/// Leaves a stream open and starts again, as a process that is killed.
async fn interrupt(folder: &Folder) -> String {
    let (ledger, id) = (folder.open(), new_id());
    let whole = new_id();
    ledger.begin(&opening(whole)).await.expect("a place").settle(ended_record(whole, Status::Completed));
    std::mem::forget(ledger.begin(&opening(id)).await.expect("a place"));
    ledger.close().await.expect("it closes");
    folder.open().close().await.expect("it closes");
    id.to_string()
}

async fn listed(folder: &Folder, since: u64) -> (Vec<String>, Cursor) {
    let interrupted = Interrupted::open(folder.ledger()).expect("it opens");
    let (records, up_to) = interrupted.list(since).await.expect("a list");
    (records.into_iter().map(|record| record.id).collect(), up_to)
}

#[tokio::test]
async fn what_was_compared_is_not_listed_again_and_what_was_not_is_after_every_start() {
    let folder = Folder::new();
    let first = interrupt(&folder).await;
    let (found, up_to) = listed(&folder, 0).await;
    assert_eq!(found, std::slice::from_ref(&first));
    let second = interrupt(&folder).await;
    assert_eq!(listed(&folder, 0).await.0, [first, second.clone()]);

    let interrupted = Interrupted::open(folder.ledger()).expect("it opens");
    interrupted.compared(up_to).await.expect("it is noted");
    let (found, last) = listed(&folder, 0).await;
    assert_eq!(found, [second]);
    interrupted.compared(last).await.expect("it is noted");
    // Where nothing is listed, nothing is taken back.
    let (found, nothing) = listed(&folder, 0).await;
    interrupted.compared(nothing).await.expect("it is noted");
    assert_eq!((found, listed(&folder, 0).await.0), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn what_is_older_than_asked_for_is_not_listed() {
    let folder = Folder::new();
    let id = interrupt(&folder).await;
    assert_eq!(listed(&folder, unix_millis() + 1_000).await.0, Vec::<String>::new());
    assert_eq!(listed(&folder, unix_millis() - 60_000).await.0, [id]);
}

mod killed;

use tidegate_core::record::{DisconnectSource, Status};

use super::*;
use crate::recent::{self, Recent};
use crate::testing::{Folder, ended_record, eventually, new_id, open_record, opening};
use crate::writer::BATCH_SPACING;
use crate::{Filter, Reader};

async fn end_of(ledger: &Ledger, id: StreamId) -> StreamRecord {
    eventually("its end", async || ledger.stream(id).await.expect("it reads").filter(|record| record.status.is_some())).await
}

#[tokio::test]
async fn a_stream_is_seen_open_and_then_as_it_was_settled() {
    let folder = Folder::new();
    let ledger = folder.open();
    let id = new_id();
    let entry = ledger.begin(&opening(id)).await.expect("a place");
    assert_eq!(entry.id(), id);
    assert_eq!(ledger.stream(id).await.expect("it reads"), Some(open_record(id)));
    entry.settle(ended_record(id, Status::Completed));
    assert_eq!(ledger.stream(id).await.expect("it reads"), Some(ended_record(id, Status::Completed)));
    assert_eq!(ledger.stream(new_id()).await.expect("it reads"), None);
}

#[tokio::test]
async fn everything_handed_over_is_in_the_file_after_closing_and_nothing_waits() {
    let folder = Folder::new();
    let ledger = folder.open();
    let mut ids = Vec::new();
    for _ in 0..300 {
        let id = new_id();
        ledger.begin(&opening(id)).await.expect("a place").settle(ended_record(id, Status::Completed));
        ids.push(id);
    }
    let other = ledger.clone();
    ledger.close().await.expect("it closes");
    assert_eq!(other.pending(), 0);
    assert!(matches!(other.begin(&opening(new_id())).await, Err(LedgerError::Unavailable)));
    assert!(matches!(other.stream(ids[0]).await, Err(LedgerError::Unavailable)));
    let reader = Reader::open(folder.ledger()).expect("it opens");
    for id in ids {
        assert_eq!(reader.get(id).expect("it reads"), Some(ended_record(id, Status::Completed)));
    }
    let (_, opened) = Ledger::open(LedgerSettings::new(folder.ledger())).expect("it is free again");
    assert_eq!(opened.interrupted, 0);
}

#[tokio::test]
async fn whoever_wants_to_know_hears_when_the_last_row_is_in_the_database() {
    let folder = Folder::new();
    let ledger = folder.open();
    let reader = Reader::open(folder.ledger()).expect("it opens");
    for _ in 0..3 {
        let id = new_id();
        let mut entry = ledger.begin(&opening(id)).await.expect("a place");
        let written = entry.written();
        entry.settle(ended_record(id, Status::Completed));
        assert!(written.await);
        assert_eq!(reader.get(id).expect("it reads"), Some(ended_record(id, Status::Completed)));
    }
    let mut late = ledger.begin(&opening(new_id())).await.expect("a place");
    ledger.close().await.expect("it closes");
    let written = late.written();
    late.settle(ended_record(new_id(), Status::Completed));
    assert!(!written.await, "nothing is written any more");
}

#[tokio::test]
async fn a_stream_that_was_marked_as_interrupted_may_have_ended_otherwise_and_no_other_stream() {
    let folder = Folder::new();
    let (interrupted, whole) = (new_id(), new_id());
    let ledger = folder.open();
    let _open = ledger.begin(&opening(interrupted)).await.expect("a place");
    ledger.begin(&opening(whole)).await.expect("a place").settle(ended_record(whole, Status::Completed));
    ledger.close().await.expect("it closes");
    let (ledger, opened) = Ledger::open(LedgerSettings::new(folder.ledger())).expect("it opens");
    assert_eq!(opened.interrupted, 1);
    for id in [interrupted, whole, new_id()] {
        ledger.amend(id, &ended_record(id, Status::FailedAfterOutput)).await.expect("it is written");
    }
    let reader = Reader::open(folder.ledger()).expect("it opens");
    let is = |id| reader.get(id).expect("it reads").and_then(|record| record.status);
    assert_eq!((is(interrupted), is(whole)), (Some(Status::FailedAfterOutput), Some(Status::Completed)));
    assert_eq!(reader.list(&Filter::default(), 10).expect("it reads").len(), 2);
}

#[tokio::test]
async fn rows_reach_the_database_soon_even_when_nothing_follows() {
    let folder = Folder::new();
    let ledger = folder.open();
    let reader = Reader::open(folder.ledger()).expect("it opens");
    for _ in 0..3 {
        let id = new_id();
        ledger.begin(&opening(id)).await.expect("a place").settle(ended_record(id, Status::Completed));
        eventually("the row", async || reader.get(id).expect("it reads").filter(|record| record.status.is_some())).await;
    }
    eventually("the last row", async || (ledger.pending() == 0).then_some(())).await;
}

#[tokio::test]
async fn the_last_handle_to_go_ends_the_writer_and_frees_the_ledger() {
    let folder = Folder::new();
    let id = new_id();
    let entry = folder.open().begin(&opening(id)).await.expect("a place");
    assert!(matches!(Ledger::open(LedgerSettings::new(folder.ledger())), Err(LedgerError::InUse { .. })));
    entry.settle(ended_record(id, Status::Completed));
    let ledger = eventually("the ledger is free", async || Ledger::open(LedgerSettings::new(folder.ledger())).ok()).await.0;
    assert_eq!(ledger.stream(id).await.expect("it reads"), Some(ended_record(id, Status::Completed)));
}

#[tokio::test]
async fn a_stream_that_is_dropped_unsettled_claims_neither_output_nor_its_absence() {
    let folder = Folder::new();
    let ledger = folder.open();
    let id = new_id();
    drop(ledger.begin(&opening(id)).await.expect("a place"));
    let record = end_of(&ledger, id).await;
    assert_eq!((record.status, record.code.as_deref()), (Some(Status::Interrupted), Some("internal")));
    assert_eq!((record.team.as_deref(), record.completed_ms.is_some()), (Some("search"), true));
}

/// What a begin tells when it is asked for the first time, before the writer can have answered.
fn at_once<T>(begin: impl Future<Output = T>) -> Option<T> {
    match std::pin::pin!(begin).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(told) => Some(told),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn while_the_database_is_well_an_open_row_is_durable_at_once_and_nothing_is_waited_for() {
    let folder = Folder::new();
    let ledger = folder.open();
    let mut short = 0;
    for _ in 0..100 {
        // Rows that follow each other more closely go through the writer's hands.
        tokio::time::sleep(BATCH_SPACING * 2).await;
        let id = new_id();
        ledger.shortcut.vouch(Instant::now());
        let begin = ledger.begin(&opening(id));
        let files = Recent::paths(&folder.ledger()).map(|path| std::fs::read_to_string(path).expect("the file is there"));
        let is_noted = files.iter().any(|text| recent::left(text).any(|row| row.id == id.to_string()));
        // So does one while the writer is using the files.
        let entry = at_once(begin);
        assert!(is_noted || entry.is_none());
        let Some(entry) = entry else { continue };
        entry.expect("a place").settle(ended_record(id, Status::Completed));
        assert_eq!(ledger.stream(id).await.expect("it reads"), Some(ended_record(id, Status::Completed)));
        short += 1;
    }
    assert!(short > 50, "only {short} of a hundred took the short way");
}

#[tokio::test]
async fn while_streams_keep_coming_the_writer_keeps_the_short_way_open() {
    let folder = Folder::new();
    let ledger = folder.open();
    let mut short = 0;
    eventually("the fiftieth row that took it", async || {
        let entry = at_once(ledger.begin(&opening(new_id())));
        short += u32::from(entry.is_some());
        (short == 50).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_open_row_is_written_is_recorded_as_gone() {
    let folder = Folder::new();
    let ledger = folder.open();
    let mut ids = Vec::new();
    for number in 0..20 {
        if number % 2 == 0 {
            tokio::time::sleep(BATCH_SPACING * 2).await;
            ledger.shortcut.vouch(Instant::now());
        }
        let id = new_id();
        drop(ledger.begin(&opening(id)));
        ids.push(id);
    }
    for id in ids {
        let record = end_of(&ledger, id).await;
        assert_eq!((record.status, record.code.as_deref()), (Some(Status::CancelledBeforeOutput), Some("client_gone")));
        assert_eq!(record.disconnect_source, Some(DisconnectSource::Client));
    }
}

#[tokio::test]
async fn a_ledger_without_a_free_place_refuses_at_once_and_an_end_frees_one() {
    let folder = Folder::new();
    let (ledger, _) = Ledger::open(LedgerSettings { capacity: 1, ..LedgerSettings::new(folder.ledger()) }).expect("it opens");
    let ids = [new_id(), new_id()];
    let first = ledger.begin(&opening(ids[0])).await.expect("a place");
    let second = ledger.begin(&opening(ids[1])).await.expect("a place for one whose last row waits");
    assert!(matches!(ledger.begin(&opening(new_id())).await, Err(LedgerError::Full)));
    first.settle(ended_record(ids[0], Status::Completed));
    second.settle(ended_record(ids[1], Status::Completed));
    eventually("a place is free", async || ledger.begin(&opening(new_id())).await.ok()).await;
}

#[tokio::test]
async fn what_survives_a_power_cut_is_written_without_a_detour() {
    let folder = Folder::new();
    let settings = LedgerSettings { durability: Durability::Power, ..LedgerSettings::new(folder.ledger()) };
    let (ledger, _) = Ledger::open(settings).expect("it opens");
    let reader = Reader::open(folder.ledger()).expect("it opens");
    for _ in 0..30 {
        let id = new_id();
        let _entry = ledger.begin(&opening(id)).await.expect("a place");
        assert_eq!(reader.get(id).expect("it reads"), Some(open_record(id)), "it is in the database before begin returns");
    }
}

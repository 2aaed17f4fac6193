use std::process::{Command, Stdio};

use tidegate_core::record::{DisconnectSource, Status};

use super::*;
use crate::Reader;
use crate::testing::{Folder, ended_record, eventually, new_id, open_record, opening};

async fn end_of(ledger: &Ledger, id: StreamId) -> StreamRecord {
    eventually("its end", async || ledger.stream(id).await.expect("it reads").filter(|record| record.status.is_some())).await
}

#[tokio::test]
async fn a_stream_is_seen_open_and_then_as_it_was_settled() {
    let folder = Folder::new();
    let ledger = folder.open();
    let id = new_id();
    let entry = ledger.begin(opening(id)).await.expect("a place");
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
        ledger.begin(opening(id)).await.expect("a place").settle(ended_record(id, Status::Completed));
        ids.push(id);
    }
    let other = ledger.clone();
    ledger.close().await.expect("it closes");
    assert_eq!(other.pending(), 0);
    assert!(matches!(other.begin(opening(new_id())).await, Err(LedgerError::Unavailable)));
    assert!(matches!(other.stream(ids[0]).await, Err(LedgerError::Unavailable)));
    let reader = Reader::open(folder.ledger()).expect("it opens");
    for id in ids {
        assert_eq!(reader.get(id).expect("it reads"), Some(ended_record(id, Status::Completed)));
    }
    let (_, opened) = Ledger::open(LedgerSettings::new(folder.ledger())).expect("it is free again");
    assert_eq!(opened.interrupted, 0);
}

#[tokio::test]
async fn rows_reach_the_database_soon_even_when_nothing_follows() {
    let folder = Folder::new();
    let ledger = folder.open();
    let reader = Reader::open(folder.ledger()).expect("it opens");
    for _ in 0..3 {
        let id = new_id();
        ledger.begin(opening(id)).await.expect("a place").settle(ended_record(id, Status::Completed));
        eventually("the row", async || reader.get(id).expect("it reads").filter(|record| record.status.is_some())).await;
    }
    eventually("the last row", async || (ledger.pending() == 0).then_some(())).await;
}

#[tokio::test]
async fn the_last_handle_to_go_ends_the_writer_and_frees_the_ledger() {
    let folder = Folder::new();
    let id = new_id();
    let entry = folder.open().begin(opening(id)).await.expect("a place");
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
    drop(ledger.begin(opening(id)).await.expect("a place"));
    let record = end_of(&ledger, id).await;
    assert_eq!((record.status, record.code.as_deref()), (Some(Status::Interrupted), Some("internal")));
    assert_eq!((record.team.as_deref(), record.completed_ms.is_some()), (Some("search"), true));
}

#[tokio::test]
async fn a_client_that_leaves_before_the_open_row_is_written_is_recorded_as_gone() {
    let folder = Folder::new();
    let ledger = folder.open();
    let mut ids = Vec::new();
    for _ in 0..20 {
        let id = new_id();
        {
            let mut begin = std::pin::pin!(ledger.begin(opening(id)));
            let polled = std::future::poll_fn(|context| std::task::Poll::Ready(begin.as_mut().poll(context).is_pending())).await;
            assert!(polled, "the writer cannot have answered yet");
        }
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
    let first = ledger.begin(opening(ids[0])).await.expect("a place");
    let second = ledger.begin(opening(ids[1])).await.expect("a place for one whose last row waits");
    assert!(matches!(ledger.begin(opening(new_id())).await, Err(LedgerError::Full)));
    first.settle(ended_record(ids[0], Status::Completed));
    second.settle(ended_record(ids[1], Status::Completed));
    eventually("a place is free", async || ledger.begin(opening(new_id())).await.ok()).await;
}

#[tokio::test]
async fn what_survives_a_power_cut_is_written_without_a_detour() {
    let folder = Folder::new();
    let settings = LedgerSettings { durability: Durability::Power, ..LedgerSettings::new(folder.ledger()) };
    let (ledger, _) = Ledger::open(settings).expect("it opens");
    let reader = Reader::open(folder.ledger()).expect("it opens");
    for _ in 0..3 {
        let id = new_id();
        let _entry = ledger.begin(opening(id)).await.expect("a place");
        assert_eq!(reader.get(id).expect("it reads"), Some(open_record(id)), "it is in the database before begin returns");
    }
}

/// Names the folder in which the test below runs as the gateway that gets killed.
const CHILD: &str = "TIDEGATE_LEDGER_TEST_CHILD";

/// The child of the next test: opens 200 streams, settles every fourth, says so and waits for its end.
#[tokio::test]
async fn child_that_opens_two_hundred_streams() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let (ledger, _) = Ledger::open(LedgerSettings::new(path)).expect("the ledger opens");
    let mut running = Vec::new();
    for number in 0..200 {
        let id = new_id();
        let entry = ledger.begin(opening(id)).await.expect("a place");
        if number % 4 == 0 {
            entry.settle(ended_record(id, Status::Completed));
            // Reading it back is the proof that the writer has it.
            end_of(&ledger, id).await;
            println!("settled {id}");
        } else {
            println!("open {id}");
            running.push(entry);
        }
    }
    println!("ready");
    std::future::pending::<()>().await;
}

#[test]
fn kill_nine_loses_no_row_and_the_next_start_marks_what_ran() {
    let folder = Folder::new();
    for round in 0..3 {
        let (settled, open) = killed_child(&folder);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (ledger, opened) = Ledger::open(LedgerSettings::new(folder.ledger())).expect("it opens");
        assert_eq!((settled.len(), open.len(), opened.interrupted), (50, 150, 150), "round {round}");
        runtime.block_on(async {
            for id in settled {
                assert_eq!(ledger.stream(id).await.expect("it reads"), Some(ended_record(id, Status::Completed)));
            }
            for id in open {
                let expected = StreamRecord { status: Some(Status::Interrupted), ..open_record(id) };
                assert_eq!(ledger.stream(id).await.expect("it reads"), Some(expected));
            }
            ledger.close().await.expect("it closes");
        });
    }
}

/// Runs the child until it is ready, kills it with SIGKILL, and returns the streams that it said were settled and open.
fn killed_child(folder: &Folder) -> (Vec<StreamId>, Vec<StreamId>) {
    use std::io::{BufRead, BufReader};
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "ledger::tests::child_that_opens_two_hundred_streams", "--nocapture"])
        .env(CHILD, folder.ledger())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let (mut settled, mut open) = (Vec::new(), Vec::new());
    for line in BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok) {
        // The test runner's own words may stand before the first one on its line.
        match line.rsplit_once(' ') {
            Some((said, id)) if said.ends_with("settled") => settled.extend(StreamId::parse(id)),
            Some((said, id)) if said.ends_with("open") => open.extend(StreamId::parse(id)),
            _ if line.ends_with("ready") => break,
            _ => {}
        }
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("it is dead");
    (settled, open)
}

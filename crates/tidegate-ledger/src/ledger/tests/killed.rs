//! A gateway that is killed with SIGKILL: each test here runs itself again as a child, and ends it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

/// Names the folder in which a test below runs as the gateway that gets killed.
const CHILD: &str = "TIDEGATE_LEDGER_TEST_CHILD";

/// The child of the next test: opens 200 streams, settles every fourth, says so and waits for its end.
#[tokio::test]
async fn child_that_opens_two_hundred_streams() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let (ledger, _) = Ledger::open(LedgerSettings::new(path)).expect("the ledger opens");
    let mut running = Vec::new();
    for number in 0..200 {
        let id = new_id();
        let entry = ledger.begin(&opening(id)).await.expect("a place");
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
        let told = killed(&folder, "child_that_opens_two_hundred_streams", |said| said == "ready");
        let [settled, open] =
            ["settled", "open"].map(|what| told.iter().filter(|(said, _)| said == what).map(|(_, id)| *id).collect::<Vec<_>>());
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

/// The child of the next test: four threads begin, settle and drop streams, and say what they were told.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_that_never_rests() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let (ledger, _) = Ledger::open(LedgerSettings::new(path)).expect("the ledger opens");
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let ledger = ledger.clone();
        streams.spawn(async move {
            let mut running = Vec::new();
            for number in 0_u32.. {
                // Now and then far enough from the others' rows to take the short way.
                tokio::time::sleep(Duration::from_millis(1)).await;
                let id = new_id();
                // The writer may be slow on a busy machine; what counts is what was promised.
                let Ok(entry) = ledger.begin(&opening(id)).await else { continue };
                println!("open {id}");
                match number % 16 {
                    3 => {
                        entry.settle(ended_record(id, Status::Completed));
                        // Reading it back is the proof that the writer has it.
                        if ledger.stream(id).await.is_ok() {
                            println!("settled {id}");
                        }
                    }
                    // The database takes such an end at once, so the files turn.
                    7 => drop(entry),
                    11 => running.push(entry),
                    _ => entry.settle(ended_record(id, Status::Completed)),
                }
            }
        });
    }
    streams.join_all().await;
}

#[test]
fn kill_nine_in_full_flight_loses_no_row_whichever_way_it_took() {
    let folder = Folder::new();
    let mut told = HashMap::new();
    for round in 0..12 {
        let mut open = 0;
        let lines = killed(&folder, "child_that_never_rests", |said| {
            open += usize::from(said == "open");
            open >= 400
        });
        for (said, id) in lines {
            *told.entry(id).or_insert(false) |= said == "settled";
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (ledger, _) = Ledger::open(LedgerSettings::new(folder.ledger())).expect("it opens");
        runtime.block_on(async { ledger.close().await.expect("it closes") });
        let reader = Reader::open(folder.ledger()).expect("it opens");
        for (&id, &settled) in &told {
            let record = reader.get(id).expect("it reads").unwrap_or_else(|| panic!("{id} is lost in round {round}"));
            let possible = matches!(record.status, Some(Status::Completed)) || (!settled && record.status == Some(Status::Interrupted));
            assert!(possible, "in round {round}: {record:?}");
        }
    }
}

/// Runs a child until it has said enough, kills it with SIGKILL, and returns what it said of which stream.
fn killed(folder: &Folder, test: &str, mut is_enough: impl FnMut(&str) -> bool) -> Vec<(String, StreamId)> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", &format!("ledger::tests::killed::{test}"), "--nocapture"])
        .env(CHILD, folder.ledger())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let mut told = Vec::new();
    let mut read = |line: &str| {
        // The test runner's own words may stand before the first one on its line.
        let mut words = line.split(' ').rev().map(str::to_owned);
        let last = words.next().unwrap_or_default();
        let (Some(id), Some(said)) = (StreamId::parse(&last), words.next()) else { return last };
        told.push((said.clone(), id));
        said
    };
    for line in lines.by_ref() {
        if is_enough(&read(&line)) {
            break;
        }
    }
    child.kill().expect("SIGKILL");
    // What it had said before counts too.
    lines.for_each(|line| drop(read(&line)));
    child.wait().expect("it is dead");
    told
}

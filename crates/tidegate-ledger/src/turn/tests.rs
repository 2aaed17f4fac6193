use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::*;
use crate::entry::{Place, Shared};
use crate::queue::{Batch, Request, Row};
use crate::recent::{self, Recent};
use crate::testing::{Folder, new_id};

struct Bench {
    folder: Folder,
    shortcut: Arc<Shortcut>,
    shared: Arc<Shared>,
}

impl Bench {
    /// With a short way that is open.
    fn new() -> Self {
        let folder = Folder::new();
        let shortcut = Arc::new(Shortcut::new(Recent::create(Recent::paths(&folder.ledger())).expect("the files")));
        shortcut.vouch(Instant::now() + Duration::from_secs(60));
        Self { folder, shortcut, shared: Arc::new(Shared::new(Arc::default(), 100)) }
    }

    fn seat(&self) -> Seat {
        let entry = Entry::new(new_id(), 0, Place::take(&self.shared).expect("a place"));
        Seat::take(&self.shortcut, &self.shared.queue, entry, b"{}", Instant::now())
    }

    /// What the next start would find after `kill -9`, in order.
    fn durable(&self) -> Vec<String> {
        let text = fs::read_to_string(&Recent::paths(&self.folder.ledger())[0]).expect("the file is there");
        recent::left(&text).map(|row| row.id.to_owned()).collect()
    }

    /// What the writer was handed.
    fn handed(&self) -> Vec<(i64, Row)> {
        let mut batch = Batch::default();
        self.shared.queue.take(&mut batch);
        let row = |request| if let Request::Write { n, row, .. } = request { Some((n, row)) } else { None };
        batch.requests.into_iter().filter_map(row).collect()
    }
}

#[tokio::test]
async fn the_first_that_goes_on_makes_the_rows_of_all_durable_and_each_has_its_number() {
    let bench = Bench::new();
    let written_by_the_first = AtomicUsize::new(0);
    let of_one = async || {
        let seat = bench.seat();
        assert_eq!(bench.durable(), Vec::<String>::new(), "nothing is written before all had their chance");
        let entry = seat.noted().await.expect("open").expect("durable");
        written_by_the_first.compare_exchange(0, bench.durable().len(), Ordering::Relaxed, Ordering::Relaxed).ok();
        entry
    };
    let entries = join_all((0..5).map(|_| of_one())).await;
    assert_eq!(written_by_the_first.into_inner(), 5);
    let ids: Vec<_> = entries.iter().map(|entry| entry.id().to_string()).collect();
    assert_eq!(bench.durable(), ids);
    let handed = bench.handed().into_iter().map(|(n, row)| match row {
        Row::Noted { id } => (Some(n), id.to_string()),
        row => panic!("{row:?}"),
    });
    assert_eq!(handed.collect::<Vec<_>>(), entries.iter().map(|entry| entry.opened).zip(ids).collect::<Vec<_>>());
    // Those of the next turn are others.
    let next = bench.seat().noted().await.expect("open").expect("durable");
    assert_eq!(bench.durable().last(), Some(&next.id().to_string()));
}

#[tokio::test]
async fn files_that_are_in_use_are_waited_for_a_few_turns_and_then_the_long_way_is_taken() {
    let bench = Bench::new();
    let mut waits = Box::pin(bench.seat().noted());
    let in_use = bench.shortcut.recent();
    for _ in 0..PATIENCE {
        assert!(waits.as_mut().now_or_never().is_none());
    }
    drop(in_use);
    let entry = waits.await.expect("open").expect("durable");
    assert!(matches!(&bench.handed()[..], [(n, Row::Noted { .. })] if entry.opened == Some(*n)));

    let mut waits = Box::pin(bench.seat().noted());
    let in_use = bench.shortcut.recent();
    let noted = (0..=PATIENCE).find_map(|_| waits.as_mut().now_or_never()).expect("it gives up");
    assert!(noted.is_some_and(|noted| noted.is_err()));
    drop(in_use);
    assert!(matches!(&bench.handed()[..], [(_, Row::Open { .. })]));
    assert_eq!(bench.durable().len(), 1);
}

#[tokio::test]
async fn where_nobody_vouches_for_the_database_any_more_the_long_way_is_taken_at_once() {
    let bench = Bench::new();
    let seats = [bench.seat(), bench.seat()];
    bench.shortcut.close();
    for seat in seats {
        assert!(seat.noted().await.is_some_and(|noted| noted.is_err()));
    }
    assert!(matches!(&bench.handed()[..], [(_, Row::Open { .. }), (_, Row::Open { .. })]));

    let late = bench.seat();
    bench.shared.queue.close();
    assert!(late.noted().await.is_none(), "the ledger is closed");
}

#[tokio::test]
async fn a_client_that_leaves_is_recorded_whether_its_row_was_written_or_not_and_the_others_go_on() {
    let bench = Bench::new();
    let (leaves_first, stays, leaves_later) = (bench.seat(), bench.seat(), bench.seat());
    drop(leaves_first);
    let stays = stays.noted().await.expect("open").expect("durable");
    drop(leaves_later);
    let handed = bench.handed();
    let rows: Vec<_> = handed.iter().map(|(_, row)| row).collect();
    let [Row::Open { .. }, Row::Noted { .. }, Row::Noted { .. }, Row::GiveUp { opened, .. }] = rows[..] else { panic!("{rows:?}") };
    assert_eq!((stays.opened, *opened), (Some(handed[1].0), handed[2].0));
    assert_eq!(bench.durable().len(), 2);
}

#[tokio::test]
async fn rows_of_two_ledgers_do_not_mix() {
    let (one, other) = (Bench::new(), Bench::new());
    let seats = [one.seat(), other.seat(), one.seat()];
    join_all(seats.map(Seat::noted)).await;
    assert_eq!((one.durable().len(), other.durable().len()), (2, 1));
}

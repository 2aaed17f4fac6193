use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, LocalSet, spawn_local, yield_now};

use super::*;
use crate::arrive::meter::Meter;
use crate::relay::held::Piece;

/// What happened, in order.
type Log = Rc<RefCell<Vec<String>>>;

/// Runs `test` beside an usher, as on a worker.
fn on_a_worker(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        spawn_local(usher());
        test.await;
    });
}

/// The account of a client that was given `bytes` of an answer.
fn given(bytes: &'static [u8]) -> Arc<Meter> {
    let meter = Arc::new(Meter::default());
    meter.arrived();
    meter.begin();
    meter.hand(Piece { bytes: Bytes::from_static(bytes), output_events: 0 }).advance(bytes.len());
    meter
}

/// A client's connection that waits until it is `ready` and then logs its `name`.
fn connection(meter: Arc<Meter>, ready: Arc<Notify>, name: String, log: Log) -> JoinHandle<()> {
    spawn_local(async move {
        let served = pin!(async {
            ready.notified().await;
            log.borrow_mut().push(name);
        });
        in_turn(|| meter.has_begun_to_give(), served).await;
    })
}

/// Connections of clients that have something of their answers, each with what it waits for.
fn readers(count: usize, log: &Log) -> (Vec<Arc<Notify>>, Vec<JoinHandle<()>>) {
    (0..count)
        .map(|n| {
            let ready = Arc::new(Notify::new());
            (Arc::clone(&ready), connection(given(b"data"), ready, format!("reads {n}"), Rc::clone(log)))
        })
        .unzip()
}

/// Long enough for a thousand connections to come to rest.
async fn all_wait() {
    for _ in 0..200 {
        yield_now().await;
    }
}

async fn join(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn who_has_nothing_yet_goes_before_all_that_were_ready_earlier() {
    on_a_worker(async {
        let log = Log::default();
        let ended = given(b"data");
        ended.answered();
        let newcomers = [("asks", Arc::new(Meter::default())), ("waits for its first event", given(b"")), ("asks again", ended)];
        let (mut ready, mut tasks) = readers(6, &log);
        for (name, meter) in newcomers {
            let comes = Arc::new(Notify::new());
            tasks.push(connection(meter, Arc::clone(&comes), name.to_owned(), Rc::clone(&log)));
            ready.push(comes);
        }
        all_wait().await;
        ready.iter().for_each(|ready| ready.notify_one());
        join(tasks).await;
        let expected =
            ["asks", "waits for its first event", "asks again", "reads 0", "reads 1", "reads 2", "reads 3", "reads 4", "reads 5"];
        assert_eq!(*log.borrow(), expected);
    });
}

#[test]
fn who_comes_while_others_go_on_waits_for_a_few_of_them_only() {
    on_a_worker(async {
        let log = Log::default();
        let newcomer = Arc::new(Notify::new());
        let mut tasks = vec![connection(Arc::default(), Arc::clone(&newcomer), "asks".to_owned(), Rc::clone(&log))];
        tasks.push(spawn_local(async move {
            let first = pin!(async move { newcomer.notify_one() });
            in_turn(|| true, first).await;
        }));
        // They stand back at once, and then have nothing to wait for.
        for n in 0..12 {
            let ready = Arc::new(Notify::new());
            ready.notify_one();
            tasks.push(connection(given(b"data"), ready, format!("reads {n}"), Rc::clone(&log)));
        }
        join(tasks).await;
        let place = log.borrow().iter().position(|name| name == "asks").unwrap();
        assert!((1..=2 * TOGETHER).contains(&place), "the newcomer went on in place {place}");
    });
}

#[test]
fn nobody_stands_back_for_more_than_some_rounds_whoever_comes() {
    on_a_worker(async {
        let log = Log::default();
        let (ready, tasks) = readers(1_000, &log);
        all_wait().await;
        let rounds = Rc::new(Cell::new(0));
        for _ in 0..8 {
            let rounds = Rc::clone(&rounds);
            spawn_local(async move {
                let always_ready = pin!(async {
                    loop {
                        rounds.set(rounds.get() + 1);
                        yield_now().await;
                    }
                });
                in_turn(|| false, always_ready).await;
            });
        }
        ready.iter().for_each(|ready| ready.notify_one());
        join(tasks).await;
        let rounds = rounds.get() / 8;
        assert!((10..=25).contains(&rounds), "the last one went on after {rounds} rounds");
    });
}

#[test]
fn nothing_is_lost_where_the_usher_is_not_the_only_one_who_wakes() {
    on_a_worker(async {
        let mut senders = Vec::new();
        let mut tasks = Vec::new();
        for _ in 0..30 {
            let (sender, mut events) = mpsc::channel::<u32>(1_000);
            senders.push(sender);
            let meter = given(b"data");
            tasks.push(spawn_local(async move {
                let reads = pin!(async {
                    let mut expected = 0;
                    while let Some(event) = events.recv().await {
                        assert_eq!(event, expected);
                        expected += 1;
                    }
                    assert_eq!(expected, 200);
                });
                in_turn(|| meter.has_begun_to_give(), reads).await;
            }));
        }
        for event in 0..200 {
            for (n, sender) in senders.iter().enumerate() {
                sender.send(event).await.unwrap();
                if (n + event as usize).is_multiple_of(7) {
                    yield_now().await;
                }
            }
        }
        drop(senders);
        join(tasks).await;
    });
}

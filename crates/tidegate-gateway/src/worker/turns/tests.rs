use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::{Buf as _, Bytes};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, yield_now};

use super::*;
use crate::arrive::meter::Meter;
use crate::relay::held::Piece;
use crate::worker::{become_worker, event_loop};

/// Who went on, in order.
type Log = Arc<Mutex<Vec<String>>>;

fn on_a_worker<T>(test: impl Future<Output = T>) -> T {
    event_loop().unwrap().block_on(async {
        become_worker(0);
        test.await
    })
}

/// The account of a client that was given `bytes` of an answer, output if there are any.
fn given(bytes: &'static [u8]) -> Arc<Meter> {
    let meter = Arc::new(Meter::default());
    meter.arrived();
    meter.begin();
    meter.hand(Piece { bytes: Bytes::from_static(bytes), output_events: 1 }).advance(bytes.len());
    meter
}

/// A client's connection that waits until it is `ready` and then logs its `name`.
fn connection(meter: Arc<Meter>, ready: Arc<Notify>, name: String, log: &Log) -> JoinHandle<()> {
    let log = Arc::clone(log);
    tokio::spawn(async move {
        let served = pin!(async {
            ready.notified().await;
            log.lock().unwrap().push(name);
        });
        in_turn(|| meter.has_begun_to_give(), served).await;
    })
}

/// Connections of clients that have output of their answers, each with what it waits for.
fn readers(count: usize, log: &Log) -> (Vec<Arc<Notify>>, Vec<JoinHandle<()>>) {
    (0..count)
        .map(|n| {
            let ready = Arc::new(Notify::new());
            (Arc::clone(&ready), connection(given(b"data"), ready, format!("reads {n}"), log))
        })
        .unzip()
}

/// Long enough for a thousand connections to come to rest.
async fn all_wait() {
    for _ in 0..500 {
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
        let newcomers = [("asks", Arc::default()), ("waits for its first event", given(b"")), ("asks again", ended)];
        let (mut ready, mut tasks) = readers(6, &log);
        for (name, meter) in newcomers {
            let comes = Arc::new(Notify::new());
            tasks.push(connection(meter, Arc::clone(&comes), name.to_owned(), &log));
            ready.push(comes);
        }
        all_wait().await;
        ready.iter().for_each(|ready| ready.notify_one());
        join(tasks).await;
        let expected =
            ["asks", "waits for its first event", "asks again", "reads 0", "reads 1", "reads 2", "reads 3", "reads 4", "reads 5"];
        assert_eq!(*log.lock().unwrap(), expected);
    });
}

#[test]
fn who_comes_while_others_go_on_waits_for_a_quarter_of_them_at_most() {
    for (readers, most) in [(12, 2 * TOGETHER), (1_000, 250)] {
        let place = on_a_worker(async {
            let log = Log::default();
            let newcomer = Arc::new(Notify::new());
            let mut tasks = vec![connection(Arc::default(), Arc::clone(&newcomer), "asks".to_owned(), &log)];
            // The first of those who go on makes it ready.
            tasks.push(tokio::spawn(async move {
                let first = pin!(async move { newcomer.notify_one() });
                in_turn(|| true, first).await;
            }));
            // They stand back at once, and then have nothing to wait for.
            for n in 0..readers {
                let ready = Arc::new(Notify::new());
                ready.notify_one();
                tasks.push(connection(given(b"data"), ready, format!("reads {n}"), &log));
            }
            join(tasks).await;
            let place = log.lock().unwrap().iter().position(|name| name == "asks");
            place.unwrap()
        });
        assert!((1..=most).contains(&place), "of {readers}, {place} went on before the newcomer");
    }
}

#[test]
fn nobody_stands_back_for_more_than_some_rounds_whoever_else_is_ready() {
    on_a_worker(async {
        let log = Log::default();
        let (ready, tasks) = readers(1_000, &log);
        all_wait().await;
        let polls = Arc::new(AtomicU32::new(0));
        for _ in 0..8 {
            let polls = Arc::clone(&polls);
            tokio::spawn(async move {
                let always_ready = pin!(poll_fn(|cx| {
                    polls.fetch_add(1, Ordering::Relaxed);
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }));
                in_turn(|| false, always_ready).await;
            });
        }
        ready.iter().for_each(|ready| ready.notify_one());
        join(tasks).await;
        let rounds = polls.load(Ordering::Relaxed) / 8;
        assert!((19..=30).contains(&rounds), "the last one went on after {rounds} rounds");
    });
}

#[test]
fn nothing_is_lost_whoever_wakes_and_from_where() {
    const EVENTS: u32 = 300;
    on_a_worker(async {
        let (mut senders, mut tasks, mut wakers) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..30 {
            let (sender, mut events) = mpsc::channel::<u32>(8);
            senders.push(sender);
            let waker = Arc::new(Mutex::new(None::<Waker>));
            wakers.push(Arc::clone(&waker));
            tasks.push(tokio::spawn(async move {
                let mut expected = 0;
                let reads = pin!(poll_fn(|cx| {
                    *waker.lock().unwrap() = Some(cx.waker().clone());
                    while let Poll::Ready(event) = events.poll_recv(cx) {
                        let Some(event) = event else { return Poll::Ready(()) };
                        assert_eq!(event, expected);
                        expected += 1;
                    }
                    Poll::Pending
                }));
                in_turn(|| true, reads).await;
                assert_eq!(expected, EVENTS);
            }));
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let sends = thread::spawn(move || {
            (0..EVENTS).for_each(|event| senders.iter().for_each(|sender| sender.blocking_send(event).unwrap()));
        });
        // Who stands back already is woken by this one all the time.
        let meddles = thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                while !is_over.load(Ordering::Relaxed) {
                    wakers.iter().filter_map(|waker| waker.lock().unwrap().clone()).for_each(Waker::wake);
                    thread::yield_now();
                }
            }
        });
        join(tasks).await;
        is_over.store(true, Ordering::Relaxed);
        sends.join().unwrap();
        meddles.join().unwrap();
    });
}

#[test]
fn who_stands_back_when_its_event_loop_ends_is_dropped_and_the_next_loop_has_its_own_turns() {
    let held = Arc::new(());
    let standing_back = on_a_worker(async {
        for _ in 0..20 {
            let held = Arc::clone(&held);
            tokio::spawn(async move {
                let never = pin!(async move {
                    std::future::pending::<()>().await;
                    drop(held);
                });
                in_turn(|| true, never).await;
            });
        }
        yield_now().await;
        STANDING_BACK.with_borrow(|standing_back| standing_back.connections.len())
    });
    assert!(standing_back > 0, "nobody stood back when the loop ended");
    assert_eq!(Arc::strong_count(&held), 1, "a connection outlived its event loop");
    on_a_worker(async {
        let log = Log::default();
        let (ready, tasks) = readers(3, &log);
        ready.iter().for_each(|ready| ready.notify_one());
        join(tasks).await;
        assert_eq!(*log.lock().unwrap(), ["reads 0", "reads 1", "reads 2"]);
    });
}

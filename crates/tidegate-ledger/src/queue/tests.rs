use std::sync::Arc;
use std::thread;

use super::*;
use crate::testing::new_id;

const LONG: Duration = Duration::from_secs(600);

/// Hands over a row that nobody waits for.
fn bring_row(queue: &Queue) {
    let mut texts = Texts::default();
    let row = Some((new_id(), texts.add(b"{}")));
    assert!(queue.noted(&[row], &texts).is_some(), "the queue is open");
}

#[test]
fn after_a_row_the_writer_is_alert_for_a_while_and_then_sleeps_until_it_is_woken() {
    let queue = Queue::default();
    let began = Instant::now();
    let rest_after = |after| queue.lock().rest_of_alert(began + after, began + LONG);
    assert_eq!(rest_after(Duration::ZERO), None, "nothing has come yet");

    queue.take(&mut Batch::default());
    assert_eq!(rest_after(Duration::ZERO), None, "nothing was taken");

    bring_row(&queue);
    queue.take(&mut Batch::default());
    assert!(rest_after(Duration::ZERO) >= Some(ALERT));
    assert_eq!(queue.lock().rest_of_alert(began, began + LINGER), Some(LINGER), "no longer than it may");
    assert_eq!(queue.lock().rest_of_alert(began, began), None);
    assert_eq!(rest_after(LONG), None);

    queue.close();
    assert_eq!(rest_after(Duration::ZERO), None, "nothing will come");
}

#[test]
fn a_row_that_nobody_waits_for_ends_the_long_sleep_only() {
    let queue = Queue::default();
    bring_row(&queue);
    assert!(queue.lock().disturbs(Sleep::UntilAny));
    assert!(!queue.lock().disturbs(Sleep::UntilUrgent));
}

#[test]
fn rows_are_found_in_the_long_sleep_and_in_alertness_and_an_end_is_too() {
    let queue = Arc::new(Queue::default());
    let writer = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || {
            let mut found = 0;
            loop {
                queue.wait(LONG, Instant::now());
                let mut batch = Batch::default();
                let goes_on = queue.take(&mut batch);
                found += batch.requests.len();
                queue.written(batch.requests.len());
                if !goes_on {
                    return found;
                }
            }
        })
    };
    let until = |happened: &dyn Fn() -> bool| {
        while !happened() {
            thread::yield_now();
        }
    };
    for _ in 0..3 {
        until(&|| queue.lock().sleep == Sleep::UntilAny);
        bring_row(&queue);
        until(&|| queue.pending() == 0);
        bring_row(&queue);
        until(&|| queue.pending() == 0);
    }
    queue.close();
    assert_eq!(writer.join().expect("it does not panic"), 6);
}

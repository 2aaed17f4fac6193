use std::sync::mpsc;
use std::thread;

use super::{Estimator, Job, State};

/// A job that says `n`.
fn say(n: u32, to: &mpsc::Sender<u32>) -> Job {
    let to = to.clone();
    Box::new(move || to.send(n).expect("somebody listens"))
}

/// A job that waits until the sender is dropped.
fn wait() -> (mpsc::Sender<()>, Job) {
    let (release, released) = mpsc::channel();
    (release, Box::new(move || assert!(released.recv().is_err(), "nothing is sent")))
}

fn is_taken(estimator: &Estimator, job: Job) -> bool {
    estimator.submit(job).is_ok()
}

#[test]
fn jobs_run_in_order_on_a_thread_that_starts_with_the_first() {
    let (estimator, (to, said), (name, named)) = (Estimator::new(8), mpsc::channel(), mpsc::channel());
    assert!(matches!(*estimator.state.lock().expect("nobody panicked"), State::Idle));
    for n in 0..4 {
        assert!(is_taken(&estimator, say(n, &to)));
    }
    assert!(is_taken(&estimator, Box::new(move || name.send(thread::current().name().map(str::to_owned)).expect("somebody listens"))));
    assert_eq!(named.recv().expect("it runs").as_deref(), Some("tidegate-tokens"));
    assert_eq!(said.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn a_full_queue_gives_the_job_back_unharmed() {
    let (estimator, (to, said), (release, blocker)) = (Estimator::new(1), mpsc::channel(), wait());
    assert!(is_taken(&estimator, blocker));
    // The thread may or may not have taken the blocker out of the queue: one more fits, or two do.
    let refused = (0..3).find_map(|_| estimator.submit(say(7, &to)).err()).expect("there is room for no more");
    assert!(said.try_recv().is_err(), "nothing ran");
    refused();
    assert_eq!(said.recv(), Ok(7));
    drop(release);
}

#[test]
fn closing_waits_for_what_is_queued_and_takes_no_more() {
    let (estimator, (to, said), (release, blocker)) = (Estimator::new(8), mpsc::channel(), wait());
    assert!(is_taken(&estimator, blocker) && is_taken(&estimator, say(1, &to)) && is_taken(&estimator, say(2, &to)));
    drop(release);
    estimator.close();
    assert_eq!(said.try_iter().collect::<Vec<_>>(), [1, 2]);
    assert!(!is_taken(&estimator, say(3, &to)));
    estimator.close();
}

#[test]
fn a_job_that_panics_takes_no_other_along() {
    let (estimator, (to, said)) = (Estimator::new(2), mpsc::channel());
    assert!(is_taken(&estimator, Box::new(|| panic!("on purpose"))) && is_taken(&estimator, say(1, &to)));
    estimator.close();
    assert_eq!(said.try_recv(), Ok(1));
}

use std::sync::Arc;

use super::*;
use crate::entry::{Place, Shared};
use crate::testing::new_id;

fn three_who_wait() -> (Tidings, Vec<Answer>) {
    let shared = Arc::new(Shared::new(Arc::default(), 3));
    let mut tidings = Tidings::default();
    let answers = (0..3).map(|_| {
        let (reply, answer) = channel();
        tidings.add(reply, Entry::new(new_id(), 0, Place::take(&shared).expect("a place")));
        answer
    });
    let answers = answers.collect();
    (tidings, answers)
}

fn told(answers: &mut [Answer]) -> Vec<Told> {
    answers.iter_mut().filter_map(|answer| answer.try_recv().ok()).collect()
}

#[test]
fn one_on_each_thread_is_told_and_tells_the_others() {
    let (tidings, mut answers) = three_who_wait();
    tidings.tell();
    let first = told(&mut answers);
    assert_eq!(first.len(), 1);
    drop(first);
    assert_eq!(told(&mut answers).len(), 2);
}

#[test]
fn one_that_left_keeps_nothing_from_the_others() {
    for leaves_late in [false, true] {
        let (tidings, mut answers) = three_who_wait();
        let mut tidings = Some(tidings);
        if leaves_late {
            tidings.take().expect("tidings").tell();
        }
        // The last to come is the first to be told.
        drop(answers.pop());
        if let Some(tidings) = tidings {
            tidings.tell();
        }
        // One of the two that stay may be told by the other.
        let told_at_once = told(&mut answers).len();
        assert_eq!(told_at_once + told(&mut answers).len(), 2);
    }
}

#[test]
fn who_waits_on_another_thread_is_told_by_itself() {
    let (mut tidings, mut answers) = three_who_wait();
    let (reply, answer) = thread::spawn(channel).join().expect("the thread ends");
    let shared = Arc::new(Shared::new(Arc::default(), 1));
    tidings.add(reply, Entry::new(new_id(), 0, Place::take(&shared).expect("a place")));
    answers.push(answer);
    tidings.tell();
    assert_eq!(told(&mut answers).len(), 2);
}

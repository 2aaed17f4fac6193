use std::{hint::black_box, process};

use super::*;

#[test]
fn work_done_by_this_process_shows_in_its_processor_time() {
    let before = Cpu::read([process::id()]).unwrap();
    black_box((0..20_000_000_u64).fold(0, |sum, n| black_box(sum ^ n)));
    assert!(Cpu::read([process::id()]).unwrap().since(&before) > 1_000_000);
}

#[test]
fn time_of_ended_threads_comes_from_the_processes_own_count() {
    let earlier = Cpu { threads: BTreeMap::from([((1, 1), 5), ((1, 2), 7)]), ticks: 3 };
    let later = Cpu { threads: BTreeMap::from([((1, 1), 25)]), ticks: 9 };
    assert_eq!(later.since(&earlier), 60_000_000);
}

#[test]
fn memory_of_this_process_is_read() {
    let memory = Memory::read(process::id()).unwrap();
    assert!(memory.resident >= memory.proportional && memory.proportional > 0);
}

use super::*;

const BOUNDS: PoolBounds = PoolBounds { least: 8, most: 100 };

fn at(millis: u64) -> Moment {
    Moment::ORIGIN + Duration::from_millis(millis)
}

fn load(running: usize, waiting: usize) -> PoolLoad {
    PoolLoad { running, waiting, busy: 0.2 }
}

/// A pool that has grown to its most.
fn grown() -> PoolSize {
    let mut pool = PoolSize::new(BOUNDS);
    for look in 0..5 {
        pool.look(load(pool.size(), 500), at(look * 100));
    }
    assert_eq!(pool.size(), 100);
    pool
}

#[test]
fn it_grows_to_its_most_within_a_second() {
    let mut pool = PoolSize::new(BOUNDS);
    let sizes: Vec<usize> = (0..6).map(|look| pool.look(load(pool.size(), 500), at(look * 100))).collect();
    assert_eq!(sizes, [16, 32, 64, 100, 100, 100]);
}

#[test]
fn it_grows_no_further_than_is_needed() {
    let mut pool = PoolSize::new(BOUNDS);
    assert_eq!(pool.look(load(8, 3), at(0)), 11);
    assert_eq!(pool.look(load(11, 0), at(100)), 11);
}

#[test]
fn busy_processors_get_no_more_tasks() {
    let mut pool = PoolSize::new(BOUNDS);
    assert_eq!(pool.look(PoolLoad { busy: 0.95, ..load(8, 50) }, at(0)), 8);
    assert_eq!(pool.look(PoolLoad { busy: 0.85, ..load(8, 50) }, at(100)), 16);
}

#[test]
fn it_shrinks_slowly_to_what_runs() {
    let mut pool = grown();
    assert_eq!(pool.look(load(70, 0), at(1_000)), 100);
    assert_eq!(pool.look(load(70, 0), at(30_999)), 100);
    assert_eq!(pool.look(load(70, 0), at(31_000)), 87);
    assert_eq!(pool.look(load(70, 0), at(35_999)), 87);
    assert_eq!(pool.look(load(70, 0), at(36_000)), 76);
    assert_eq!(pool.look(load(70, 0), at(41_000)), 70, "never fewer than run");
}

#[test]
fn it_shrinks_to_its_least_and_no_further() {
    let mut pool = grown();
    let last = (0..200).map(|look| pool.look(load(0, 0), at(1_000 * look))).last();
    assert_eq!(last, Some(8));
    assert!(!pool.may_shrink());
}

#[test]
fn a_pause_takes_nothing_away() {
    let mut pool = grown();
    pool.look(load(10, 0), at(1_000));
    pool.look(load(100, 5), at(20_000));
    assert_eq!(pool.look(load(10, 0), at(49_000)), 100, "the wait began anew");
    assert_eq!(pool.look(load(10, 0), at(79_000)), 87);
}

use super::*;

const BOUNDS: PoolBounds = PoolBounds { least: 1, most: 3 };

/// Polls everything that can go on, without waiting for a clock.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_gets_a_place_as_soon_as_the_pool_has_grown() {
    let pool = Arc::new(Pool::new(BOUNDS));
    let keeper = Arc::clone(&pool);
    tokio::spawn(async move { keeper.keep_fitting(Clock::start()).await });
    let first = pool.slot().await;
    let second = pool.slot().await;
    assert_eq!((pool.running(), pool.waiting(), pool.size()), (2, 0, 2));
    drop((first, second));
    assert_eq!(pool.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_a_place_beyond_the_most_and_the_first_in_line_is_next() {
    let pool = Arc::new(Pool::new(PoolBounds { least: 1, most: 1 }));
    let held = pool.slot().await;
    let (served, mut order) = tokio::sync::mpsc::channel(2);
    for name in ["first", "second"] {
        let (pool, served) = (Arc::clone(&pool), served.clone());
        tokio::spawn(async move {
            let _slot = pool.slot().await;
            served.send(name).await.expect("the test listens");
        });
        settle().await;
    }
    assert_eq!((pool.waiting(), order.try_recv().is_err()), (2, true));
    drop(held);
    assert_eq!((order.recv().await, order.recv().await), (Some("first"), Some("second")));
    assert_eq!(pool.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_line_is_not_counted_any_more() {
    let pool = Arc::new(Pool::new(PoolBounds { least: 1, most: 1 }));
    let _held = pool.slot().await;
    let waits = Arc::clone(&pool);
    let task = tokio::spawn(async move { drop(waits.slot().await) });
    settle().await;
    assert_eq!(pool.waiting(), 1);
    task.abort();
    settle().await;
    assert_eq!(pool.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_kept_for_a_prompt_is_taken_and_does_not_run() {
    let pool = Pool::new(PoolBounds { least: 2, most: 2 });
    let kept = pool.reserve().await;
    assert_eq!((pool.running(), pool.places.available_permits()), (0, 1));
    let slot = kept.filled();
    assert_eq!((pool.running(), pool.places.available_permits()), (1, 1));
    drop((slot, pool.reserve().await));
    assert_eq!((pool.running(), pool.places.available_permits()), (0, 2));
}

#[test]
fn the_places_that_are_free_follow_the_load() {
    let (pool, now) = (Pool::new(PoolBounds { least: 2, most: 8 }), Clock::start().now());
    pool.fit(PoolLoad { running: 2, waiting: 2, busy: 0.0 }, now);
    assert_eq!((pool.size(), pool.places.available_permits()), (4, 4));
    let idle = PoolLoad { running: 0, waiting: 0, busy: 0.0 };
    pool.fit(idle, now);
    pool.fit(idle, now + Duration::from_secs(60));
    assert_eq!((pool.size(), pool.places.available_permits()), (3, 3));
}

#[cfg(target_os = "linux")]
#[test]
fn this_process_has_used_the_processors_a_little() {
    assert!(time_used().expect("the kernel tells it") > Duration::ZERO);
}

//! How many prompts run at once in this process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_core::Moment;
use tidegate_core::pool::{LOOK, PoolBounds, PoolLoad, PoolSize};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::clock::Clock;

/// Places for running prompts. Who asks first gets one first, whichever session it is.
#[derive(Debug)]
pub struct Pool {
    places: Arc<Semaphore>,
    size: Mutex<PoolSize>,
    waiting: AtomicUsize,
    /// Places that are taken and in which nothing runs yet.
    reserved: AtomicUsize,
    /// Somebody waits: the size is to be looked at.
    wanted: Notify,
}

/// One place. Dropping it lets another prompt run.
#[derive(Debug)]
pub struct Slot {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A place that is kept free for a prompt which is still to come. Dropping it gives the place back.
#[derive(Debug)]
pub struct Reserved<'a> {
    slot: Slot,
    _counted: Counted<'a>,
}

impl Pool {
    /// A pool of its least size.
    #[must_use]
    pub fn new(bounds: PoolBounds) -> Self {
        let size = PoolSize::new(bounds);
        Self {
            places: Arc::new(Semaphore::new(size.size())),
            size: Mutex::new(size),
            waiting: AtomicUsize::default(),
            reserved: AtomicUsize::default(),
            wanted: Notify::new(),
        }
    }

    /// Waits for a place.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives up the place in the line, and nothing else.
    pub async fn slot(&self) -> Slot {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Slot { _permit: Some(permit) };
        }
        let _waiting = Counted::by(&self.waiting);
        self.wanted.notify_one();
        // Nobody closes the semaphore.
        Slot { _permit: Arc::clone(&self.places).acquire_owned().await.ok() }
    }

    /// Waits for a place, and keeps it free until there is a prompt to run in it.
    ///
    /// # Cancel safety
    ///
    /// As for [`Self::slot`].
    pub async fn reserve(&self) -> Reserved<'_> {
        Reserved { slot: self.slot().await, _counted: Counted::by(&self.reserved) }
    }

    /// Prompts that run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.taken().saturating_sub(self.reserved.load(Ordering::Relaxed))
    }

    fn taken(&self) -> usize {
        self.size().saturating_sub(self.places.available_permits())
    }

    /// Prompts that could run and wait for a place.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How many may run at once.
    #[must_use]
    pub fn size(&self) -> usize {
        self.state().size()
    }

    /// Keeps the size fitting to what is asked for. It rests while nobody waits and the pool is at its least.
    ///
    /// # Cancel safety
    ///
    /// Safe: the size stays as it is.
    pub async fn keep_fitting(&self, clock: Clock) {
        let mut processors = Processors::default();
        loop {
            self.wanted.notified().await;
            processors.look();
            while self.waiting() > 0 || self.state().may_shrink() {
                tokio::time::sleep(LOOK).await;
                let load = PoolLoad { running: self.taken(), waiting: self.waiting(), busy: processors.look() };
                self.fit(load, clock.now());
            }
        }
    }

    fn fit(&self, load: PoolLoad, now: Moment) {
        let mut size = self.state();
        let before = size.size();
        let after = size.look(load, now);
        if after > before {
            self.places.add_permits(after - before);
        } else if after < before {
            // They are free, but for those that were taken since the load was looked at.
            self.places.forget_permits(before - after);
        }
    }

    fn state(&self) -> MutexGuard<'_, PoolSize> {
        // Nothing can panic while it is held, so a poisoned lock is as good as any.
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserved<'_> {
    /// The prompt is there and runs.
    #[must_use]
    pub fn filled(self) -> Slot {
        self.slot
    }
}

/// Counts one for as long as it lives.
#[derive(Debug)]
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn by(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What this process takes of the processors' time.
#[derive(Debug, Default)]
struct Processors {
    last: Option<(Instant, Duration)>,
}

impl Processors {
    /// The share since the last look, from 0 to 1; 0 where it cannot be known.
    fn look(&mut self) -> f64 {
        let Some(used) = time_used() else { return 0.0 };
        let now = Instant::now();
        let (before, used_before) = self.last.replace((now, used)).unwrap_or((now, used));
        let cores = std::thread::available_parallelism().map_or(1.0, |cores| f64::from(u32::try_from(cores.get()).unwrap_or(u32::MAX)));
        let passed = now.duration_since(before).as_secs_f64() * cores;
        if passed > 0.0 { (used.saturating_sub(used_before).as_secs_f64() / passed).min(1.0) } else { 0.0 }
    }
}

/// Processor time of this process, from the kernel's own account of it.
#[cfg(target_os = "linux")]
fn time_used() -> Option<Duration> {
    // The times of all its threads, in nanoseconds: `/proc/self/stat` has them in ticks of 10 ms, too coarse for a look each tenth of a second.
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let nanos =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok());
    Some(Duration::from_nanos(nanos.sum()))
}

#[cfg(not(target_os = "linux"))]
fn time_used() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests;

//! Tracked tasks: nothing runs that a shutdown does not wait for.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use tokio::sync::Notify;

/// Counts running tasks, across all workers.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    ended: Notify,
}

/// Counts one task for as long as it lives.
#[derive(Debug)]
struct Running(Arc<Shared>);

impl Tasks {
    /// Spawns `future` on the current runtime. Outside of a runtime (while the process ends) it is dropped, which cancels it.
    pub fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        self.shared.running.fetch_add(1, Ordering::Relaxed);
        let running = Running(Arc::clone(&self.shared));
        // Not an async block: that would have room for the future twice, where it is given and where it is awaited.
        runtime.spawn(future.map(move |()| drop(running)));
    }

    /// How many run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.shared.running.load(Ordering::Relaxed)
    }

    /// Waits until none runs.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only watches.
    pub async fn all_ended(&self) {
        loop {
            let ended = self.shared.ended.notified();
            if self.running() == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}

//! The thread that counts tokens, so that no event loop has to.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Work for the thread.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs one after the other on a thread of its own, which starts with the first of them. Share it behind an `Arc`.
#[derive(Debug)]
pub struct Estimator {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// No job came yet.
    Idle,
    Running {
        jobs: SyncSender<Job>,
        thread: JoinHandle<()>,
    },
    Closed,
}

impl Estimator {
    /// An estimator in whose queue `capacity` jobs may wait.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::new(State::Idle) }
    }

    /// Leaves `job` to the thread, without waiting.
    ///
    /// # Errors
    ///
    /// The job, not done, where the queue is full, the estimator closed, or no thread to be had.
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Idle) {
            let Some(running) = start(self.capacity) else { return Err(job) };
            *state = running;
        }
        match &*state {
            State::Running { jobs, .. } => jobs.try_send(job).map_err(|(TrySendError::Full(job) | TrySendError::Disconnected(job))| job),
            State::Idle | State::Closed => Err(job),
        }
    }

    /// Takes no more jobs, and waits until those that wait are done.
    pub fn close(&self) {
        let state = std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Closed);
        if let State::Running { jobs, thread } = state {
            drop(jobs);
            // Its jobs' panics are caught, so there is nothing to learn from its end.
            let _ = thread.join();
        }
    }
}

impl Drop for Estimator {
    fn drop(&mut self) {
        self.close();
    }
}

fn start(capacity: usize) -> Option<State> {
    let (jobs, queue) = mpsc::sync_channel::<Job>(capacity);
    let run = move || {
        for job in queue {
            // One that fails must not take the others' thread along. The panic's own message is out already.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a count of tokens failed");
            }
        }
    };
    match thread::Builder::new().name("tidegate-tokens".to_owned()).spawn(run) {
        Ok(thread) => Some(State::Running { jobs, thread }),
        Err(error) => {
            tracing::warn!(%error, "no thread for counting tokens; usage stays unknown");
            None
        }
    }
}

#[cfg(test)]
mod tests;

//! Worker threads: an event loop each, so that a stream's two sockets live on one core.

use std::cell::Cell;

/// Most workers that one process may have.
pub const MAX_WORKERS: usize = 64;

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(0) };
}

/// The number of the worker that runs this thread, below [`MAX_WORKERS`]. A thread that is no worker counts as the first.
#[must_use]
pub fn index() -> usize {
    INDEX.get()
}

/// Makes this thread the worker of that number.
pub(crate) fn become_worker(index: usize) {
    INDEX.set(index % MAX_WORKERS);
}

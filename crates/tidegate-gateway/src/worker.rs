//! Worker threads: an event loop each, so that a stream's two sockets live on one core.

pub(crate) mod turns;

use std::cell::Cell;
use std::io;

use tokio::runtime;

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

/// The event loop of one worker.
///
/// # Errors
///
/// When the system gives no more files.
pub(crate) fn event_loop() -> io::Result<runtime::Runtime> {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().event_interval(turns::LOOK_EVERY).global_queue_interval(turns::ASK_EVERY).build()
}

/// Makes this thread the worker of that number, in whose turns its connections run. Call it on the worker's [`event_loop`].
pub(crate) fn become_worker(index: usize) {
    INDEX.set(index % MAX_WORKERS);
    // It ends with the event loop: nothing has to wait for it.
    tokio::spawn(turns::usher());
}

//! Gives the memory of ended streams back to the system.
//!
//! The allocator keeps what it once had; after a burst of streams that is most of the process. A trim every few seconds costs less than a
//! millisecond while nothing much was freed (docs/performance.md).

use std::time::Duration;

/// How often. Often enough that a burst does not stay visible, seldom enough to cost nothing.
const EVERY: Duration = Duration::from_secs(2);

/// Trims on a thread of its own for as long as the process lives: a trim after a burst takes longer than any stream should wait.
#[expect(clippy::disallowed_methods, reason = "the thread is there to sleep; no stream runs on it")]
pub(crate) fn keep_trimmed() {
    let trimming = std::thread::Builder::new().name("memory".to_owned()).spawn(|| {
        loop {
            std::thread::sleep(EVERY);
            trim();
        }
    });
    if let Err(error) = trimming {
        tracing::warn!(%error, "memory of ended streams will not be given back");
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    #[expect(unsafe_code, reason = "malloc_trim takes a number, touches only the allocator's own state and has no safe wrapper")]
    // SAFETY: the function is thread-safe (glibc's manual, "MT-Safe") and has no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

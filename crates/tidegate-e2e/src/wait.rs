//! Waiting for what happens soon, without guessing how soon.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything in these tests may take before it counts as never; generous, because two cores run many tests at once.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again and again until `look` finds something, for at most [`PATIENCE`].
///
/// # Errors
///
/// It never did. `what` says what was waited for.
pub async fn eventually<T>(what: impl Debug, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if began.elapsed() > PATIENCE {
            bail!("waited {PATIENCE:?} in vain for {what:?}");
        }
        // Another process is being watched: there is nothing to be woken by.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Bounds any future by [`PATIENCE`].
///
/// # Errors
///
/// It took longer.
pub async fn in_time<T>(what: impl Debug, future: impl Future<Output = T>) -> Result<T> {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => Ok(value),
        Err(_) => bail!("waited {PATIENCE:?} in vain for {what:?}"),
    }
}

/// Makes all these checks side by side; the first that fails ends it.
///
/// # Errors
///
/// That of the check that failed.
pub async fn all<C: Future<Output = Result<()>>>(checks: impl IntoIterator<Item = C>) -> Result<()> {
    futures_util::future::try_join_all(checks).await.map(drop)
}

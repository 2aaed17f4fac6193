//! Shutting down without cutting anyone off who can still be served.

use tokio::sync::watch;

/// How far the shutdown has come. It only ever moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Streams are accepted.
    Serving,
    /// No new streams; running ones go on. `/readyz` says 503.
    Draining,
    /// The window is over: running streams end now, typed.
    Ending,
}

/// Moves the stage on.
#[derive(Debug)]
pub struct Drain {
    stage: watch::Sender<Stage>,
}

impl Default for Drain {
    fn default() -> Self {
        Self { stage: watch::Sender::new(Stage::Serving) }
    }
}

impl Drain {
    /// Moves to `stage`; going back is ignored.
    pub fn advance(&self, stage: Stage) {
        self.stage.send_if_modified(|current| {
            let is_later = stage > *current;
            if is_later {
                *current = stage;
            }
            is_later
        });
    }

    /// The stage right now.
    #[must_use]
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// A view that can be waited on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }
}

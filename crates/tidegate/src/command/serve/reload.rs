//! New settings for a running gateway.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tidegate_config::Flag;
use tidegate_gateway::gateway::Gateway;
use tokio::time::{Interval, MissedTickBehavior};

/// Where the settings of this process come from.
#[derive(Debug, Clone)]
pub(in crate::command) struct Source {
    pub(in crate::command) config: Option<PathBuf>,
    pub(in crate::command) flags: Vec<Flag>,
}

/// What a reload needs.
#[derive(Debug)]
pub(super) struct Reload {
    pub(super) source: Source,
    /// The file that was read at the start.
    pub(super) file: Option<PathBuf>,
    /// Address of the built-in mock, where it runs.
    pub(super) mock: Option<String>,
}

/// How often the file is looked at. A look is one call to the system; a watch on its folder would be woken by every row of a ledger that
/// lies beside it.
const LOOK: Duration = Duration::from_secs(1);

/// Tells when the configuration file has changed.
#[derive(Debug)]
pub(super) struct Changes {
    file: Option<PathBuf>,
    seen: Option<Stamp>,
    looks: Interval,
}

/// What tells one content of a file from another: editors and mounted configuration replace the file, so it is always looked up by its path.
type Stamp = (SystemTime, u64);

impl Reload {
    /// Begins to watch the file that was read at the start.
    pub(super) fn watch(&self) -> Changes {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Changes { seen: self.file.as_deref().and_then(stamp), file: self.file.clone(), looks }
    }

    /// Reads the settings again. Wrong ones are refused and the old ones stay; running streams keep theirs either way.
    pub(super) fn run(&self, gateway: &Gateway) {
        let mut config = match super::super::load(self.source.config.clone(), self.source.flags.clone()) {
            Ok(loaded) => loaded.config,
            Err(error) => {
                tracing::error!(faults = %error, "the new configuration is refused; the old one stays in force");
                return;
            }
        };
        super::place_mock(&mut config, self.mock.as_deref());
        for setting in tidegate_config::needs_restart(&gateway.setup().config, &config) {
            tracing::warn!(setting, "this setting has changed and takes effect at the next start");
        }
        match gateway.reload(config) {
            Ok(()) => tracing::info!("the new configuration is in force"),
            Err(error) => tracing::error!(%error, "the new configuration is refused; the old one stays in force"),
        }
    }
}

impl Changes {
    /// Waits for a change. A file that is missing for a moment, as while an editor replaces it, is no change.
    ///
    /// # Cancel safety
    ///
    /// Safe: a change stays until it is seen.
    pub(super) async fn changed(&mut self) {
        loop {
            self.looks.tick().await;
            let now = self.file.as_deref().and_then(stamp);
            if now.is_some() && now != self.seen {
                self.seen = now;
                return;
            }
        }
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let facts = std::fs::metadata(file).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}

//! New settings for a running gateway.

use std::path::{Path, PathBuf};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tidegate_config::Flag;
use tidegate_gateway::gateway::Gateway;
use tokio::sync::mpsc;

/// Where the settings of this process come from.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) config: Option<PathBuf>,
    pub(super) flags: Vec<Flag>,
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

/// Tells when the configuration file may have changed.
#[derive(Debug)]
pub(super) struct Changes {
    _watcher: Option<RecommendedWatcher>,
    events: mpsc::Receiver<()>,
}

impl Reload {
    /// Watches the file's folder: editors and mounted configuration replace a file, and a watch on the file itself would stay with the old one.
    pub(super) fn watch(&self) -> Changes {
        let (sender, events) = mpsc::channel(1);
        let watcher = self.file.as_deref().and_then(|file| match start(file, sender) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "the configuration file is not watched; SIGHUP reloads it");
                None
            }
        });
        Changes { _watcher: watcher, events }
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

fn start(file: &Path, sender: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    let mut seen = std::fs::read(&file).ok();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the file is itself an event on some systems: only other content counts.
        let is_access = event.is_ok_and(|event| event.kind.is_access());
        if is_access {
            return;
        }
        let content = std::fs::read(&file).ok();
        if content.is_some() && content != seen {
            seen = content;
            // A reload that is due already reads the newest content.
            let _due_already = sender.try_send(());
        }
    })?;
    watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

impl Changes {
    /// Waits for a change.
    ///
    /// # Cancel safety
    ///
    /// Safe: a change stays until it is taken.
    pub(super) async fn changed(&mut self) {
        if self.events.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

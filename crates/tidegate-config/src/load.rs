//! From the places where settings are written to a [`Config`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::Config;
use crate::errors::ConfigErrors;

/// Where settings are looked for. Later ones win: file, environment, flags.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file.
    pub file: FileSource,
    /// The environment by name.
    pub env: BTreeMap<String, String>,
    /// Settings given on the command line.
    pub flags: Vec<Flag>,
}

/// Which configuration file is read.
#[derive(Debug, Clone, Default)]
pub enum FileSource {
    /// The one that `TIDEGATE_CONFIG` names, else `./tidegate.toml` where it exists, else none.
    #[default]
    Find,
    /// This one (`--config`); it must exist.
    Path(PathBuf),
    /// This text, shown as `tidegate.toml` in messages.
    Text(String),
}

/// One setting given on the command line.
#[derive(Debug, Clone)]
pub struct Flag {
    /// As the user wrote it, for messages: `--listen`.
    pub name: &'static str,
    /// The setting's path: `server.listen`.
    pub path: &'static str,
    /// Its value, as in an environment variable.
    pub value: String,
}

/// A configuration and what its operator should know.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// No provider was configured: the built-in mock serves. The banner says so.
    pub built_in_mock: bool,
    /// What is recognised and has no effect, a sentence each.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    ///
    /// All faults that were found, each with its place and remedy.
    #[expect(clippy::needless_pass_by_value, reason = "the body is to come")]
    pub fn load(sources: Sources) -> Result<Loaded, ConfigErrors> {
        let _ = sources;
        Err(ConfigErrors)
    }
}

//! From the places where settings are written to a [`Config`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::errors::{ConfigErrors, Fault, Faults};
use crate::file::File;
use crate::path::KeyPath;
use crate::tree::{Node, Origin, interpolate};
use crate::{builtin, check, overlay, resolve};

/// The file that is read where none is named.
pub const DEFAULT_FILE: &str = "tidegate.toml";
/// The environment variable that names the file.
pub const FILE_VARIABLE: &str = "TIDEGATE_CONFIG";

/// Where settings are looked for. Later ones win: file, environment, flags.
///
/// It holds the whole environment, and so has no `Debug` form.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file.
    pub file: FileSource,
    /// The environment by name.
    pub env: BTreeMap<String, String>,
    /// Settings given on the command line.
    pub flags: Vec<Flag>,
}

impl Sources {
    /// This process's environment, and the file of `--config` where it was given.
    #[must_use]
    pub fn of_process(config: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let env = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Self { file: config.map_or(FileSource::Find, FileSource::Path), env, flags }
    }

    /// `toml` alone, with an empty environment: for tests and examples.
    #[must_use]
    pub fn of_text(toml: impl Into<String>) -> Self {
        Self { file: FileSource::Text(toml.into()), ..Self::default() }
    }
}

/// Which configuration file is read.
#[derive(Clone, Default)]
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
    /// The file that was read, to be watched for changes.
    pub file: Option<PathBuf>,
    /// No provider was configured: the built-in mock serves. The banner says so.
    pub built_in_mock: bool,
    /// What is recognised and has no effect, or is probably not meant; a sentence each.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads and checks everything. It reads at most the configuration file, and looks whether files that it names exist.
    ///
    /// # Errors
    ///
    /// All faults that were found, each with its place, the wrong value (never a secret's) and its remedy.
    pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
        let (file, source) = match &sources.file {
            FileSource::Text(text) => (None, Some(text.clone())),
            FileSource::Path(path) => read(path)?,
            FileSource::Find => match sources.env.get(FILE_VARIABLE).filter(|path| !path.is_empty()) {
                Some(path) => read(Path::new(path))?,
                None if Path::new(DEFAULT_FILE).exists() => read(Path::new(DEFAULT_FILE))?,
                None => (None, None),
            },
        };
        let name = file.as_ref().map_or_else(|| DEFAULT_FILE.to_owned(), |path| path.display().to_string());
        let mut faults = Faults::of(source.as_deref().unwrap_or_default());
        match load(source.as_deref().unwrap_or_default(), sources, &mut faults) {
            Some(loaded) if faults.is_empty() => Ok(Loaded { file, ..loaded }),
            _ => Err(faults.into_errors(source.is_some().then_some(name.as_str()))),
        }
    }
}

/// The way of the settings, on one page. `None` where nothing can be made of them.
fn load(source: &str, sources: &Sources, faults: &mut Faults) -> Option<Loaded> {
    let mut root = Node::parse(source, faults);
    if !faults.is_empty() {
        return None;
    }
    interpolate(&mut root, &KeyPath::default(), &sources.env, faults);
    overlay::environment(&mut root, &sources.env, faults);
    overlay::flags(&mut root, &sources.flags, faults);
    overlay::forget_unchosen(&mut root);
    let filled = builtin::fill(&mut root, &sources.env, faults);
    check::check(&mut root, faults);
    let Ok(mirror) = serde_json::from_value::<File>(root.to_json()) else {
        // The check lets nothing through that the mirror refuses (a property test says so). The error is not told: it may quote a secret.
        faults.add(
            Fault::new(KeyPath::default(), Origin::BuiltIn, "the configuration passed its check and cannot be read")
                .remedy("please report this"),
        );
        return None;
    };
    let config = resolve::resolve(&mirror, &root, faults);
    let warnings = filled.warnings.into_iter().chain(resolve::warnings(&mirror, &config)).collect();
    Some(Loaded { config, file: None, built_in_mock: filled.mock, warnings })
}

/// The file's path and text.
fn read(path: &Path) -> Result<(Option<PathBuf>, Option<String>), ConfigErrors> {
    let refuse = |why: String| {
        let mut faults = Faults::default();
        let problem = format!("cannot read the configuration file {}: {why}", path.display());
        faults.add(
            Fault::new(KeyPath::default(), Origin::BuiltIn, problem).remedy("write another path after --config or into TIDEGATE_CONFIG"),
        );
        faults.into_errors(None)
    };
    let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8".to_owned()))?;
    Ok((Some(path.to_owned()), Some(text)))
}

#[cfg(test)]
mod tests;

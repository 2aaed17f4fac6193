//! The files of `deploy/`, and what they name of the program.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Files to look through.
pub(super) struct Files(Vec<File>);

/// One of them.
pub(super) struct File {
    /// From the repository's root.
    pub(super) name: String,
    text: String,
}

/// A call of the program.
#[derive(Debug)]
pub(super) struct Command<'a> {
    /// The command and its subcommand.
    pub(super) words: Vec<&'a str>,
    /// `--name` and its like.
    pub(super) flags: Vec<&'a str>,
}

impl Files {
    /// Everything below `deploy/`.
    pub(super) fn all() -> Self {
        let mut files = Vec::new();
        collect(&path("."), &mut files);
        assert!(files.len() > 8, "deploy/ is not where the test thinks it is");
        Self(files)
    }

    /// The same, and the page about it.
    pub(super) fn with_page() -> Self {
        let Self(mut files) = Self::all();
        files.push(File::read(&tidegate_e2e::root().join("docs/deployment.md")));
        Self(files)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &File> {
        self.0.iter()
    }
}

impl File {
    fn read(path: &Path) -> Self {
        Self { name: path.display().to_string(), text: std::fs::read_to_string(path).expect("a text file") }
    }

    /// Settings by environment, with their values: `TIDEGATE__A__B=value`. A value that a shell makes is nobody's to judge.
    pub(super) fn settings(&self) -> Vec<(&str, &str)> {
        let settings = words(&self.text).filter(|word| word.starts_with("TIDEGATE__")).filter_map(|word| word.split_once('='));
        settings.filter(|(_, value)| !value.is_empty() && !value.contains('$')).collect()
    }

    /// Metrics by name, without a counter's suffix.
    pub(super) fn metrics(&self) -> impl Iterator<Item = &str> {
        let is_name = |word: &&str| word.starts_with("tidegate_") || word.starts_with("gen_ai_");
        let words = self.text.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).filter(is_name);
        words.map(|word| word.strip_suffix("_total").unwrap_or(word))
    }

    /// Paths of the gateway that are asked for with GET and need nothing to exist.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        let is_path =
            |word: &&str| word.starts_with('/') && (word.ends_with('z') || word.ends_with("/metrics") || word.ends_with("/models"));
        words(&self.text).filter(is_path)
    }

    /// Calls of the program, also by Compose's service `keys`.
    pub(super) fn commands(&self) -> impl Iterator<Item = Command<'_>> {
        self.text.lines().filter_map(command)
    }
}

/// What `line` calls: the lower-case words after the program's name, and the flags after those.
fn command(line: &str) -> Option<Command<'_>> {
    let starts = ["/usr/local/bin/tidegate ", "exec tidegate ", "-- tidegate ", ".db tidegate ", "run --rm keys "];
    let (start, at) = starts.iter().find_map(|start| Some((*start, line.find(start)?)))?;
    let rest = line[at + start.len()..].split(['"', '#', '`']).next().unwrap_or_default();
    let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
    let mut words: Vec<&str> = rest.split_whitespace().take_while(is_word).collect();
    if start.ends_with("keys ") {
        words.insert(0, "keys");
    }
    Some(Command { words, flags: rest.split_whitespace().filter(|word| word.starts_with("--")).collect() })
}

/// The text of one file of `deploy/`.
pub(super) fn read(name: &str) -> Result<String> {
    std::fs::read_to_string(path(name)).with_context(|| format!("deploy/{name}"))
}

/// Where it is.
pub(super) fn path(name: &str) -> PathBuf {
    tidegate_e2e::root().join("deploy").join(name)
}

/// The smallest number of a file that follows `label`.
pub(super) fn number(name: &str, label: &str) -> Result<u64> {
    let text = read(name)?;
    let numbers = text.split(label).skip(1).filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    numbers.min().with_context(|| format!("{name} has no {label}"))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "\"'`,{}()[]".contains(c)).filter(|word| !word.is_empty())
}

fn collect(folder: &Path, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(File::read(&path));
        }
    }
}

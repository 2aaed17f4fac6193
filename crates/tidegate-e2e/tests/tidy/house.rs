//! The repository as the tidy tests see it: its files and its crates.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Folders that are made, not written.
const NOT_OURS: &[&str] = &["target", "node_modules", "corpus", "artifacts", "__pycache__"];

/// Every written text file.
pub(crate) struct House {
    pub(crate) files: Vec<Source>,
}

/// One file.
pub(crate) struct Source {
    /// From the repository's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl House {
    pub(crate) fn read() -> Self {
        let mut house = Self { files: Vec::new() };
        house.read_folder(&root());
        assert!(house.rust().count() > 20, "the repository is not where the test thinks it is");
        house
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// Rust files that are not tests.
    pub(crate) fn production(&self) -> impl Iterator<Item = &Source> {
        self.rust().filter(|file| file.path.contains("/src/") && !file.path.ends_with("tests.rs") && !file.path.contains("/tests/"))
    }

    fn read_folder(&mut self, folder: &Path) {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let hidden = name.starts_with('.') && name != ".ci";
            if hidden || NOT_OURS.contains(&name) {
                continue;
            }
            if path.is_dir() {
                self.read_folder(&path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
                self.files.push(Source { path, text });
            }
        }
    }
}

impl Source {
    /// `core` for `crates/tidegate-core/…`, `tidegate` for the binary, `bench` for the benchmark.
    pub(crate) fn krate(&self) -> &str {
        let folder = self.path.strip_prefix("crates/").unwrap_or(&self.path).split('/').next().unwrap_or_default();
        short_name(folder)
    }

    /// Numbered lines that are neither blank nor comments.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with("//"))
    }
}

/// What stands between the quotes of a line. Simple: it knows neither raw strings with quotes nor literals over several lines.
pub(crate) fn string_literals(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

/// One crate of the workspace, with the short names of what it depends on.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) ours: Vec<Edge>,
    /// External crates that it uses in production.
    pub(crate) external: Vec<String>,
}

/// A dependency on a crate of ours.
pub(crate) struct Edge {
    pub(crate) name: String,
    /// For tests only.
    pub(crate) dev: bool,
}

/// The crates, as cargo sees them.
pub(crate) fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    metadata["packages"].as_array().expect("a list").iter().map(package).collect()
}

fn package(package: &Value) -> Package {
    let (mut ours, mut external) = (Vec::new(), Vec::new());
    for dependency in package["dependencies"].as_array().expect("a list") {
        let name = dependency["name"].as_str().expect("a name");
        let dev = dependency["kind"].as_str() == Some("dev");
        if name.starts_with("tidegate") {
            ours.push(Edge { name: short_name(name).to_owned(), dev });
        } else if !dev {
            external.push(name.to_owned());
        }
    }
    Package { name: short_name(package["name"].as_str().expect("a name")).to_owned(), ours, external }
}

fn short_name(name: &str) -> &str {
    name.strip_prefix("tidegate-").unwrap_or(name)
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the crate sits two folders deep")
}

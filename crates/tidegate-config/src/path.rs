//! Where a setting stands: `models."gpt-4.1".routes[0].provider`.

use std::fmt;

/// The names from the root to one setting; an index of a list is a name of digits in brackets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyPath(Vec<String>);

impl KeyPath {
    /// The path of these names.
    pub(crate) fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// The setting `name` beneath this one.
    pub(crate) fn join(&self, name: &str) -> Self {
        let mut names = self.0.clone();
        names.push(name.to_owned());
        Self(names)
    }

    /// Element `index` of this list.
    pub(crate) fn index(&self, index: usize) -> Self {
        self.join(&format!("[{index}]"))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(crate) fn is_at_or_above(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Whether one of both paths is the other or stands above it.
    pub(crate) fn touches(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a == b)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, name) in self.0.iter().enumerate() {
            let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
            match (n, bare || name.starts_with('[')) {
                (0, true) => write!(f, "{name}")?,
                (0, false) => write!(f, "{name:?}")?,
                (_, true) if name.starts_with('[') => write!(f, "{name}")?,
                (_, true) => write!(f, ".{name}")?,
                (_, false) => write!(f, ".{name:?}")?,
            }
        }
        Ok(())
    }
}

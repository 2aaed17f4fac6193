//! All faults of a configuration, drawn for people.

use std::fmt;

/// All faults of a configuration; `Display` draws them as plain text, over several lines.
#[derive(Debug, Clone)]
pub struct ConfigErrors;

impl ConfigErrors {
    /// The drawing, with colours for a terminal.
    #[must_use]
    pub fn render(&self, _colour: bool) -> String {
        String::new()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigErrors {}

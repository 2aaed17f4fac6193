//! Oddities of real servers, each as a script with a name (protocols.md, section 12).

use super::Script;

/// A named script, chosen by `fixture name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixture {
    name: &'static str,
    script: Box<Script>,
}

impl Fixture {
    /// The fixture called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (name, _, text) = TABLE.iter().find(|(known, _, _)| *known == name)?;
        let script = text.parse().ok()?;
        Some(Self { name, script: Box::new(script) })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it does.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }
}

/// All names, in the order of the table.
#[must_use]
pub fn names() -> Vec<&'static str> {
    TABLE.iter().map(|(name, _, _)| *name).collect()
}

/// Name, what it shows, script.
pub const TABLE: &[(&str, &str, &str)] = &[("plain", "a clean answer", "'hel' 'lo' end")];

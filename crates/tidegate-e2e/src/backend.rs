//! Where the prompts of sessions wait. The tests of sessions say nothing about it, and run once for each.

/// A queue's backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// In the gateway's process, which runs them too.
    Memory,
}

impl Backend {
    /// What the gateway's environment says of it.
    pub fn environment(self) -> impl Iterator<Item = (String, String)> {
        let queue_type = match self {
            Self::Memory => "memory",
        };
        [("QUEUE_TYPE".to_owned(), queue_type.to_owned())].into_iter()
    }
}

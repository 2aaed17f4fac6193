//! How far a session's workers are ahead of its client.

/// What was said in a session and what its client took of it, as far as a lease knows, in the measure of [`crate::Settings::window`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    said: u64,
    taken: u64,
    window: u64,
}

impl Flow {
    pub(crate) fn new(said: u64, taken: u64, window: u64) -> Self {
        Self { said, taken, window }
    }

    /// Both only grow, so it is no matter in which order answers come that tell of them.
    pub(crate) fn learn(&mut self, said: u64, taken: u64) {
        (self.said, self.taken) = (self.said.max(said), self.taken.max(taken));
    }

    /// Whether more may be said.
    pub(crate) fn has_room(&self) -> bool {
        self.said.saturating_sub(self.taken) < self.window
    }
}

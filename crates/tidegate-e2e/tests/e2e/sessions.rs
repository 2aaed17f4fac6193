//! Sessions: what a client may rely on, whichever backend their prompts wait in.

use tidegate_e2e::{Backend, World, WorldBuilder};

mod door;
mod protocol;

mod cancel;
mod order;
mod queue;

mod history;

mod failures;
mod records;

mod lifecycle;
mod resume;
mod slow;

mod drain;

mod chaos;
mod leak;
mod load;

/// A gateway whose prompts wait in `backend`, and whose provider plays `scenario`.
fn world(backend: Backend, scenario: &str) -> WorldBuilder {
    World::of(scenario).backend(backend)
}

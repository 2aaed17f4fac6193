//! Sessions: what a client may rely on, whichever backend their prompts wait in.

use tidegate_e2e::{Backend, World, WorldBuilder};

/// Makes each of these tests run once on every backend. One that is not listed is dead code, which the compiler tells.
macro_rules! on_every_backend {
    ($($test:ident),+ $(,)?) => {
        on_backend!(memory, Memory: $($test),+);
        on_backend!(redis, Redis: $($test),+);
    };
}

/// Makes each of these tests run where prompts wait in the gateway, and nowhere else. The tests say why.
macro_rules! on_memory {
    ($($test:ident),+ $(,)?) => {
        on_backend!(memory_alone, Memory: $($test),+);
    };
}

macro_rules! on_backend {
    ($module:ident, $backend:ident: $($test:ident),+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(tidegate_e2e::Backend::$backend).await
                }
            )+
        }
    };
}

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

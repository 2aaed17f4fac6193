//! The figures, one file each: every one starts its own peers, measures them in alternation and notes what it found.

mod departure;
mod first_event;
mod flat;
mod memory;
mod paced;
mod sessions;
mod small;
mod start;

use std::{fmt, time::Duration};

use anyhow::{Context, Result};
use tokio::time::timeout;

use crate::lab::Lab;

/// No figure takes longer than this, whatever the peers do.
const LIMIT: Duration = Duration::from_secs(1_200);

/// A figure that can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Figure {
    /// Exec to first 200, memory at rest.
    Start,
    /// CPU per event and latency of paced streams.
    Paced,
    /// CPU per event and latency of streams flat out.
    Flat,
    /// Added time to first event.
    FirstEvent,
    /// CPU per small whole request.
    Small,
    /// Memory per open idle stream.
    Memory,
    /// What the provider does after clients left.
    Departure,
    /// How soon prompts of sessions are acknowledged and answered, and memory per idle session.
    Sessions,
}

impl Figure {
    /// All of them, the quiet ones first.
    pub(crate) const ALL: [Self; 8] =
        [Self::Start, Self::Paced, Self::Flat, Self::FirstEvent, Self::Small, Self::Memory, Self::Departure, Self::Sessions];

    /// Measures and notes the findings in `lab`.
    ///
    /// # Errors
    ///
    /// When a peer fails, or the figure is not done within twenty minutes.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the peers that it started.
    pub(crate) async fn measure(self, lab: &mut Lab) -> Result<()> {
        let measured = timeout(LIMIT, async {
            match self {
                Self::Start => start::measure(lab).await,
                Self::Paced => paced::measure(lab).await,
                Self::Flat => flat::measure(lab).await,
                Self::FirstEvent => first_event::measure(lab).await,
                Self::Small => small::measure(lab).await,
                Self::Memory => memory::measure(lab).await,
                Self::Departure => departure::measure(lab).await,
                Self::Sessions => sessions::measure(lab).await,
            }
        });
        measured.await.with_context(|| format!("figure `{self}` took longer than {LIMIT:?}"))?.with_context(|| format!("figure `{self}`"))
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = clap::ValueEnum::to_possible_value(self).map(|value| value.get_name().to_owned());
        f.write_str(&name.unwrap_or_default())
    }
}

fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

fn microseconds_each(nanoseconds: u64, count: u64) -> f64 {
    nanoseconds as f64 / 1e3 / count as f64
}

//! Which changes a running process cannot take over.

use crate::config::Config;

/// Paths of the settings that differ between `old` and `new` and take effect only after a restart; all others can change at run time.
#[must_use]
pub fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changes = [
        ("server.listen", old.server.listen != new.server.listen),
        ("server.workers", old.server.workers != new.server.workers),
        ("ledger.path", old.ledger.path != new.ledger.path),
        ("ledger.retention", old.ledger.retention != new.ledger.retention),
        ("queue.backend", old.queue.backend != new.queue.backend),
        ("queue.global_max_size", old.queue.global_max_size != new.queue.global_max_size),
        ("queue.lease", old.queue.lease != new.queue.lease),
        ("queue.min_workers", old.queue.min_workers != new.queue.min_workers),
        ("queue.max_workers", old.queue.max_workers != new.queue.max_workers),
    ];
    changes.into_iter().filter(|(_, changed)| *changed).map(|(path, _)| path).collect()
}

#[cfg(test)]
mod tests;
